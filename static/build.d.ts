/** Whether the tag is built with what only some sites need: see tag/settings.js. */
declare const EXTRAS: boolean;
