/**
 * The base code, for sites whose templates have none: the stub, `init` of each pixel, a PageView, and the Pixel itself.
 *
 * The proxy appends it to the tag and puts the site's settings in place of "__PIXEL__": see below.
 */
(() => {
  // The pixels; whether the Pixel waits for a grant; whether Global Privacy Control keeps it away.
  const [ids, needsGrant, gpcDrops] = /** @type {[string[], unknown, unknown]} */ (/** @type {unknown} */ ("__PIXEL__"));
  const page = /** @type {any} */ (window);
  if (page.fbq) return;

  /** @type {any} */
  const fbq = (page.fbq = page._fbq = (/** @type {any[]} */ ...call) => {
    fbq.callMethod ? fbq.callMethod(...call) : fbq.queue.push(call);
    if (/** @type {any} */ (call) == "consent,grant") load();
  });
  let load = () => {
    load = () => {};
    // The Pixel never runs a grant that waits behind a revoke; it has not been here to obey either.
    fbq.queue = fbq.queue.filter((/** @type {any[]} */ [command]) => command != "consent");
    if (gpcDrops && /** @type {any} */ (navigator).globalPrivacyControl) return;
    const script = document.createElement("script");
    script.src = "https://connect.facebook.net/en_US/fbevents.js";
    document.head.append(script);
  };
  fbq.push = fbq;
  fbq.loaded = true;
  fbq.version = "2.0";
  fbq.queue = [];
  needsGrant || load();
  for (const id of ids) fbq("init", id);
  fbq("track", "PageView");
})();
