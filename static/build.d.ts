/** Whether the tag is built with what only some sites need: see tag.js. */
declare const EXTRAS: boolean;
