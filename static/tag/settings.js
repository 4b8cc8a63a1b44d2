/**
 * The tag, part 1 of 7: hears every `fbq` call, gives each event an id, and sends a copy of it to the proxy.
 *
 * `window.fbq` is never replaced. Its stub keeps its identity; two of its properties, `callMethod` (where the Pixel
 * takes calls) and `queue` (where they wait for it), become accessors through which calls pass. Calls that the trap
 * in the page has kept are taken first (trap.js).
 *
 * The build (tools/build.mjs) joins the parts in their order into one function, so they share one scope. It makes two
 * files of them: with EXTRAS, for the sites that need them, and without. At start the proxy puts the settings of a site
 * in place of "__SITE__" and "__EXTRAS__" (see `Site` and `Extras`), and in place of "__ORDERS__" what the id of an
 * order begins with: where orders give no ids, an expression whose value is another each time.
 *
 * Budget: what repeats in the same words costs nearly nothing compressed; so `map` stands for every loop.
 *
 * @typedef {[collect: string, domain: string, stamp: string, noRoutes: unknown, onHold: unknown, gpcDrops: unknown]} Site
 *   collect: last part of the address that takes events, beside this file; domain: of the cookies; stamp: what their
 *   values begin with; noRoutes: the tag sends no PageViews of routes; onHold: everything waits for a grant;
 *   gpcDrops: Global Privacy Control keeps the page from making cookies
 * @typedef {[gpcLimits: unknown, ask: ((tell: (verb: string) => void) => void) | 0, forwarded?: string[]]} Extras
 *   gpcLimits: Global Privacy Control means Limited Data Use; ask: where else than in `fbq` consent is given;
 *   forwarded: pixels that hear an event where no `init` was heard on the page
 * @typedef {Record<string, any>} Bag
 * @typedef {ArrayLike<any>} Call
 * @typedef {{ name: string, id: string, at: number, pixels: string[], data?: Bag, pixel?: string }} SentEvent
 * @typedef {SentEvent & { _waits?: () => unknown }} MirroredEvent
 * @typedef {Bag} Batch events, and status updates of browser copies; without both, a withdrawal of consent
 */

let [collect, domain, stamp, noRoutes, onHold, gpcDrops] = /** @type {Site} */ (/** @type {unknown} */ ("__SITE__"));
/** @type {unknown} */
let gpcLimits;
/** @type {any} */
let ask;
/** @type {Extras[2]} */
let forwarded;
if (EXTRAS) [gpcLimits, ask, forwarded] = /** @type {Extras} */ (/** @type {unknown} */ ("__EXTRAS__"));
const page = /** @type {any} */ (window);
const doc = /** @type {any} */ (document);
const now = Date.now;
const gpc = /** @type {any} */ (navigator).globalPrivacyControl;

const address = doc.currentScript?.src.replace(/[^/]*$/, collect);
const trapped = (page[Symbol.for("fbq")] ||= []);

// The proxy reads stranger click ids from the address; these are safe to write as they are.
const click = /[?&#]fbclid=([\w-]{1,500})(?![^&#\s])/.exec(location + " " + doc.referrer)?.[1];
