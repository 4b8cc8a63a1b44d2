/**
 * The trap: stands in the page before Meta's base code, gives events their ids, and keeps the calls for the tag.
 *
 * So the tag itself may come late: what the Pixel takes until then has an id already, and none of it is missed. The tag
 * finds the kept calls under the symbol below and hears all others by itself. It stands in every page of the site, so
 * each byte counts: hence `let`, and accessors defined the old way, which are enumerable and configurable by nature.
 *
 * The proxy puts what the id of an order begins with in place of "__ORDERS__"; where orders give no ids, a number
 * that is another each time.
 */
{
  /** @type {any} [call, whether it may wait, when] each; `on` once somebody listens: the trap, or the tag */
  let kept = (/** @type {any} */ (self)[Symbol.for("fbq")] ||= []);

  /** @param {any} call @returns {any} the same, or, if it is an event without an id, a copy that has one */
  let hear = (call) => {
    try {
      let { trim } = call[0];
      let flat = [...(trim ? call : call[0])];
      let [, report, single] = /** @type {any} */ (/^(report)|^track(Single)?(Custom)?$/.exec(flat[0]));
      let place = report ? 2 : single ? 4 : 3;
      let order = (flat[place - 1] ??= {}).order_id;
      // The Pixel reads the id by either key, nested, or as a number.
      if (!/event(ID|_id)":("[^"]|0\.|[1-9])/.test(JSON.stringify(flat[place]))) {
        flat[place] = {
          ...flat[place],
          // Without a digit it is no order's number but a variable that nobody filled in.
          eventID: /Purchase,.*[1-9]/.test(/** @type {any} */ ([flat[place - 2], order]))
            ? "__ORDERS__" + order
            : Math.random(),
        };
        call = trim ? flat : [flat];
      }
    } catch {}
    kept.push([call, 1, Date.now()]);
    return call;
  };

  /**
   * @param {any} object @param {string} name @param {(value: any) => any} change @param {any} [value]
   * @param {any} [set] what stood there waits for a value too, as the accessor of Meta's plugin for WooCommerce does
   */
  let trap = (object, name, change, value = object[name], set = object.__lookupSetter__(name)) => (
    object.__defineGetter__(name, () => value),
    object.__defineSetter__(name, (/** @type {any} */ next) => ((value = next && change(next)), set?.(value))),
    value && (object[name] = value),
    1
  );

  // A snippet that stands in a page twice, or comes after the tag, must not take the accessor over.
  kept.on ||= trap(
    self,
    "fbq",
    (fbq) => (
      trap(fbq, "callMethod", (take) => (/** @param {any[]} call */ (...call) => take.apply(fbq, hear(call)))),
      trap(
        fbq,
        "queue",
        (queue) => (
          (queue.push = (/** @type {any[]} */ ...calls) => /** @type {any[]} */ ([]).push.apply(queue, calls.map(hear))),
          queue
        ),
      ),
      fbq
    ),
  );
}
