// The tag, part 6 of 7: accessors on `window.fbq` and its stub, through which all calls pass.

/**
 * @param {any} object @param {string} key @param {(value: any) => any} change
 * @param {any} [get] the accessor that stood there and goes on as if it were alone
 * @param {any} [set]
 */
const trap = guard((object, key, change, get, set) => {
  let value = change(object[key]);
  object.__defineGetter__(key, () => ((reached = true), get ? get.call(object) : value));
  object.__defineSetter__(key, (/** @type {any} */ next) => {
    set?.call(object, next);
    value = change(next);
  });
});

/** @param {(value: any, first: unknown) => void} work */
const once = (work) => /** @param {any} value */ (value) => {
  guard(() => value && (heard.has(value) || work(value, heard.add(value))))();
  return value;
};

const hearQueue = once((queue) => {
  const { push } = queue;
  queue.push = /** @param {Call[]} calls */ (...calls) =>
    push.apply(
      queue,
      calls.map((call) => hear(call, 1)),
    );
  waiting = queue;
  if (EXTRAS && limit && !page.fbq?.callMethod) queue.unshift(limit);
  queue.push(...queue.splice(0));
});

const hearCalls = once((fbq) => {
  /** @param {any} take */
  const hearing = (take) => take && (/** @param {any[]} values */ (...values) => take.apply(fbq, hear(values)));
  trap(fbq, "callMethod", hearing);
  const initialised = fbq.getState?.()?.pixels;
  // A Pixel that has taken over, but not even an init, waits for a grant; and here none was heard ("granted" < "h").
  if (initialised == "" && consent > "h" && fbq.queue?.[0]) onHold = true;
  // Pixels whose init was taken before the tag came. What the Pixel sends by itself has no id; from its first event
  // on it will not be told to leave that to us.
  initialised?.map((/** @type {any} */ { id, eventCount }) => {
    noRoutes ||= eventCount && !routing;
    if (pixels[id]) return;
    init(id);
    if (eventCount) mirrored[id + "PageView"] = {};
  });
  if (!noRoutes) {
    trap(fbq, "disablePushState", (/** @type {any} */ value) => fbq != (noRoutes = value));
    noRoutes &&= !routing;
    routing = true;
  }
  trap(fbq, "queue", hearQueue);
  if (EXTRAS) {
    if (limit) fbq.callMethod?.(...limit);
    // A bare forwarder, as Partytown's: the Pixel lives elsewhere, so the function itself may be wrapped.
    queueMicrotask(() => {
      if (fbq.queue || fbq.callMethod || page.fbq != fbq) return;
      // No Proxy: its text is that of native code, and Partytown lets the Pixel's worker see such a function.
      const forwarder = Object.assign((/** @type {any[]} */ ...values) => fbq(.../** @type {any} */ (hear(values))), fbq);
      heard.add(forwarder);
      page.fbq = forwarder;
      away = true;
    });
  }
});

// Others define `window.fbq` too, as Meta's plugin for WooCommerce, which waits for a stub that comes late.
const look = guard(() => {
  reached = false;
  hearCalls(page.fbq);
  if (!reached) trap(page, "fbq", hearCalls, page.__lookupGetter__("fbq"), page.__lookupSetter__("fbq"));
});
