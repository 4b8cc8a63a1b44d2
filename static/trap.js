/**
 * The trap: stands in the page before Meta's base code, gives events their ids, and keeps the calls for the tag.
 *
 * So the tag itself may come late: what the Pixel takes until then has an id already, and none of it is missed. The tag
 * finds the kept calls under the symbol below and hears all others by itself. It stands in every page of the site, so
 * each byte counts: hence `let`, and accessors defined the old way, which are enumerable and configurable by nature.
 *
 * The proxy puts what the id of an order begins with in place of "__ORDERS__": nothing where orders give no ids.
 */
(() => {
  /** @type {[call: any[], queue: undefined, at: number][]} */
  let kept = (/** @type {any} */ (window)[Symbol.for("fbq")] = []);

  /** @param {any} call @returns {any} the same, flat, and with an id if it is an event */
  let hear = (call) => {
    try {
      call = [...(call[0].trim ? call : call[0])];
      kept.push([call, , Date.now()]);
      let [, report, single] = /** @type {any} */ (/^(report)|^track(Single)?(Custom)?$/.exec(call[0]));
      let place = report ? 2 : single ? 4 : 3;
      let options = call[place];
      let order = (call[place - 1] ??= {}).order_id;
      // Without a digit it is no order's number but a variable that nobody filled in.
      let orders = /Purchase,.*[1-9]/.test(/** @type {any} */ ([call[place - 2], order])) && "__ORDERS__";
      options?.eventID ||
        options?.event_id ||
        (call[place] = { ...options, eventID: orders ? orders + order : Math.random() + "" });
    } catch {}
    return call;
  };

  /** @param {any} object @param {string} name @param {(value: any) => any} change @param {any} [value] */
  let trap = (object, name, change, value = change(object[name])) => {
    object.__defineGetter__(name, () => value);
    object.__defineSetter__(name, (/** @type {any} */ next) => (value = change(next)));
  };

  trap(
    window,
    "fbq",
    (fbq) =>
      fbq &&
      (trap(fbq, "callMethod", (take) => take && (/** @param {any[]} call */ (...call) => take.apply(fbq, hear(call)))),
      trap(
        fbq,
        "queue",
        (queue) =>
          queue && ((queue.push = (/** @type {any[]} */ ...calls) => /** @type {any[]} */ ([]).push.call(queue, ...calls.map(hear))), queue),
      ),
      fbq),
  );
})();
