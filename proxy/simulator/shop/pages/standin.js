// @ts-check
/**
 * A stand-in for Meta's browser Pixel: what a page can see of it, written anew, so that the demo and the
 * tests need nobody's script and no network. More than 250 lines: a page loads it as one script, as it would the Pixel.
 *
 * Its address may carry settings in the query; addresses default to its own origin:
 *   tr      where events are sent                                         (/tr/)
 *   config  the address to which a pixel id is appended for its config    (/signals/config/)
 *   plugin  the address to which a plugin's file name is appended         (/signals/plugins/)
 *   calls   the name of a global list to which each call taken is added, with what `this` was
 */
(function (window, document) {
  "use strict";

  /** @typedef {Record<string, any>} Bag */
  /** @typedef {{ id: string, userData: Bag, agent?: string, eventCount: number, optIns: Set<string>, pageViewSeen: boolean }} Pixel */
  /** @typedef {{ name: unknown, data?: unknown, eventData?: unknown, tm?: number, es?: string, automatic?: boolean }} Fire */
  /** @typedef {[key: string, value: string][]} Fields */

  const VERSION = "2.9.standin";
  const LONGEST_GET = 2048;
  const LIFE = 90 * 24 * 60 * 60 * 1000;
  const LONGEST_CLICK_ID = 500;
  const STANDARD = new Set(
    (
      "AddPaymentInfo AddToCart AddToWishlist CompleteRegistration Contact CustomizeProduct Donate FindLocation " +
      "InitiateCheckout Lead PageView Purchase Schedule Search StartTrial SubmitApplication Subscribe ViewContent"
    ).split(" "),
  );

  /** Metadata that is taken without a word and shows in nothing here. @type {Set<unknown>} */
  const SILENT = new Set(
    "automaticMatchingConfig cbdata.onetrustid cdn codeless mobileBridge parallelfire releaseSegment smartSetup".split(" "),
  );

  const script = new URL(/** @type {HTMLScriptElement} */ (document.currentScript).src);
  const configBase = script.searchParams.get("config") || new URL("/signals/config/", script).href;
  const pluginBase = script.searchParams.get("plugin") || new URL("/signals/plugins/", script).href;
  /** @type {unknown[] | undefined} */
  const calls = window[script.searchParams.get("calls") || ""];
  let endpoint = script.searchParams.get("tr") || new URL("/tr/", script).href;

  /** @type {Map<string, Pixel>} */
  const pixels = new Map();
  /** @type {Set<string>} */
  const locks = new Set();
  /** @type {Map<string, string>} */
  const agents = new Map();
  /** @type {Set<string>} */
  const trackSingleOnly = new Set();
  /** @type {Record<string, Set<string>>} An asterisk stands for all pixels. */
  const switchedOff = { autoConfig: new Set(), firstPartyCookies: new Set() };
  /** @type {Fields} */
  let processing = [];
  /** @type {Fields} */
  let extensions = [];
  let firstInit = -1;
  let watching = false;
  let href = location.href;

  /** @param {string} text */
  function warn(text) {
    console.warn(`[Meta Pixel] - ${text}`);
  }

  /** @param {unknown} value @returns {value is Bag} */
  function isBag(value) {
    return typeof value === "object" && value !== null;
  }

  // ---- commands

  /** @type {Record<string, (self: any, ...rest: any[]) => void>} */
  const commands = {
    init: (_self, id, userData, options) => addPixel(id, userData, options),
    addPixelId: (_self, id, userData) => addPixel(id, userData),
    track: (self, name, data, eventData) => track(self, { name, data, eventData }, true),
    trackCustom: (self, name, data, eventData) => track(self, { name, data, eventData }),
    trackSingle: (self, id, name, data, eventData) => trackOne(self, id, { name, data, eventData, tm: 1 }),
    trackSingleCustom: (self, id, name, data, eventData) => trackOne(self, id, { name, data, eventData, tm: 2 }),
    setUserProperties: (self, id, data) =>
      trackOne(self, id, { name: "UserProperties", data, tm: 3, es: "user_properties" }),
    consent: (_self, choice) => {
      if (choice === "revoke") locks.add("consent");
      if (choice === "grant") unlock("consent");
    },
    dataProcessingOptions: (_self, ...given) => setProcessing(given),
    disabledExtensions: (_self, names) => (extensions = [["de", names.join(",")]]),
    loadPlugin: (_self, name) => loadPlugin(name),
    set: (_self, ...given) => setMetadata(given),
  };

  /**
   * The legacy form is a call with one array.
   * @param {ArrayLike<any>} call
   * @returns {any[]}
   */
  function unwrap(call) {
    const list = Array.from(call);
    return list.length === 1 && Array.isArray(list[0]) ? list[0] : list;
  }

  /** @param {any} self @param {ArrayLike<any>} call */
  function run(self, call) {
    const [command, ...rest] = unwrap(call);
    calls?.push([self === window.fbq ? "fbq" : String(self), command, ...rest]);
    // What goes wrong inside the Pixel never reaches the page.
    try {
      if (Object.hasOwn(commands, command)) commands[command](self, ...rest);
      else if (/^report./.test(command)) report(self, command.slice("report".length), rest);
    } catch (error) {
      warn(`Swallowed ${error}`);
    }
  }

  /** @param {any} self @param {string} name @param {any[]} rest */
  function report(self, name, [data, eventData]) {
    if (name === "CustomEvent") track(self, { name: data && data.event, data, eventData });
    else track(self, { name, data, eventData });
  }

  /** @param {unknown} given @param {unknown} [userData] @param {unknown} [options] */
  function addPixel(given, userData, options) {
    const id = String(given ?? "");
    const known = pixels.get(id);
    if (!/^\d+$/.test(id)) warn(`Invalid PixelID: ${given}.`);
    else if (known) addUserData(known, userData);
    else startPixel(id, isBag(userData) ? userData : {}, isBag(options) ? options.agent : undefined);
  }

  /** @param {string} id @param {Bag} userData @param {string} [agent] */
  function startPixel(id, userData, agent) {
    if (firstInit < 0) firstInit = Date.now();
    pixels.set(id, { id, userData, agent, eventCount: 0, optIns: new Set(), pageViewSeen: false });
    if (!fbq.disableConfigLoading) loadConfig(id);
  }

  /** @param {Pixel} pixel @param {unknown} userData */
  function addUserData(pixel, userData) {
    const fresh = isBag(userData) && Object.keys(userData).length > 0;
    if (fresh && !Object.keys(pixel.userData).length) pixel.userData = userData;
    else warn(`Duplicate Pixel ID: ${pixel.id}.`);
  }

  /** @param {string} id */
  function loadConfig(id) {
    locks.add(`config:${id}`);
    loadScript(`${configBase}${id}?v=${VERSION}&r=stable&domain=${encodeURIComponent(location.hostname)}`);
  }

  /** Until it has registered itself, everything waits. @param {string} name */
  function loadPlugin(name) {
    locks.add(`plugin:${name}`);
    loadScript(`${pluginBase}${name}.js?v=${VERSION}`);
  }

  /** @param {string} address */
  function loadScript(address) {
    const element = document.createElement("script");
    element.async = true;
    element.src = address;
    const first = document.getElementsByTagName("script")[0];
    if (first && first.parentNode) first.parentNode.insertBefore(element, first);
    else document.head.append(element);
  }

  /** @param {unknown[]} given */
  function setProcessing(given) {
    const [options, country, state] = given;
    // Two arguments are ignored without a word; missing ones go out as the text "undefined".
    if (!Array.isArray(options) || given.length === 2 || given.length > 4) return;
    processing = [
      ["dpo", options.join(",")],
      ["dpoco", String(country)],
      ["dpost", String(state)],
    ];
  }

  /** @param {unknown[]} given */
  function setMetadata([key, value, pixelId]) {
    const id = pixelId === undefined ? undefined : String(pixelId);
    if (key === "autoConfig" || key === "firstPartyCookies") setSwitch(switchedOff[key], value, id ?? "*");
    else if (key === "agent" && value && id) agents.set(id, String(value));
    else if (key === "trackSingleOnly" && id) trackSingleOnly[value ? "add" : "delete"](id);
    else if (key === "endpoint" && value) endpoint = String(value);
    else if (key === "openbridge") openBridge(String(value));
    else if (!SILENT.has(key)) warn(`Unsupported metadata argument: ${key}.`);
  }

  /** The gateway's own copy of each event is left out here. @param {string} id */
  function openBridge(id) {
    instance.optIn(id, "OpenBridge");
    loadPlugin("openbridge3");
  }

  /** @param {Set<string>} off @param {unknown} value @param {string} id */
  function setSwitch(off, value, id) {
    off[value === false || value === "false" ? "add" : "delete"](id);
  }

  /** @param {string} key @param {string} id */
  function isOff(key, id) {
    return switchedOff[key].has("*") || switchedOff[key].has(id);
  }

  // ---- events

  /** @param {any} self @param {Fire} fire @param {boolean} [standard] */
  function track(self, fire, standard) {
    if (standard && pixels.size) advise(fire);
    for (const pixel of pixels.values()) {
      if (trackSingleOnly.has(pixel.id) || repeatsPageView(self, pixel, fire)) continue;
      send(self, pixel, fire);
    }
  }

  /** @param {any} self @param {unknown} id @param {Fire} fire */
  function trackOne(self, id, fire) {
    // Only a string finds its pixel; a number is looked up as undefined.
    const key = typeof id === "string" ? id : undefined;
    const pixel = key === undefined ? undefined : pixels.get(key);
    if (pixel) send(self, pixel, fire);
    else warn(`Pixel ${key} not found.`);
  }

  /**
   * One PageView per pixel and page, except where the caller's `this` is null or allows more.
   * @param {any} self @param {Pixel} pixel @param {Fire} fire
   */
  function repeatsPageView(self, pixel, fire) {
    if (fire.name !== "PageView") return false;
    const repeated = pixel.pageViewSeen && Boolean(self) && !self.allowDuplicatePageViews;
    pixel.pageViewSeen = true;
    return repeated;
  }

  /** @param {Fire} fire */
  function advise({ name, data }) {
    if (!STANDARD.has(String(name))) warn(`'${name}' is not a standard event; trackCustom is meant for it.`);
    if (name !== "Purchase") return;
    const { value, currency } = isBag(data) ? data : /** @type {Bag} */ ({});
    if (!(Number(value) >= 0) || value === null || value === "") warn("Purchase needs a number as 'value'.");
    if (!/^[A-Za-z]{3}$/.test(String(currency))) warn("Purchase needs a three-letter 'currency'.");
  }

  /**
   * @param {unknown} eventData
   * @returns {string | undefined}
   */
  function eventIdOf(eventData) {
    if (!isBag(eventData)) return undefined;
    const id = eventData.eventID || eventData.event_id;
    if (isBag(id)) return eventIdOf(id);
    return typeof id === "string" || typeof id === "number" ? String(id) || undefined : undefined;
  }

  /** @param {any} self @param {Pixel} pixel @param {Fire} fire */
  function send(self, pixel, fire) {
    // Read through the global name for every event: a wrapper that lacks `instance` loses the event.
    const { optIns } = window.fbq.instance;
    if (optIns.isOptedIn(pixel.id, "FirstPartyCookies")) keepCookies(pixel);
    transport(fieldsOf(self, pixel, fire));
    pixel.eventCount += 1;
    watchPage();
  }

  /** @param {any} self @param {Pixel} pixel @param {Fire} fire @returns {Fields} */
  function fieldsOf(self, pixel, fire) {
    const bridged = pixel.optIns.has("OpenBridge");
    const eid = eventIdOf(fire.eventData) || (bridged ? `ob3_plugin-set_${sha256(random())}` : undefined);
    const agent = agents.get(pixel.id) || pixel.agent || fbq.agent;
    return [
      ["id", pixel.id],
      ["ev", String(fire.name)],
      ["dl", location.href],
      ["rl", document.referrer],
      ["if", String(window.top !== window)],
      ["ts", String(Date.now())],
      ...customFields(fire),
      ["sw", String(screen.width)],
      ["sh", String(screen.height)],
      ...matchFields(pixel.userData),
      ["v", VERSION],
      ["r", "stable"],
      ...given("a", agent),
      ["ec", String(pixel.eventCount)],
      ["o", String(optionBits(pixel))],
      ...cookieFields(pixel),
      ["it", String(firstInit)],
      ["coo", "false"],
      ...processing,
      ...extensions,
      ...given("eid", eid),
      ...given("tm", fire.tm),
      ...given("es", fire.es),
      ...given("cf", bridged ? 1 : undefined),
      ...given("ie[a]", !self && !fire.automatic ? 1 : undefined),
    ];
  }

  /** @param {string} key @param {unknown} value @returns {Fields} */
  function given(key, value) {
    return value === undefined ? [] : [[key, String(value)]];
  }

  /** @param {Fire} fire @returns {Fields} */
  function customFields({ data, eventData }) {
    if (!isBag(data)) return [];
    if (!eventIdOf(eventData) && eventData !== undefined && ("eventID" in data || "event_id" in data))
      warn("'eventID' belongs into the argument after the custom data.");
    return Object.keys(data)
      .filter((key) => data[key] !== undefined)
      .map((key) => [`cd[${key}]`, isBag(data[key]) ? JSON.stringify(data[key]) : String(data[key])]);
  }

  /** @param {Pixel} pixel */
  function optionBits(pixel) {
    return (isOff("autoConfig", pixel.id) ? 1 : 2) + 4 + (usesCookies(pixel) ? 4096 : 0);
  }

  /** @param {Fields} fields */
  function transport(fields) {
    const query = [...fields, ["rqm", "GET"]].map((field) => field.map(encodeURIComponent).join("=")).join("&");
    const address = `${endpoint}?${query}`;
    if (address.length >= LONGEST_GET) return postForm(fields);
    const image = new Image();
    image.fetchPriority = "high";
    image.src = address;
  }

  /**
   * A hidden form posted into a hidden frame: nothing of it shows up as fetch, beacon or image.
   * @param {Fields} fields
   */
  function postForm(fields) {
    if (!document.body) return;
    const frame = document.createElement("iframe");
    const form = document.createElement("form");
    frame.name = `standin${Math.random()}`;
    frame.hidden = form.hidden = true;
    form.method = "post";
    form.action = endpoint;
    form.target = frame.name;
    form.acceptCharset = "utf-8";
    form.append(...[...fields, ["rqm", "formPOST"]].map(([name, value]) => hiddenInput(name, value)));
    // The empty frame loads first, then the answer.
    frame.onload = () => {
      frame.onload = () => {
        frame.remove();
        form.remove();
      };
      form.submit();
    };
    document.body.append(form, frame);
  }

  /** @param {string} name @param {string} value */
  function hiddenInput(name, value) {
    const input = document.createElement("input");
    input.type = "hidden";
    input.name = name;
    input.value = value;
    return input;
  }

  // ---- what the Pixel sends by itself

  function watchPage() {
    if (watching) return;
    watching = true;
    document.addEventListener("click", onClick, true);
    addEventListener("pageshow", ({ persisted }) => persisted && pageViewByItself());
    if (fbq.disablePushState === true || !history.pushState) return;
    href = location.href;
    wrapHistory("pushState");
    wrapHistory("replaceState");
    addEventListener("popstate", onRoute);
  }

  /** @param {"pushState" | "replaceState"} method */
  function wrapHistory(method) {
    const original = history[method];
    history[method] = function (...given) {
      original.apply(this, given);
      onRoute();
    };
  }

  function onRoute() {
    if (href === location.href) return;
    href = location.href;
    pageViewByItself();
  }

  function pageViewByItself() {
    if (locks.size) fbq.queue.push(["trackCustom", "PageView"]);
    else track({ allowDuplicatePageViews: true }, { name: "PageView", automatic: true });
  }

  /** @type {WeakMap<Element, number>} */
  const clickedAt = new WeakMap();

  /** @param {Event} event */
  function onClick({ target }) {
    const selector =
      "button, input[type=button], input[type=submit], input[type=image], [role=button], " +
      "[class*=btn i], [class*=button i], [class*=submit i]";
    const button = target instanceof Element ? target.closest(selector) : null;
    if (!button || locks.size || Date.now() - (clickedAt.get(button) || 0) < 1000) return;
    clickedAt.set(button, Date.now());
    const text = (button.textContent || "").trim();
    if (text.length > 100) return;
    const data = { buttonText: text, buttonFeatures: { tag: button.localName, id: button.id } };
    for (const pixel of pixels.values()) {
      if (!pixel.optIns.has("InferredEvents") || isOff("autoConfig", pixel.id)) continue;
      send(window.fbq, pixel, { name: "SubscribedButtonClick", data, tm: 3, es: "automatic", automatic: true });
    }
  }

  // ---- cookies

  /** @param {Pixel} pixel */
  function usesCookies(pixel) {
    const web = location.protocol === "https:" || location.protocol === "http:";
    return web && pixel.optIns.has("FirstPartyCookies") && !isOff("firstPartyCookies", pixel.id);
  }

  /** @param {Pixel} pixel @returns {Fields} */
  function cookieFields(pixel) {
    if (!usesCookies(pixel)) return [];
    return [...given("fbp", readCookie("_fbp")), ...given("fbc", readCookie("_fbc"))];
  }

  /** @param {Pixel} pixel */
  function keepCookies(pixel) {
    if (!usesCookies(pixel)) return;
    keep("_fbp", () => random() + random());
    keepClickId();
  }

  function keepClickId() {
    const click = clickId();
    const current = parse(readCookie("_fbc"));
    if (click && current && click !== current.payload)
      writeCookie("_fbc", join({ ...current, time: String(Date.now()), payload: click }), current.index);
    else if (click || current) keep("_fbc", () => click || "");
  }

  /**
   * What exists is written again with a new expiry, whole: a fifth part belongs to somebody else and stays.
   * @param {string} name @param {() => string} make
   */
  function keep(name, make) {
    const text = readCookie(name);
    const current = parse(text);
    if (text && current) return writeCookie(name, text, current.index);
    const index = stickyIndex();
    writeCookie(name, join({ index, time: String(Date.now()), payload: make(), extra: "" }), index);
  }

  function random() {
    return String(Math.floor(Math.random() * 999999999));
  }

  /**
   * @param {string | undefined} text
   * @returns {{ index: number, time: string, payload: string, extra: string } | undefined}
   */
  function parse(text) {
    const [, index, time, payload, extra] =
      /^fb\.(\d+)\.(\d+)\.([^.]+)(\.(?:\w{2}|\w{8}))?$/.exec(text || "") || [];
    return index === undefined ? undefined : { index: Number(index), time, payload, extra: extra || "" };
  }

  /** @param {{ index: number, time: string, payload: string, extra: string }} parts */
  function join({ index, time, payload, extra }) {
    return `fb.${index}.${time}.${payload}${extra}`;
  }

  /** The click id of the page's address, behind "#" too, or else of the referrer. */
  function clickId() {
    const [, raw] = [location.href, document.referrer].map(findClickId).find(Boolean) || [];
    const id = raw === undefined ? "" : decodeOnce(raw);
    if (id.length > LONGEST_CLICK_ID || /javascript/i.test(id)) return undefined;
    return id.replace(/\./g, "__DOT__") || undefined;
  }

  /** @param {string} address */
  function findClickId(address) {
    return /[?&#]fbclid=([^&#]+)/.exec(address);
  }

  /** @param {string} text */
  function decodeOnce(text) {
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  }

  /** @param {string} name @returns {string | undefined} */
  function readCookie(name) {
    const found = document.cookie.split("; ").find((pair) => pair.startsWith(`${name}=`));
    return found && found.slice(name.length + 1);
  }

  /** @param {number} index The number of dots in the suffix. */
  function suffix(index) {
    return location.hostname.split(".").slice(-1 - index).join(".");
  }

  /** @param {number} index */
  function sticks(index) {
    const probe = `_fbprobe=1; path=/; domain=.${suffix(index)}; SameSite=Lax`;
    document.cookie = probe;
    const found = readCookie("_fbprobe") !== undefined;
    document.cookie = `${probe}; max-age=0`;
    return found;
  }

  /** The shortest suffix of the host on which a cookie sticks: no list of public suffixes is needed. */
  function stickyIndex() {
    const labels = location.hostname.split(".");
    return Math.max(0, labels.findIndex((_label, index) => sticks(index)));
  }

  /** @param {string} name @param {string} value @param {number} index */
  function writeCookie(name, value, index) {
    const expires = new Date(Date.now() + LIFE).toUTCString();
    // An IP address or a bare host name takes no domain.
    const domain = sticks(index) ? `; domain=.${suffix(index)}` : "";
    document.cookie = `${name}=${value}; expires=${expires}; path=/; SameSite=Lax${domain}`;
  }

  // ---- advanced matching

  /** @type {Record<string, string>} */
  const ALIASES = {
    email: "em",
    phone: "ph",
    firstname: "fn",
    first_name: "fn",
    lastname: "ln",
    last_name: "ln",
    gender: "ge",
    birthday: "db",
    city: "ct",
    state: "st",
    zip: "zp",
    cn: "country",
  };

  /** @type {Record<string, (text: string) => string>} */
  const NORMALISERS = {
    em: (text) => (/^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(text) ? text : ""),
    ph: (text) => text.replace(/\D/g, "").replace(/^0+/, ""),
    fn: letters,
    ln: letters,
    ge: (text) => text,
    db: birthDate,
    ct: (text) => text.replace(/[^a-z0-9]/g, ""),
    st: (text) => text.replace(/[^a-z]/g, "").slice(0, 2),
    zp: (text) => text.split("-")[0].trim(),
    country: (text) => ({ "united states": "us", usa: "us" })[text] || text.replace(/[^a-z]/g, "").slice(0, 2),
    external_id: (text) => text,
  };

  /** @param {string} text */
  function letters(text) {
    return text.replace(/[\s\p{P}]/gu, "");
  }

  /** @param {string} text */
  function birthDate(text) {
    const american = /^(\d\d)\D(\d\d)\D(\d{4})$/.exec(text);
    return american ? american[3] + american[1] + american[2] : text.replace(/\D/g, "");
  }

  /** @param {Bag} userData @returns {Fields} */
  function matchFields(userData) {
    return Object.keys(userData).flatMap((given) => {
      const key = ALIASES[given] || given;
      const hash = hashOf(key, userData[given]);
      return hash ? [/** @type {[string, string]} */ ([`ud[${key}]`, hash])] : [];
    });
  }

  /** @param {string} key @param {unknown} value */
  function hashOf(key, value) {
    if (value === undefined || value === null || !NORMALISERS[key]) return "";
    const text = (isBag(value) ? JSON.stringify(value) : String(value)).trim().toLowerCase();
    // What looks like a hash is taken as one.
    if (/^([0-9a-f]{64}|[0-9a-f]{32})$/.test(text)) return text;
    const normal = NORMALISERS[key](text);
    if (text && !normal) warn(`The value of '${key}' cannot be used for advanced matching.`);
    return normal && sha256(normal);
  }

  const PRIMES = firstPrimes(64);
  const ROUNDS = PRIMES.map((prime) => fraction(Math.cbrt(prime)));
  const START = PRIMES.slice(0, 8).map((prime) => fraction(Math.sqrt(prime)));

  /** @param {number} count */
  function firstPrimes(count) {
    /** @type {number[]} */
    const primes = [];
    for (let n = 2; primes.length < count; n++) if (primes.every((prime) => n % prime)) primes.push(n);
    return primes;
  }

  /** @param {number} root */
  function fraction(root) {
    return Math.floor((root % 1) * 2 ** 32) | 0;
  }

  /** Synchronous, because crypto.subtle is neither that nor there on plain http. @param {string} text */
  function sha256(text) {
    const bytes = new TextEncoder().encode(text);
    const words = new Int32Array((((bytes.length + 8) >> 6) + 1) * 16);
    bytes.forEach((byte, at) => (words[at >> 2] |= byte << (24 - (at % 4) * 8)));
    words[bytes.length >> 2] |= 0x80 << (24 - (bytes.length % 4) * 8);
    words[words.length - 1] = bytes.length * 8;
    let state = Int32Array.from(START);
    for (let at = 0; at < words.length; at += 16) state = compress(state, words.subarray(at, at + 16));
    return Array.from(state, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }

  /** @param {number} word @param {number[]} by */
  function rotations(word, by) {
    return by.reduce((mixed, bits) => mixed ^ ((word >>> bits) | (word << (32 - bits))), 0);
  }

  /** @param {Int32Array} state @param {Int32Array} block */
  function compress(state, block) {
    const schedule = Array.from(block);
    let [a, b, c, d, e, f, g, h] = state;
    for (let at = 0; at < 64; at++) {
      if (at > 15) {
        const [early, late] = [schedule[at - 15], schedule[at - 2]];
        const mixed = (rotations(early, [7, 18]) ^ (early >>> 3)) + (rotations(late, [17, 19]) ^ (late >>> 10));
        schedule[at] = (schedule[at - 16] + schedule[at - 7] + mixed) | 0;
      }
      const first = h + rotations(e, [6, 11, 25]) + ((e & f) ^ (~e & g)) + ROUNDS[at] + schedule[at];
      const second = rotations(a, [2, 13, 22]) + ((a & b) ^ (a & c) ^ (b & c));
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + first) | 0, c, b, a, (first + second) | 0];
    }
    return Int32Array.from([a, b, c, d, e, f, g, h], (word, at) => word + state[at]);
  }

  // ---- take-over

  /** @param {string} lock */
  function unlock(lock) {
    locks.delete(lock);
    drain();
  }

  /** While something is locked nothing is taken out of the queue: a grant that waits there is never run. */
  function drain() {
    while (!locks.size && fbq.queue.length) {
      const call = fbq.queue.shift();
      if (refused(call)) warn("trackSingle cannot wait in the queue as one array.");
      else run(window.fbq, call);
    }
  }

  /** Seen of the real Pixel for trackSingle; for trackSingleCustom it is assumed. @param {ArrayLike<any>} call */
  function refused(call) {
    const [command] = unwrap(call);
    return command !== call[0] && /^trackSingle/.test(command);
  }

  /** @param {ArrayLike<any>} call */
  function isConsent(call) {
    return unwrap(call)[0] === "consent";
  }

  /** @param {string} id */
  function configLoaded(id) {
    const pixel = pixels.get(id);
    if (pixel && usesCookies(pixel)) keepClickId();
    unlock(`config:${id}`);
  }

  const instance = {
    get pixelsByID() {
      return Object.fromEntries(pixels);
    },
    optIns: {
      /** @param {string} id @param {string} name */
      isOptedIn: (id, name) => Boolean(pixels.get(id)?.optIns.has(name)),
    },
    /** @param {string} id @param {string} name @param {boolean} [wanted] */
    optIn: (id, name, wanted = true) => pixels.get(id)?.optIns[wanted ? "add" : "delete"](name),
    configLoaded,
  };

  window.fbq.version = VERSION;
  window.fbq._releaseSegment = "stable";
  window.fbq.pendingConfigs = ["global_config"];
  const fbq = window.fbq;
  fbq.execStart = performance.now();
  fbq.pendingConfigs.forEach((/** @type {string} */ name) => locks.add(`config:${name}`));
  if (window.fbq !== window._fbq) warn("Multiple pixels with conflicting versions were detected on this page.");

  fbq.instance = instance;
  /** @this {any} */
  fbq.callMethod = function () {
    if (locks.size && !isConsent(arguments)) fbq.queue.push(arguments);
    else run(this, arguments);
  };
  fbq.getState = () => ({
    pixels: Array.from(pixels.values(), ({ id, userData, eventCount }) => ({ id, userData, eventCount })),
  });
  fbq.init = (/** @type {any[]} */ ...rest) => run(window.fbq, ["init", ...rest]);
  fbq.set = (/** @type {any[]} */ ...rest) => run(window.fbq, ["set", ...rest]);
  fbq.send = (/** @type {any[]} */ ...rest) => run(window.fbq, ["track", ...rest]);
  fbq.loadPlugin = loadPlugin;
  fbq.registerPlugin = (/** @type {string} */ name, /** @type {any} */ plugin) => {
    plugin.plugin(fbq, instance, name);
    unlock(`plugin:${name}`);
  };

  drain();
  configLoaded("global_config");
})(/** @type {any} */ (window), document);
