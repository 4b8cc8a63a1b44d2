// The tag, part 5 of 7: events, heard from calls of `fbq`, and PageViews of routes, which the tag sends by itself.

/** @param {any} [wanted] */
const view = guard((wanted = due) => {
  due = false;
  if (wanted) Object.keys(pixels).map((id) => singleOnly[id] || page.fbq("trackSingle", id, "PageView"));
});

const route = guard(() => {
  const before = viewed;
  view();
  viewed &&= location + "";
  due =
    viewed != before &&
    !noRoutes &&
    // The Pixel watches routes from its first event on; where none will come any more, the tag does so for it.
    // With the page "complete", a Pixel that is not there has failed to load, though the tag came too late to hear it.
    (broken ||
      (doc.readyState < "d" && !page.fbq.callMethod) ||
      !Object.values(mirrored).every((event) => event._waits?.()));
  // Later, since some pages send a PageView themselves; but before any other event and before the next change.
  setTimeout(view);
});

/**
 * Mirrors an event, or obeys another command.
 *
 * @param {any} call @param {any} [queued] @param {number} [at]
 * @returns {Call} what the Pixel shall see of it
 */
const hear = (call, queued, at = now()) => {
  guard(() => {
    // What the snippet kept stands in the queue too, and a queue may move to another stub.
    if (heard.has(call) || !heard.add(call)) return;
    const flat = call[0].trim;
    const [command, ...values] = flat ? call : call[0];
    if (CHECK) watch.call(values, command);
    const [track, report, single] = /^report(.+)|^track(Single)?(Custom)?$/.exec(command) || [];
    if (!track) return commands[command](...values);
    const index = report ? 1 : single ? 3 : 2;
    const data = (values[index - 1] ??= {});
    const name = report == "CustomEvent" ? data.event : report || values[index - 2];
    // The Pixel reads the id by either key, nested, or as a number.
    let id = values[index]?.eventID || values[index]?.event_id;
    id = id?.eventID || id;
    // The Pixel refuses a trackSingle that waits as one array.
    if (!name.trim || (single && queued && !flat)) return;
    const isPageView = name == "PageView";
    isPageView || view();
    // Of the types only a string and a number have an r.
    if (!/r/.test(id && typeof id)) {
      // Without a digit it is no order's number but a variable that nobody filled in.
      const ordered = /Purchase,.*[1-9]/.test(/** @type {any} */ ([name, data.order_id]));
      // By its first 13 digits, the time in milliseconds, the proxy knows where to look for repeats of an id.
      id = ordered ? "__ORDERS__" + data.order_id : at + "" + Math.random();
      values[index] = { ...values[index], eventID: id };
      call = [command, ...values];
      heard.add((call = flat ? call : [call]));
    }
    /** @type {MirroredEvent} */
    const event = { name, id: id + "", at, pixels: [], data: copy(data) };
    // The Pixel's silent rules: nobody hears an event before init, a pixel set to trackSingleOnly hears no track,
    // and each pixel hears one tracked PageView a page.
    if (EXTRAS && away && !Object.keys(pixels)[0]) forwarded?.map((pixel) => commands.init(pixel));
    Object.keys(pixels).map((pixel) => {
      if (single ? pixel !== values[0] : singleOnly[pixel]) return;
      const key = pixel + name + (isPageView && !single && !page.fbq?.allowDuplicatePageViews ? "" : id);
      if (!mirrored[key]) {
        renew();
        mirrored[key] = event;
        if (event.pixels.push(pixel) < 2) draft.events.push(event);
        if (!viewed || isPageView) {
          viewed = draft.url;
          due = false;
        }
      }
      // The Pixel puts a call back on its queue while it waits for consent or for its config.
      mirrored[key]._waits = () => waiting.includes(call);
    });
    if (CHECK) watch.event(values, event);
  })();
  return call;
};
