/**
 * The tag: hears every `fbq` call, gives each event an id, and sends a copy of it to the proxy.
 *
 * `window.fbq` is never replaced. Its stub keeps its identity; two of its properties, `callMethod` (where
 * the Pixel takes calls) and `queue` (where they wait for it), become accessors through which calls pass.
 *
 * The proxy puts the settings of the site in place of the string "__SITE__", once, at start:
 *   collect  last part of the address that takes events, beside this file
 *   consent  "pixel": obey fbq('consent', …); "required": hold everything until a grant
 *   gpc      what Global Privacy Control means here: "drop", "ldu" or "ignore"
 */
(() => {
  "use strict";

  /**
   * @typedef {{ collect: string, consent: "pixel" | "required", gpc: "drop" | "ldu" | "ignore" }} Site
   * @typedef {Record<string, unknown>} Bag
   * @typedef {ArrayLike<any>} Call
   * @typedef {{ name: string, id: string, at: number, pixels: string[], data?: Bag, pixel?: string }} Told
   * @typedef {Told & { _waits?: () => unknown }} Copy
   * @typedef {{ url: string, consent: string, events?: undefined }} Withdrawal
   * @typedef {{ url: string, dpo?: unknown, events: Copy[], match?: Bag, fates?: Bag[], [more: string]: unknown }} Letter
   * @typedef {{ _match?: Bag, _single?: unknown }} Pixel
   */

  const site = /** @type {Site} */ (/** @type {unknown} */ ("__SITE__"));
  const page = /** @type {any} */ (window);
  const { webdriver, globalPrivacyControl: gpc } = /** @type {any} */ (navigator);
  const referrer = document.referrer || undefined;
  const now = Date.now;

  const address = /** @type {HTMLScriptElement} */ (document.currentScript)?.src.replace(/[^/]*$/, site.collect);
  // A tag included twice: the second copy is inert.
  const flag = Symbol.for(address);
  if (!address || page[flag]) return;
  page[flag] = true;

  // The proxy reads stranger click ids from the address; these are safe to write as they are.
  const click = /[?&#]fbclid=(?![\w.-]*javascript)([\w.-]{1,500})(?![^&#\s])/i
    .exec(`${location.href} ${referrer}`)?.[1]
    .replace(/\./g, "__DOT__");

  /** @type {any} */
  const pixels = { __proto__: null };
  /** @type {Bag | undefined} */
  let user;
  /** @type {unknown} */
  let dpo;
  let cookieless = gpc && site.gpc == "drop";
  let held = site.consent == "required";
  let consent = "unknown";
  /** Whether there is anything to withdraw. */
  let spoke = false;

  /** @type {string[]} */
  const mirrored = [];
  /** @type {Letter[]} Newest first. */
  const drafts = [];
  /** @type {Copy[]} Mirrored events whose fate is not known. */
  let waiting = [];
  let broken = false;

  /** @type {(Letter | Withdrawal)[]} What the proxy did not take yet. */
  const unsent = [];
  let pause = 1;
  let timer = 0;

  const heard = new WeakSet();

  /** @param {(...given: any[]) => any} work */
  const guard =
    (work) =>
    /** @param {any[]} given */
    (...given) => {
      try {
        return work(...given);
      } catch {}
    };

  /** @param {unknown} value */
  const weigh = (value) => new Blob([JSON.stringify(value)]).size;

  /** @param {unknown} given @returns {Bag | undefined} what JSON can carry of an object, unless nothing or too much */
  const copy = guard((given) => {
    const text = JSON.stringify(given);
    if (/^{"/.test(text) && weigh(text) < 48e3) return JSON.parse(text);
  });

  // Only secure contexts have randomUUID.
  const makeId = () => crypto.randomUUID?.() || crypto.getRandomValues(new Uint32Array(4)).join("-");

  /** @param {string} name */
  const readCookie = (name) => document.cookie.match(`(^|; )${name}=(fb[^;]+)`)?.[2];

  /**
   * Where the Pixel writes: on the shortest suffix of the host that the browser accepts, found by trying.
   *
   * @param {string} name @param {string} rest @param {number} seconds
   */
  const writeCookie = (name, rest, seconds) =>
    location.hostname.split(".").some((_, index, labels) => {
      const value = `fb.${index}.${rest}`;
      const domain = labels.slice(~index).join(".");
      document.cookie = `${name}=${value};domain=${domain};path=/;max-age=${seconds};samesite=lax`;
      return readCookie(name) == value;
    });

  /** @param {string} name @param {unknown} payload @param {any} same what a cookie that may stay contains */
  const keepCookie = (name, payload, same) => {
    if (!cookieless && payload && !readCookie(name)?.includes(same))
      writeCookie(name, `${now()}.${payload}`, 7776e3);
    return readCookie(name);
  };

  /** @param {Letter | Withdrawal} letter */
  const post = async (letter) => {
    const body = JSON.stringify({ v: 1, sent: now(), ...letter });
    try {
      const answer = await fetch(address, {
        method: "POST",
        body,
        credentials: "include",
        // All keepalive requests of a page share 64 KiB; above that `fetch` refuses.
        keepalive: body.length < 1e4,
      });
      if (/408|429|5../.test(/** @type {any} */ (answer.status))) throw answer;
      pause = 1;
    } catch (/** @type {any} */ problem) {
      if (unsent.push(letter) > 20) unsent.shift();
      timer ||= setTimeout(
        resend,
        Math.max(+problem.headers?.get("Retry-After") || 0, (pause = Math.min(pause * 2, 99))) * (1 + Math.random()) * 1e3,
      );
    }
  };

  // Consent may have changed meanwhile: a withdrawal goes out only while held, events only otherwise.
  const resend = () => {
    timer = 0;
    unsent.splice(0).map((letter) => !letter.events == held && post(letter));
  };

  /** @param {unknown} [data] what must fit in @returns {Letter} */
  const draft = (data) => {
    const url = location.href;
    const [last] = drafts;
    if (!last || last.url != url || last.dpo != dpo || weigh([last, data]) > 58e3) {
      queueMicrotask(flush);
      drafts.unshift({ url, referrer, dpo, webdriver: webdriver || undefined, gpc: gpc || undefined, events: [] });
    }
    return drafts[0];
  };

  /** @param {any} [cause] an event of the page, or one of ours whose time is up */
  const flush = guard((cause) => {
    if (held) return;
    waiting = waiting.filter((event) => {
      const { name, id, pixel: before } = event;
      const pixel = !event._waits?.() ? "fired" : broken || cause == event || cause?.type ? "blocked" : "pending";
      event.pixel = pixel;
      if (!before) setTimeout(flush, 1e4, event);
      else if (before != pixel) (draft().fates ||= []).push({ name, id, pixel });
      return pixel == "pending";
    });
    for (let letter; (letter = drafts.pop()); ) {
      spoke = true;
      const fbp = keepCookie("_fbp", Math.floor(Math.random() * 1e18), "");
      const fbc = keepCookie("_fbc", click, click);
      post({ ...letter, fbp, fbc, consent });
    }
  });

  /** @type {Record<string, (...given: any[]) => void>} */
  const commands = {
    init(id, match) {
      // A later init adds matching data only where the first gave none.
      if (/^\d+$/.test(id)) (pixels[id] ||= {})._match ||= copy(match);
    },

    consent(verb) {
      const withdrawn = spoke;
      if (!/^(grant|revoke)$/.test(verb)) return;
      held = verb == "revoke";
      spoke = !held;
      consent = held ? "unknown" : "granted";
      if (held && withdrawn) {
        writeCookie("_fbp", "", 0);
        writeCookie("_fbc", "", 0);
        post({ url: location.href, consent: "revoked" });
      }
      queueMicrotask(flush);
    },

    dataProcessingOptions(options, country, state) {
      // The Pixel takes one argument or three, and ignores two.
      if ((country == null) == (state == null)) dpo = [options.map(String), +country || 0, +state || 0];
    },

    set(key, value, id) {
      if (key == "userData") user = { ...user, ...copy(value) };
      if (key == "firstPartyCookies" && value === false) cookieless = true;
      if (key == "trackSingleOnly") pixels[id]._single = value;
    },
  };
  commands.addPixelId = commands.init;

  /** @type {(call: Call, queue?: Call[]) => Call | undefined} */
  const rewrite = guard((call, queue) => {
    const [command, ...given] = Array.isArray(call[0]) ? call[0] : /** @type {any[]} */ (call);
    const track = /^track(Single)?(Custom)?$/.exec(command);
    if (!track) return void commands[command](...given);
    const only = track[1] && given.shift();
    const [name, data, options] = given;
    if (typeof name != "string") return;
    // The Pixel reads the id by either key, nested, or as a number.
    let id = options && (options.eventID || options.event_id);
    id = id?.eventID || id;
    if (!id || !/string|number/.test(typeof id)) {
      id = makeId();
      // A copy: the page may use its object again for another event.
      given.splice(1, 2, data ?? {}, { ...options, eventID: id });
      call = [command, ...(track[1] ? [only] : []), ...given];
    }
    id += "";
    /** @type {Copy} */
    const event = { name, id, at: now(), pixels: [], data: copy(data) };
    // The Pixel's silent rules: nobody hears an event before init, a pixel set to trackSingleOnly hears no track,
    // and each pixel hears one tracked PageView a page.
    const rare = !track[1] && name == "PageView" && !page.fbq?.allowDuplicatePageViews;
    for (const key in pixels) {
      /** @type {Pixel} */
      const pixel = pixels[key];
      const mark = key + name + (rare ? "" : id);
      if (mirrored.includes(mark) || (track[1] ? key !== only : pixel._single)) continue;
      if (mirrored.push(mark) > 999) mirrored.shift();
      const letter = draft(event);
      if (!event.pixels[0]) {
        letter.events.push(event);
        waiting.push(event);
      }
      event.pixels.push(key);
      if (pixel._match || user) letter.match = { ...letter.match, [key]: { ...pixel._match, ...user } };
    }
    // The Pixel puts a call back on its queue while it waits for consent or for its config.
    for (const other of waiting)
      if (other.id == id && other.name == name) other._waits = () => queue?.includes(call);
    return call;
  });

  /** @param {Call} call @param {Call[]} [queue] where it waits @returns what the Pixel shall see of it */
  const hear = (call, queue) => rewrite(call, queue) || call;

  /**
   * Until it is assigned, a trapped property reads as undefined and is not enumerable, as if it were not there:
   * Meta's base code does nothing when `window.fbq` is truthy.
   *
   * @param {any} object @param {string} key @param {(value: any) => any} change
   */
  const trap = (object, key, change) => {
    let value = change(object[key]);
    /** @param {boolean} enumerable */
    const define = guard((enumerable) =>
      Object.defineProperty(object, key, {
        configurable: true,
        enumerable,
        get: () => value,
        set(next) {
          value = change(next);
          define(true);
        },
      }),
    );
    define(key in object);
  };

  /** @param {(value: any) => void} work */
  const once = (work) => /** @param {any} value */ (value) => {
    guard(() => heard.has(value) || work(heard.add(value) && value))();
    return value;
  };

  const hearQueue = once((queue) => {
    const { push } = queue;
    queue.forEach(/** @param {Call} call @param {number} index */ (call, index) => {
      queue[index] = hear(call, queue);
    });
    queue.push = /** @param {Call[]} calls */ (...calls) =>
      push.apply(
        queue,
        calls.map((call) => hear(call, queue)),
      );
  });

  const hearCalls = once((fbq) => {
    trap(
      fbq,
      "callMethod",
      (take) =>
        take &&
        // The Pixel treats a call without `this`, as Google Tag Manager's stub makes, as one of its own.
        /** @this {any} */ function () {
          return take.apply(this || fbq, hear(arguments));
        },
    );
    // Pixels whose init was taken before the tag came.
    fbq.getState?.().pixels?.map((/** @type {any} */ { id, eventCount }) => {
      commands.init(id);
      if (eventCount) mirrored.push(`${id}PageView`);
    });
    trap(fbq, "queue", hearQueue);
  });

  addEventListener("pagehide", flush);
  addEventListener("online", resend);
  addEventListener(
    "error",
    (event) => {
      if (/fbevents|signals/.test(/** @type {any} */ (event.target).src)) {
        broken = true;
        flush();
      }
    },
    true,
  );
  trap(window, "fbq", hearCalls);
})();
