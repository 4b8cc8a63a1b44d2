/** Elements of the operator's page. What visitors or Meta wrote goes in as text, never as markup. */

import { clock, day, relative } from "./operator-format.js";

/** @typedef {string | Node} Content */

/**
 * @template Item
 * @typedef {{ label: string, show: (item: Item) => Content | Content[], kind?: string }} Column
 */

/** @param {string} id @returns {any} */
export const byId = (id) => document.getElementById(id);

/** @param {string} tag @param {Record<string, string>} [attributes] @param {Content[]} content @returns {HTMLElement} */
export const make = (tag, attributes = {}, ...content) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...content);
  return element;
};

/** @param {Element} element @param {string} text */
export const say = (element, text) => {
  if (element.textContent != text) element.textContent = text;
};

/** Return a small label in the colour of its kind. @param {[text: string, kind: string]} label */
export const chip = ([text, kind]) => make("span", { class: `chip ${kind}` }, text);

/** @param {string} text */
export const why = (text) => make("span", { class: "why" }, text);

/** @param {string} text @param {string} href @param {Record<string, string>} [attributes] */
export const link = (text, href, attributes = {}) => make("a", { href, ...attributes }, text);

/** Return how long ago something was, which keeps up with the time. @param {number} ms */
export const since = (ms) => make("span", { class: "soft", "data-since": `${ms}` }, relative(ms));

/** Let all that says how long ago something was keep up with the time. */
export const keepUp = () => {
  for (const element of document.querySelectorAll("[data-since]")) {
    say(element, relative(Number(element.getAttribute("data-since"))));
  }
};

/** @param {number} ms @param {Content[]} more */
export const moment = (ms, ...more) =>
  make(
    "time",
    { datetime: new Date(ms).toISOString() },
    make("span", { class: "line" }, clock(ms)),
    make("span", { class: "line soft" }, day(ms)),
    ...more,
  );

/** Return a moment on one line, with how long ago it was. @param {number} ms */
export const momentLine = (ms) =>
  make("span", {}, make("time", { datetime: new Date(ms).toISOString() }, `${day(ms)}, ${clock(ms)}`), " (", since(ms), ")");

/** @param {string} text @param {() => void} act @param {Record<string, string>} [attributes] */
export const button = (text, act, attributes = {}) => {
  const element = make("button", { type: "button", ...attributes }, text);
  element.addEventListener("click", act);
  return element;
};

/** @param {import("./operator-words.js").GraphError} graphError @returns {(HTMLElement | string)[]} */
export const graphErrorParts = ({ code, subcode, message, fbtrace_id: trace }) => {
  const parts = [code && `code ${code}`, subcode && `subcode ${subcode}`, trace && `trace ${trace}`];
  const numbers = parts.filter(Boolean).join(", ");
  return [
    message ? make("q", { class: "line" }, message) : "",
    numbers ? make("code", { class: "line" }, numbers) : "",
  ];
};

/** Return pairs of term and description, without those that have none. @param {[term: string, text: Content | Content[]][]} pairs */
export const facts = (pairs) => {
  const rows = pairs
    .map(([term, text]) => /** @type {const} */ ([term, [text].flat().filter((part) => part !== "")]))
    .filter(([, parts]) => parts.length)
    .map(([term, parts]) => make("div", {}, make("dt", {}, term), make("dd", {}, ...parts)));
  return make("dl", { class: "facts" }, ...rows);
};

/** Return a section with a heading. @param {string} id @param {string} heading @param {Content[]} content */
export const section = (id, heading, ...content) =>
  make("section", { id, "aria-labelledby": `${id}-title` }, make("h2", { id: `${id}-title`, tabindex: "-1" }, heading), ...content);

const FOCUSABLE = "a[href], button, input, select, summary, [tabindex]";

/** Fill an element again, and leave the focus where it was within it. @param {Element} element @param {() => void} fill */
export const keepFocus = (element, fill) => {
  const focused = element.contains(document.activeElement) ? document.activeElement : null;
  const place = focused ? [...element.querySelectorAll(FOCUSABLE)].indexOf(focused) : -1;
  fill();
  if (place < 0 || focused?.isConnected) return;
  const now = [...element.querySelectorAll(FOCUSABLE)];
  /** @type {HTMLElement | undefined} */ (now[place] || now[now.length - 1])?.focus({ preventScroll: true });
};

/** Let a list of links hold these. @param {Element} parent @param {{ text: string, href: string, id: string }[]} links */
export const fillLinks = (parent, links) =>
  reconcile(parent, links, ({ id }) => id, () => make("a"), (anchor, { text, href, id }) => {
    anchor.id = id;
    anchor.setAttribute("href", href);
    say(anchor, text);
  });

/** @type {WeakMap<Element, Map<string, { element: Element, face: string }>>} */
const shown = new WeakMap();

/**
 * Let a parent hold one element for each item, in order. An element is filled again only when its item's face has
 * changed, and is never moved while the order of the items stays.
 *
 * @template Item
 * @param {Element} parent @param {Item[]} items @param {(item: Item) => string} keyOf
 * @param {() => Element} create @param {(element: Element, item: Item) => void} fill
 */
export const reconcile = (parent, items, keyOf, create, fill) => {
  const before = shown.get(parent) || new Map();
  const after = new Map();
  for (const item of items) {
    let key = keyOf(item);
    while (after.has(key)) key += "+";
    const face = JSON.stringify(item);
    const entry = before.get(key) || { element: create(), face: "" };
    if (entry.face != face) keepFocus(entry.element, () => fill(entry.element, item));
    after.set(key, { element: entry.element, face });
  }
  for (const [key, { element }] of before) if (!after.has(key)) element.remove();
  let next = parent.firstElementChild;
  for (const { element } of after.values()) {
    if (next && element == next) next = next.nextElementSibling;
    else parent.insertBefore(element, next);
  }
  shown.set(parent, after);
};
