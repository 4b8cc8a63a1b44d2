// The tag, part 7 of 7: what the page does that matters to it, and the start.

const looked = guard((event) => {
  look();
  // Events that waited may have been fired now; the answer to that update renews cookies that the Pixel wrote.
  if (/fbevents|signals/.test(event.target.src)) flush(event.type == "error");
});

const leave = guard(() => {
  if (!doc.hidden) return;
  view();
  flush(1);
  if (!onHold && batches[0]) {
    localStorage[address] = JSON.stringify(batches);
    batches = [];
  }
});

// A tag included twice: the second copy is inert.
if (address && trapped.push != now) {
  trapped.on = trapped.push = now;
  trapped.map((/** @type {[Call, unknown, number]} */ entry) => hear(...entry));
  look();
  setInterval(look, 1e3);
  // As the Pixel does it, with the same blind spots; a page may have taken the methods before.
  if (!noRoutes)
    ["pushState", "replaceState"].map((method) => {
      const change = /** @type {any} */ (history)[method];
      /** @type {any} */ (history)[method] = (/** @type {any[]} */ ...values) => {
        view();
        change.apply(history, values);
        route();
      };
    });
  addEventListener("online", resume);
  addEventListener("popstate", route);
  addEventListener("pageshow", (event) => event.persisted && !page.fbq?.callMethod && view(true));
  doc.addEventListener("load", looked, true);
  doc.addEventListener("error", looked, true);
  doc.addEventListener("prerenderingchange", resume);
  doc.addEventListener("visibilitychange", leave);
  if (EXTRAS) ask && ask(commands.consent);
}
