/** Tables: a caption, a row for each item, and on a narrow screen a card for each row. */

import { make, reconcile, say } from "./operator-elements.js";

/**
 * @template Item
 * @typedef {import("./operator-elements.js").Column<Item>} Column
 */

/**
 * @template Item
 * @typedef {{ element: HTMLElement, fill: (items: Item[], caption: string) => void }} Table
 */

/**
 * Return a table, and what fills it. Rows whose items stay are left alone.
 *
 * @template Item
 * @param {string} label for those who hear it @param {Column<Item>[]} columns @param {(item: Item) => string} keyOf
 * @param {Record<string, string>} [attributes]
 * @returns {Table<Item>}
 */
export const table = (label, columns, keyOf, attributes = {}) => {
  const caption = make("caption");
  const body = make("tbody", { role: "rowgroup" });
  const labels = columns.map((column) => make("th", { scope: "col", role: "columnheader", class: column.kind || "" }, column.label));
  const head = make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...labels));
  const inner = make("table", { role: "table" }, caption, head, body);
  const element = make("div", { class: "table", role: "region", "aria-label": label, tabindex: "0", ...attributes }, inner);
  return {
    element,
    fill: (items, text) => {
      say(caption, text);
      caption.hidden = !text;
      reconcile(
        body,
        items,
        keyOf,
        () => make("tr", { role: "row" }),
        (row, item) => row.replaceChildren(...columns.map((column) => cell(column, item))),
      );
    },
  };
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
