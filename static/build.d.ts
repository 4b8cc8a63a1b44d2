/** Whether the tag is built with what only some sites need: see tag/settings.js. */
declare const EXTRAS: boolean;
/** Whether it is the build that shows the owner what it does: see check/watch.js. */
declare const CHECK: boolean;
/** Hears of each call, and of the event that it became; its values tell calls apart. */
declare const watch: {
  call: (values: any[], command: unknown) => void;
  event: (values: any[], event: { name: string; id: string; pixels: string[]; pixel?: string }) => void;
};
