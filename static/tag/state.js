// The tag, part 2 of 7: what it remembers, and two helpers for all other parts.

/** @type {Record<string, Bag>} Matching data of each pixel. */
const pixels = /** @type {any} */ ({});
/** @type {Bag} Pixels that hear no `track`. */
const singleOnly = {};
/** @type {any} */
let dpo;
let cookieless = gpc && gpcDrops;
// Where Global Privacy Control means Limited Data Use, the Pixel has to hear of it before any event.
const limit = EXTRAS && gpcLimits && gpc && ["dataProcessingOptions", ["LDU"], 0, 0];

/** @type {Record<string, any>} The events each pixel heard. */
const mirrored = {};
/** @type {unknown} Whether the Pixel failed to load, or what waits for it will wait for ever. */
let broken;
/** @type {unknown} Whether the Pixel runs where the page cannot see what it does. */
let away;

/** @type {Batch[]} What the proxy did not take yet. */
let batches = [];
/** @type {Batch} The batch that takes events. */
let draft = {};
/** Bytes left in it, its first event apart: so all its events have less than 60,000. */
let bytesLeft = 0;
let pause = 1;
let timer = 0;
let consent = "unknown";
/** The address of the first event, then of each PageView or change of address: a new one is a route. */
let viewed = /** @type {any} */ (undefined);
/** @type {unknown} Whether the PageView of a route is not sent yet, since the page may send its own. */
let due;
/** @type {unknown} Whether `disablePushState` is ours on some stub, so that a copy of it is no wish of the page. */
let routing;
/** @type {unknown} Whether `window.fbq` was read through an accessor of the tag. */
let reached;

/** Calls, stubs and queues that were heard; and batches on their way. */
const heard = new WeakSet();
/** @type {any[]} Calls that wait for the Pixel. */
let waiting = [];

/** @param {(...values: any[]) => any} work */
const guard =
  (work) =>
  /** @param {any[]} values */
  (...values) => {
    try {
      return work(...values);
    } catch {}
  };

/** @param {unknown} value @returns {Bag | undefined} what JSON can carry of an object, unless nothing or too much */
const copy = guard((value) => {
  const text = JSON.stringify(value);
  const bytes = /^{"/.test(text) && new TextEncoder().encode(text);
  if (bytes && bytes.length < 4e4) {
    bytesLeft -= bytes.length;
    return JSON.parse(text);
  }
});
