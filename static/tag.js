/**
 * The tag: hears every `fbq` call, gives each event an id, and sends a copy of it to the proxy.
 *
 * `window.fbq` is never replaced. Its stub keeps its identity; two of its properties, `callMethod` (where the Pixel
 * takes calls) and `queue` (where they wait for it), become accessors through which calls pass. What the trap in the
 * page kept before is taken first (trap.js).
 *
 * The proxy puts the settings of the site in place of "__SITE__" and "__EXTRAS__", once, at start: see `Site` and
 * `Extras`; and what the id of an order begins with in place of "__ORDERS__": where orders give no ids, a number that is
 * another each time. The build makes two files of this one: with EXTRAS, for the sites that need them, and without.
 *
 * Budget: what repeats in the same words costs nearly nothing compressed; so `map` stands for every loop.
 */
(() => {
  /**
   * @typedef {[collect: string, domain: string, stamp: string, quiet: unknown, held: unknown, gpcDrops: unknown]} Site
   *   collect: last part of the address that takes events, beside this file; domain: where cookies stand; stamp: what
   *   their values begin with; quiet: nobody asks for PageViews of routes; held: everything waits for a grant;
   *   gpcDrops: Global Privacy Control keeps the page from making cookies
   * @typedef {[limited: unknown, ask: ((tell: (verb: string) => void) => void) | 0, forwarded?: string[]]} Extras
   *   limited: Global Privacy Control means Limited Data Use; ask: where else than in `fbq` consent is given;
   *   forwarded: pixels that hear an event where no `init` was heard on the page
   * @typedef {Record<string, any>} Bag
   * @typedef {ArrayLike<any>} Call
   * @typedef {{ name: string, id: string, at: number, pixels: string[], data?: Bag, pixel?: string }} Told
   * @typedef {Told & { _waits?: () => unknown }} Copy
   * @typedef {Bag} Letter has events, and news of them; without, it is a withdrawal
   */

  let [collect, domain, stamp, quiet, held, gpcDrops] = /** @type {Site} */ (/** @type {unknown} */ ("__SITE__"));
  /** @type {unknown} */
  let limited;
  /** @type {any} */
  let ask;
  /** @type {Extras[2]} */
  let forwarded;
  if (EXTRAS) [limited, ask, forwarded] = /** @type {Extras} */ (/** @type {unknown} */ ("__EXTRAS__"));
  const page = /** @type {any} */ (window);
  const now = Date.now;
  const gpc = /** @type {any} */ (navigator).globalPrivacyControl;

  const address = /** @type {any} */ (document.currentScript)?.src.replace(/[^/]*$/, collect);
  const kept = (page[Symbol.for("fbq")] ||= []);
  // A tag included twice: the second copy is inert.
  if (!address || kept.push == now) return;
  kept.on = kept.push = now;

  // The proxy reads stranger click ids from the address; these are safe to write as they are.
  const click = /[?&#]fbclid=([\w-]{1,500})(?![^&#\s])/.exec(location + " " + document.referrer)?.[1];

  /** @type {Record<string, Bag>} Matching data of each pixel. */
  const pixels = /** @type {any} */ ({});
  /** @type {Bag} Pixels that hear no `track`. */
  const aloof = {};
  /** @type {any} */
  let dpo;
  let cookieless = gpc && gpcDrops;
  // Where Global Privacy Control means Limited Data Use, the Pixel has to hear of it before any event.
  const limit = EXTRAS && limited && gpc && ["dataProcessingOptions", ["LDU"], 0, 0];

  /** @type {Record<string, any>} The events each pixel heard. */
  const mirrored = {};
  /** @type {unknown} */
  let broken;
  /** @type {unknown} Whether the Pixel runs where the page cannot see what it does. */
  let away;

  /** @type {Letter[]} What the proxy did not take yet. */
  let letters = [];
  /** @type {Letter} The one that takes events. */
  let draft = {};
  /** Bytes left in it, its first event apart: so all its events have less than 60,000. */
  let room = 0;
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

  /** Calls, stubs and queues; and letters on their way. */
  const heard = new WeakSet();
  /** @type {any[]} Calls that wait for the Pixel. */
  let waiting = [];

  /** @param {(...given: any[]) => any} work */
  const guard =
    (work) =>
    /** @param {any[]} given */
    (...given) => {
      try {
        return work(...given);
      } catch {}
    };

  /** @param {unknown} given @returns {Bag | undefined} what JSON can carry of an object, unless nothing or too much */
  const copy = guard((given) => {
    const text = JSON.stringify(given);
    const size = new Blob([text]).size;
    if (/^{"/.test(text) && size < 4e4) {
      room -= size;
      return JSON.parse(text);
    }
  });

  /** @param {string} name @param {string} value none ends the cookie */
  const writeCookie = (name, value) => {
    document.cookie = `${name}=${value};domain=${domain};path=/;max-age=${value ? 7776e3 : 0}`;
  };

  /** @type {() => any} the letters that were put aside, by this or an earlier page; they never hold contact data */
  const unshelve = guard(() => {
    const text = localStorage[address];
    delete localStorage[address];
    return JSON.parse(text);
  });

  /** @param {Letter} letter */
  const post = async (letter) => {
    const cookies = document.cookie;
    /**
     * @param {string} name @param {unknown} payload
     * @param {any} same what a cookie that may stay contains
     */
    const keepCookie = (name, payload, same) => {
      let value = cookies.match(`\\b${name}=(fb[^;]+)`)?.[1];
      if (!held && !cookieless && payload && !value?.includes(same))
        writeCookie(name, (value = stamp + now() + "." + payload));
      return value;
    };
    heard.add(letter);
    try {
      const body = JSON.stringify({
        consent,
        sent: now(),
        gpc,
        v: 1,
        webdriver: navigator.webdriver,
        fbp: keepCookie("_fbp", Math.floor(Math.random() * 1e18), ""),
        fbc: keepCookie("_fbc", click, click),
        match: !held && pixels,
        ...letter,
      });
      const answer = await fetch(address, {
        credentials: "include",
        method: "POST",
        body,
        // All keepalive requests of a page share 64 KiB; above that `fetch` refuses.
        keepalive: body.length < 4e3,
      });
      if (/408|429|5../.test(/** @type {any} */ (answer.status))) throw answer;
      // The proxy says 204, or 200 with JSON. What is not is of somebody who answers in its place.
      if (answer.status == 200) await answer.json();
      letters = letters.filter((one) => one != letter);
      pause = 1;
    } catch (/** @type {any} */ problem) {
      heard.delete(letter);
      timer ||= setTimeout(
        resume,
        (+problem.headers?.get("Retry-After") || (pause *= 2)) * (1 + Math.random()) * 1e3,
      );
    }
  };

  /** Makes a new draft where the last one cannot take what comes now. */
  const renew = () => {
    room -= 200;
    if (!letters.includes(draft) || heard.has(draft) || draft.url != location || room < 0) {
      room = 2e4;
      draft = { url: location + "", referrer: document.referrer, dpo, events: [], fates: [] };
      letters[19] || letters.push(draft);
      queueMicrotask(flush);
    }
  };

  /** @param {any} [last] whether what waits for the Pixel will wait for ever */
  const flush = guard((last) => {
    broken ||= last;
    if (!held) {
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
      unshelve()?.map((/** @type {Letter} */ one) => one.events?.[0]?.at > now() - 864e5 && letters.push(one));
    }
    if (timer || /** @type {any} */ (document).prerendering) return;
    letters.map((one) => heard.has(one) || !one.events != held || post(one));
  });

  const resume = () => {
    timer = 0;
    flush();
  };

  /** @param {any} id @param {unknown} [match] */
  const init = (id, match) => {
    if (id > 0) pixels[id] = { ...copy(match), ...pixels[id] };
  };

  /** @type {Record<string, (...given: any[]) => void>} */
  const commands = {
    init,
    addPixelId: init,

    consent(verb) {
      if (verb == "grant") {
        held = false;
        consent = "granted";
      }
      if (verb == "revoke") {
        if (viewed && !held) {
          writeCookie("_fbp", "");
          writeCookie("_fbc", "");
          unshelve();
          letters = [{ consent: "revoked" }];
        }
        held = true;
      }
      queueMicrotask(flush);
    },

    dataProcessingOptions(...given) {
      // The Pixel takes one argument or three, and ignores two.
      if (given.length == 2) return;
      dpo = given;
      draft = {};
    },

    set(key, value, id) {
      if (key == "userData") Object.keys(pixels).map((one) => (pixels[one] = { ...pixels[one], ...copy(value) }));
      cookieless ||= key == "firstPartyCookies" && !value;
      if (key == "trackSingleOnly") aloof[id] = value;
    },
  };

  /** @param {any} [wanted] */
  const view = guard((wanted = due) => {
    due = false;
    if (wanted) Object.keys(pixels).map((id) => aloof[id] || page.fbq("trackSingle", id, "PageView"));
  });

  const route = guard(() => {
    const before = viewed;
    view();
    viewed &&= location + "";
    due =
      viewed != before &&
      !quiet &&
      // The Pixel watches routes from its first event on; where none will come any more, the tag does so for it.
      // With the page "complete", a Pixel that is not there has failed to load, though the tag came too late to hear it.
      (broken ||
        (document.readyState < "d" && !page.fbq.callMethod) ||
        !Object.values(mirrored).every((event) => event._waits?.()));
    // Later, since some pages send a PageView themselves; but before any other event and before the next change.
    setTimeout(view);
  });

  /**
   * @param {any} call @param {any} [queued] @param {number} [at]
   * @returns {Call} what the Pixel shall see of it
   */
  const hear = (call, queued, at = now()) => {
    guard(() => {
      // What the snippet kept stands in the queue too, and a queue may move to another stub.
      if (heard.has(call) || !heard.add(call)) return;
      const flat = call[0].trim;
      const [command, ...given] = flat ? call : call[0];
      const [track, report, single] = /^report(.+)|^track(Single)?(Custom)?$/.exec(command) || [];
      if (!track) return commands[command](...given);
      const place = report ? 1 : single ? 3 : 2;
      const data = (given[place - 1] ??= {});
      const name = report == "CustomEvent" ? data.event : report || given[place - 2];
      // The Pixel reads the id by either key, nested, or as a number.
      let id = given[place]?.eventID || given[place]?.event_id;
      id = id?.eventID || id;
      // The Pixel refuses a trackSingle that waits as one array.
      if (!name.trim || (single && queued && !flat)) return;
      const shows = name == "PageView";
      shows || view();
      // Of the types only a string and a number have an r.
      if (!/r/.test(id && typeof id)) {
        // Without a digit it is no order's number but a variable that nobody filled in.
        const ordered = /Purchase,.*[1-9]/.test(/** @type {any} */ ([name, data.order_id]));
        given[place] = { ...given[place], eventID: (id = ordered ? "__ORDERS__" + data.order_id : Math.random()) };
        call = [command, ...given];
        heard.add((call = flat ? call : [call]));
      }
      id += "";
      /** @type {Copy} */
      const event = { name, id, at, pixels: [], data: copy(data) };
      // The Pixel's silent rules: nobody hears an event before init, a pixel set to trackSingleOnly hears no track,
      // and each pixel hears one tracked PageView a page.
      if (EXTRAS && away && !Object.keys(pixels)[0]) forwarded?.map((pixel) => commands.init(pixel));
      Object.keys(pixels).map((key) => {
        if (single ? key !== given[0] : aloof[key]) return;
        const mark = key + name + (shows && !single && !page.fbq?.allowDuplicatePageViews ? "" : id);
        if (!mirrored[mark]) {
          renew();
          mirrored[mark] = event;
          if (event.pixels.push(key) < 2) draft.events.push(event);
          if (!viewed || shows) {
            viewed = draft.url;
            due = false;
          }
        }
        // The Pixel puts a call back on its queue while it waits for consent or for its config.
        mirrored[mark]._waits = () => waiting.includes(call);
      });
    })();
    return call;
  };

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
    guard(() => heard.has(value) || work(value, heard.add(value)))();
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
    const hearing = (take) => take && (/** @param {any[]} given */ (...given) => take.apply(fbq, hear(given)));
    trap(fbq, "callMethod", hearing);
    const known = fbq.getState?.()?.pixels;
    // A Pixel that has taken over, but not even an init, waits for a grant; and here none was heard ("granted" < "h").
    if (known == "" && consent > "h" && fbq.queue?.[0]) held = true;
    // Pixels whose init was taken before the tag came. What the Pixel sends by itself has no id; from its first event
    // on it will not be told to leave that to us.
    known?.map((/** @type {any} */ { id, eventCount }) => {
      quiet ||= eventCount && !routing;
      if (pixels[id]) return;
      init(id);
      if (eventCount) mirrored[id + "PageView"] = {};
    });
    if (!quiet) {
      trap(fbq, "disablePushState", (/** @type {any} */ value) => fbq != (quiet = value));
      quiet &&= !routing;
      routing = true;
    }
    trap(fbq, "queue", hearQueue);
    if (EXTRAS) {
      if (limit) fbq.callMethod?.(...limit);
      // A bare forwarder, as Partytown's: the Pixel lives elsewhere, so the function itself may be wrapped.
      queueMicrotask(() => {
        if (fbq.queue || fbq.callMethod || page.fbq != fbq) return;
        // No Proxy: its text is that of native code, and Partytown lets the Pixel's worker see such a function.
        const forwarder = Object.assign((/** @type {any[]} */ ...given) => fbq(.../** @type {any} */ (hear(given))), fbq);
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

  const looked = guard((event) => {
    look();
    // Events that waited may have been fired now; the answer to that news renews cookies that the Pixel wrote.
    if (/fbevents|signals/.test(event.target.src)) flush(event.type == "error");
  });

  const leave = guard(() => {
    if (!document.hidden) return;
    view();
    flush(1);
    if (!held && letters[0]) {
      localStorage[address] = JSON.stringify(letters);
      letters = [];
    }
  });

  kept.map((/** @type {[Call, unknown, number]} */ one) => hear(...one));
  look();
  setInterval(look, 1e3);
  // As the Pixel does it, with the same blind spots; a page may have taken the methods before.
  if (!quiet)
    ["pushState", "replaceState"].map((method) => {
      const change = /** @type {any} */ (history)[method];
      /** @type {any} */ (history)[method] = (/** @type {any[]} */ ...given) => {
        view();
        change.apply(history, given);
        route();
      };
    });
  addEventListener("online", resume);
  addEventListener("popstate", route);
  addEventListener("pageshow", (event) => event.persisted && !page.fbq?.callMethod && view(true));
  document.addEventListener("load", looked, true);
  document.addEventListener("error", looked, true);
  document.addEventListener("prerenderingchange", resume);
  document.addEventListener("visibilitychange", leave);
  if (EXTRAS) ask && ask(commands.consent);
})();
