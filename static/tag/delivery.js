// The tag, part 3 of 7: batches of events on their way to the proxy, and the cookies that go with them.

/** @param {string} name @param {string} value empty: the cookie ends */
const writeCookie = (name, value) => {
  doc.cookie = `${name}=${value};domain=${domain};path=/;max-age=${value ? 7776e3 : 0}`;
};

/** @type {() => any} takes batches that this or an earlier page put aside; they never hold contact data */
const unshelve = guard(() => {
  const text = localStorage[address];
  delete localStorage[address];
  return text && JSON.parse(text);
});

/** @param {Batch} batch */
const post = async (batch) => {
  const cookies = doc.cookie;
  /**
   * @param {string} name @param {unknown} payload
   * @param {any} same what a cookie that may stay contains
   */
  const ensureCookie = (name, payload, same) => {
    let value = cookies.match(`\\b${name}=(fb[^;]+)`)?.[1];
    if (!onHold && !cookieless && payload && !value?.includes(same))
      writeCookie(name, (value = stamp + now() + "." + payload));
    return value;
  };
  heard.add(batch);
  try {
    const body = JSON.stringify({
      consent,
      sent: now(),
      gpc,
      v: 1,
      webdriver: navigator.webdriver,
      fbp: ensureCookie("_fbp", Math.floor(Math.random() * 1e18), ""),
      fbc: ensureCookie("_fbc", click, click),
      match: !onHold && pixels,
      ...batch,
    });
    const answer = await fetch(address, {
      credentials: "include",
      method: "POST",
      body,
      // All keepalive requests of a page share 64 KiB; above that `fetch` refuses.
      keepalive: body.length < 4e3,
    });
    if (/408|429|5../.test(/** @type {any} */ (answer.status))) throw answer;
    // The proxy says 204, or 200 with JSON. Another 200 is of somebody who answers in its place.
    if (answer.status == 200) await answer.json();
    batches = batches.filter((waitingBatch) => waitingBatch != batch);
    pause = 1;
  } catch (/** @type {any} */ problem) {
    heard.delete(batch);
    timer ||= setTimeout(
      resume,
      (1 + Math.random()) * 1e3 * (+problem.headers?.get("Retry-After") || (pause *= 2)),
    );
  }
};

/** Makes a new draft where the last one cannot take what comes now. */
const renew = () => {
  bytesLeft -= 200;
  if (!batches.includes(draft) || heard.has(draft) || draft.url != location || bytesLeft < 0) {
    bytesLeft = 2e4;
    draft = { url: location + "", referrer: doc.referrer, dpo, events: [], fates: [] };
    batches[19] || batches.push(draft);
    queueMicrotask(flush);
  }
};

/** @param {any} [last] whether what waits for the Pixel will wait for ever */
const flush = guard((last) => {
  broken ||= last;
  if (!onHold) {
    Object.values(mirrored).map((event) => {
      const { name, id, pixel: before } = event;
      const pixel = (event.pixel =
        EXTRAS && away ? "pending" : event._waits?.() ? (broken ? "blocked" : "pending") : "fired");
      if (!before) setTimeout(flush, 1e4, 1);
      else if (before != pixel) {
        renew();
        draft.fates.push({ name, id, pixel });
      }
    });
    unshelve()?.map((/** @type {Batch} */ batch) => batch.events?.[0]?.at > now() - 864e5 && batches.push(batch));
  }
  if (timer || doc.prerendering) return;
  batches.map((batch) => heard.has(batch) || !batch.events != onHold || post(batch));
});

const resume = () => {
  timer = 0;
  flush();
};
