/** The time range that all pages share: a preset that ends now, or two moments. */

import { now } from "./operator-clock.js";
import { byId, make, reconcile, say } from "./operator-elements.js";
import { current, go, linkWith } from "./operator-router.js";
import { moments } from "./operator-format.js";

/** @typedef {{ from: number, to: number, isLive: boolean }} Span In ms; a live one ends now. */

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const USUAL = "24h";

/** @type {Record<string, { text: string, words: string, ms: number }>} */
export const PRESETS = {
  "1h": { text: "1 h", words: "the last hour", ms: HOUR },
  "24h": { text: "24 h", words: "the last 24 hours", ms: DAY },
  "7d": { text: "7 d", words: "the last 7 days", ms: 7 * DAY },
  "30d": { text: "30 d", words: "the last 30 days", ms: 30 * DAY },
  "400d": { text: "400 d", words: "the last 400 days", ms: 400 * DAY },
};

/** @param {URLSearchParams} parameters @returns {Span} */
export const spanOf = (parameters) => {
  const from = Date.parse(parameters.get("from") || "");
  const to = Date.parse(parameters.get("to") || "");
  if (from < to) return { from, to, isLive: false };
  const { ms } = PRESETS[parameters.get("range") || USUAL] || PRESETS[USUAL];
  return { from: now() - ms, to: now(), isLive: true };
};

/** Return what the API takes of a range. @param {URLSearchParams} parameters @returns {Record<string, string>} */
export const rangeQuery = (parameters) => {
  const { from, to, isLive } = spanOf(parameters);
  // What arrives while the question is under way belongs to a range that ends now.
  return { from: `${from}`, ...(isLive ? {} : { to: `${to}` }) };
};

/** Return a range in words. @param {URLSearchParams} parameters */
export const rangeWords = (parameters) => {
  const { from, to, isLive } = spanOf(parameters);
  return isLive ? PRESETS[presetOf(parameters)].words : moments(from, to);
};

/** @param {URLSearchParams} parameters */
const presetOf = (parameters) => {
  const preset = parameters.get("range") || USUAL;
  return Object.hasOwn(PRESETS, preset) ? preset : USUAL;
};

/** Return the parameters of a range between two moments, to the minute, in UTC. @param {number} from @param {number} to */
export const between = (from, to) => ({ range: "", from: minute(from), to: minute(to) });

/** @param {number} ms */
const minute = (ms) => `${new Date(ms).toISOString().slice(0, 16)}Z`;

/** Return a moment as a field for date and time takes it, in the viewer's zone. @param {number} ms */
export const fieldValue = (ms) => {
  const date = new Date(ms);
  return new Date(ms - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
};

const form = () => /** @type {HTMLFormElement} */ (byId("range-form"));

/** Show which range is chosen. */
export const showRange = () => {
  const { parameters } = current();
  const { from, to, isLive } = spanOf(parameters);
  const chosen = isLive ? presetOf(parameters) : "";
  const items = Object.entries(PRESETS).map(([key, { text, words }]) => ({
    key,
    text,
    words,
    href: linkWith({ range: key, from: "", to: "", below: "" }),
    isChosen: key == chosen,
  }));
  reconcile(byId("range-links"), items, ({ key }) => key, () => make("li", {}, make("a")), (item, { text, words, href, isChosen }) => {
    const link = /** @type {Element} */ (item.firstChild);
    link.setAttribute("href", href);
    link.setAttribute("aria-label", `${text}: ${words}`);
    if (isChosen) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
    say(link, text);
  });
  say(byId("range-custom-label"), isLive ? "Custom" : moments(from, to));
  byId("range-custom").classList.toggle("chosen", !isLive);
  if (byId("range-custom").open) return;
  form().from.value = fieldValue(from);
  form().to.value = fieldValue(to);
};

/** Let the form of the range work. */
export const watchRange = () => {
  const details = byId("range-custom");
  form().addEventListener("submit", (event) => {
    event.preventDefault();
    const [from, to] = [Date.parse(form().from.value), Date.parse(form().to.value)];
    const isRange = from < to;
    say(byId("range-note"), isRange ? "" : "The range must begin before it ends.");
    if (!isRange) return form().from.focus();
    details.open = false;
    details.querySelector("summary").focus();
    go(linkWith({ ...between(from, to), below: "" }));
  });
  details.addEventListener("keydown", (/** @type {KeyboardEvent} */ { key }) => {
    if (key != "Escape" || !details.open) return;
    details.open = false;
    details.querySelector("summary").focus();
  });
  document.addEventListener("click", ({ target }) => {
    if (!details.contains(/** @type {Node} */ (target))) details.open = false;
  });
};
