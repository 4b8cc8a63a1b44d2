// The overlay of the install check, part 2 of 3: a row for each call, the latest first.

const MOST_ROWS = 200;
let calls = 0;
let troubles = 0;

/** @param {HTMLElement} cell @param {"good" | "bad" | "open" | ""} kind @param {string} text */
const say = (cell, kind, text) => {
  if (cell.textContent == text) return;
  if (kind == "bad" && cell.className != "bad") troubles++;
  cell.className = kind;
  cell.textContent = text;
  tell();
};

/** Tells how all stands in a sentence, which screen readers say when it changes. */
const tell = () => {
  summary.textContent = `${calls} ${calls == 1 ? "call" : "calls"} of fbq, ${troubles || "no"} to look at.`;
};

/** @param {string} command @returns {Row} */
const addRow = (command) => {
  const [pixel, proxy, id] = [make("dd"), make("dd"), make("code")];
  const answers = make("dl", {}, make("dt", {}, "Pixel"), pixel, make("dt", {}, "Proxy"), proxy);
  const row = make("li", {}, make("b", {}, command), " ", id, answers);
  list.prepend(row);
  if (list.childElementCount > MOST_ROWS) list.lastElementChild?.remove();
  calls++;
  tell();
  return { row, pixel, proxy, id };
};

/** @param {unknown} value @returns {string} what of a call's values names it, cut */
const word = (value) => (typeof value == "string" || typeof value == "number" ? `${value}`.slice(0, 80) : "");
