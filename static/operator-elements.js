/** Elements of the operator's page. What visitors or Meta wrote goes in as text, never as markup. */

import { clock, day } from "./operator-words.js";

/** @typedef {string | Node} Content */

/**
 * @template Item
 * @typedef {{ label: string, show: (item: Item) => Content | Content[], kind?: string }} Column
 */

/** @param {string} id @returns {any} */
export const byId = (id) => document.getElementById(id);

/** @param {string} tag @param {Record<string, string>} [attributes] @param {Content[]} content */
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

/** @param {number} ms */
export const moment = (ms) =>
  make(
    "time",
    { datetime: new Date(ms).toISOString() },
    make("span", { class: "line" }, clock(ms)),
    make("span", { class: "line soft" }, day(ms)),
  );

/** @param {string} name @param {string} id */
export const title = (name, id) => [make("span", { class: "line" }, name), make("code", { class: "line" }, id)];

/** @param {string} text @param {() => void} act @param {Record<string, string>} [attributes] */
export const button = (text, act, attributes = {}) => {
  const element = make("button", { type: "button", ...attributes }, text);
  element.addEventListener("click", act);
  return element;
};

/** @param {import("./operator-words.js").GraphError} graphError @returns {(HTMLElement | string)[]} */
export const graphErrorParts = ({ code, subcode, message, fbtrace_id: trace }) => {
  const parts = [code != null && `code ${code}`, subcode != null && `subcode ${subcode}`, trace && `trace ${trace}`];
  const numbers = parts.filter(Boolean).join(", ");
  return [
    message ? make("q", { class: "line" }, message) : "",
    numbers ? make("code", { class: "line" }, numbers) : "",
  ];
};

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
    if (entry.face != face) fill(entry.element, item);
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

/**
 * @template Item
 * @param {HTMLElement} body @param {Item[]} items @param {Column<Item>[]} columns @param {(item: Item) => string} keyOf
 */
export const fillTable = (body, items, columns, keyOf) => {
  const head = /** @type {Element} */ (body.previousElementSibling);
  if (!head.firstChild) {
    const labels = columns.map(({ label }) => make("th", { scope: "col", role: "columnheader" }, label));
    head.append(make("tr", { role: "row" }, ...labels));
  }
  reconcile(
    body,
    items,
    keyOf,
    () => make("tr", { role: "row" }),
    (row, item) => row.replaceChildren(...columns.map((column) => cell(column, item))),
  );
};

/** @template Item @param {Column<Item>} column @param {Item} item */
const cell = ({ label, show, kind = "" }, item) => {
  const content = [show(item)].flat().filter((part) => part !== "");
  const absent = content.length ? "" : " absent";
  const tag = kind == "name" ? "th" : "td";
  const role = kind == "name" ? "rowheader" : "cell";
  // One box for the content, so that a narrow screen can set the label beside it.
  const box = make(tag, { "data-label": label, class: kind + absent, role }, make("div", {}, ...content));
  if (kind == "name") box.setAttribute("scope", "row");
  return box;
};
