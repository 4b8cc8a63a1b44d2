/**
 * The trap: stands in the page before Meta's base code, gives events their ids, and keeps the calls for the tag.
 *
 * So the tag itself may come late: what the Pixel takes until then has an id already, and none of it is missed. The tag
 * finds the calls under the symbol below and hears all later ones by itself. The trap stands in every page of the site,
 * so each byte counts: hence `let` and `var`, accessors defined the old way, which are enumerable and configurable by
 * nature, and functions that return what the next call needs.
 *
 * The proxy puts what the id of an order begins with in place of "__ORDERS__"; where orders give no ids, an expression
 * whose value is another each time.
 */
{
  /** @type {any} [call, whether it may wait, when] each; `on` once somebody listens: the trap, or the tag */
  let calls = (/** @type {any} */ (self)[Symbol.for("fbq")] ||= []);

  /** @param {any} call @returns {any} the same, or, if it is an event without an id, a copy that has one */
  let hear = (call) => {
    try {
      /** @type {any} */
      var at = Date.now();
      var isFlat = call[0].trim;
      var flat = [...(isFlat ? call : call[0])];
      var [, report, single] = /** @type {any} */ (/^(report)|^track(Single)?(Custom)?$/.exec(flat[0]));
      var index = report ? 2 : single ? 4 : 3;
      var order = (flat[index - 1] ??= {}).order_id;
      // The Pixel reads the id by either key, nested, or as a number.
      if (!/event(ID|_id)":("[^"]|0\.|[1-9])/.test(JSON.stringify(flat[index]))) {
        flat[index] = {
          ...flat[index],
          // Without a digit it is no order's number but a variable that nobody filled in.
          eventID: /Purchase,.*[1-9]/.test(/** @type {any} */ ([flat[index - 2], order]))
            ? "__ORDERS__" + order
            : at + "" + Math.random(),
        };
        call = isFlat ? flat : [flat];
      }
    } catch {}
    calls.push([call, 1, at]);
    return call;
  };

  /**
   * Makes a property an accessor whose values are changed on their way in.
   *
   * @param {any} object @param {string} name @param {(value: any) => any} change @param {any} [value]
   * @param {any} [set] what stood there waits for a value too, as the accessor of Meta's plugin for WooCommerce does
   * @returns {any} the object
   */
  let trap = (object, name, change, value = object[name], set = object.__lookupSetter__(name)) => (
    object.__defineGetter__(name, () => value),
    object.__defineSetter__(name, (/** @type {any} */ next) => ((value = next && change(next)), set?.(value))),
    value && (object[name] = value),
    object
  );

  // A snippet that stands in a page twice, or comes after the tag, must not take the accessor over.
  calls.on ||= trap(self, "fbq", (fbq) =>
    trap(
      trap(fbq, "callMethod", (take) => (/** @param {any[]} call */ (...call) => take.apply(fbq, hear(call)))),
      "queue",
      (queue) => (
        (queue.push = (/** @type {any[]} */ ...items) => /** @type {any[]} */ ([]).push.apply(queue, items.map(hear))),
        queue
      ),
    ),
  );
}
