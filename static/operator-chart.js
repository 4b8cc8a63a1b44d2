/**
 * Charts over time: bars that stand on each other, or lines; the same figures as a table where the page is asked for
 * tables.
 *
 * Each series has a pattern, a dash or a mark of its own besides its colour. A time of which nothing is known is
 * hatched, and a zero is not. The figures of a single time are read out below the picture: with the pointer, or with the
 * arrow keys, Home and End once the picture has the focus, for a screen reader as the value of a slider.
 */

import { draw, isMissing, marker, shape } from "./operator-draw.js";
import { make, reconcile, say } from "./operator-elements.js";
import { dayAndClock, day, zone } from "./operator-format.js";
import { table } from "./operator-table.js";

/**
 * @typedef {{ key: string, label: string, values: (number | null)[], total?: string }} Series A value for each time; null
 *   where it is not known. The key names its colour and pattern in operator-charts.css.
 * @typedef {object} Drawing
 * @property {"bars" | "lines"} kind
 * @property {number[]} starts when each time begins, in ms
 * @property {number} end when the last one ends
 * @property {Series[]} series
 * @property {(value: number) => string} format
 * @property {boolean} isWhole whether the figures are whole numbers
 * @property {number} [most] where the number axis ends, if not at the largest figure
 * @property {string} summary the chart in a sentence
 */

/** @typedef {{ element: HTMLElement, show: (drawing: Drawing, isTable: boolean) => void }} Chart */

const DAY = 86_400_000;
const HINT = "Point at the picture, or use the arrow keys in it, to read a single time.";

/**
 * @param {string} id @param {string} heading @param {string} unit what the number axis counts
 * @param {string} empty what to say where there is nothing to draw
 * @returns {Chart}
 */
export const chart = (id, heading, unit, empty) => {
  /** @type {Drawing | null} */
  let drawn = null;
  let chosen = -1;
  let indexAt = (/** @type {number} */ _) => 0;

  const slider = { role: "slider", tabindex: "0", "aria-label": `${heading}: time`, "aria-valuemin": "0", "aria-describedby": `${id}-summary` };
  const plot = make("div", { class: "plot", ...slider });
  const readout = make("p", { class: "readout soft" }, HINT);
  const legend = make("ul", { class: "legend" });
  const summary = make("p", { class: "summary", id: `${id}-summary` });
  const place = make("div");
  const figures = figuresIn(place, `${heading}, as a table`);
  const none = make("p", { class: "soft" }, empty);
  const caption = make("figcaption", {}, make("h3", { id: `${id}-title` }, heading), make("span", { class: "soft" }, unit));
  const element = make("figure", { class: "chart", id, "aria-labelledby": `${id}-title` }, caption, summary, plot, readout, legend, place, none);

  const paint = () => {
    if (!drawn || plot.hidden || !plot.clientWidth) return;
    const made = draw(drawn, plot.clientWidth, chosen);
    indexAt = made.indexAt;
    plot.replaceChildren(made.picture);
  };

  /** @param {number} index */
  const choose = (index) => {
    if (!drawn) return;
    chosen = Math.max(-1, Math.min(drawn.starts.length - 1, index));
    const text = chosen < 0 ? "" : textOf(drawn, chosen);
    plot.setAttribute("aria-valuenow", `${Math.max(0, chosen)}`);
    plot.setAttribute("aria-valuetext", text || HINT);
    say(readout, text || HINT);
    paint();
  };

  plot.addEventListener("keydown", (event) => {
    const last = drawn ? drawn.starts.length - 1 : 0;
    const before = chosen < 0 ? last + 1 : chosen;
    /** @type {Record<string, number>} */
    const steps = { ArrowLeft: before - 1, ArrowDown: before - 1, ArrowRight: chosen + 1, ArrowUp: chosen + 1, Home: 0, End: last, PageUp: before - 10, PageDown: chosen + 10, Escape: -1 };
    if (!(event.key in steps)) return;
    event.preventDefault();
    choose(event.key == "Escape" ? -1 : Math.max(0, steps[event.key]));
  });
  plot.addEventListener("focus", () => chosen < 0 && plot.matches(":focus-visible") && choose(Infinity));
  plot.addEventListener("pointermove", ({ clientX }) => choose(indexAt(clientX - plot.getBoundingClientRect().left)));
  plot.addEventListener("pointerleave", () => plot != document.activeElement && choose(-1));
  new ResizeObserver(paint).observe(plot);

  /** @param {Drawing} drawing @param {boolean} isTable */
  const show = (drawing, isTable) => {
    const known = hasFigures(drawing);
    drawn = drawing;
    say(summary, known ? drawing.summary : "");
    none.hidden = known;
    for (const part of [plot, readout, legend]) part.hidden = !known || isTable;
    place.hidden = !known || !isTable;
    if (isTable) figures(drawing, `${heading}: ${unit}. Times: ${zone()}.`);
    plot.setAttribute("aria-valuemax", `${Math.max(0, drawing.starts.length - 1)}`);
    showLegend(legend, drawing);
    choose(chosen);
  };
  return { element, show };
};

/** Whether there is anything to see: of counts one that is not zero, of other figures one that is known. @param {Drawing} drawing */
const hasFigures = ({ kind, series }) => series.some(({ values }) => values.some((value) => (kind == "bars" ? value : value != null)));

/** @param {Drawing} drawing @param {number} index */
const timeOf = ({ starts, end }, index) => {
  const next = starts[index + 1] ?? end;
  // Days begin about the viewer's midnight, or that of UTC; their middle is of the day that is meant.
  return next - starts[index] > 0.9 * DAY ? day((starts[index] + next) / 2) : dayAndClock(starts[index]);
};

/** @param {Drawing} drawing @param {number} index */
const textOf = (drawing, index) => {
  const figures = drawing.series.map(({ label, values }) => `${label.replace(/:$/, "")} ${valueText(drawing, values[index])}`);
  return `${timeOf(drawing, index)}: ${isMissing(drawing, index) ? "nothing is known" : figures.join(" · ")}`;
};

/** @param {Drawing} drawing @param {number | null | undefined} value */
const valueText = ({ format }, value) => (value == null ? "not known" : format(value));

/** @typedef {{ index: number, time: string, values: string[] }} Figures */

/** The newest first, as in all tables. @param {Drawing} drawing @returns {Figures[]} */
const rowsOf = (drawing) =>
  drawing.starts
    .map((_, index) => ({
      index,
      time: timeOf(drawing, index),
      values: drawing.series.map(({ values }) => valueText(drawing, values[index])),
    }))
    .reverse();

/** Return what fills a table of figures, which has a column for each series. @param {HTMLElement} place @param {string} label */
const figuresIn = (place, label) => {
  let face = "";
  /** @type {import("./operator-table.js").Table<Figures>} */
  let made;
  /** @param {Drawing} drawing @param {string} caption */
  return (drawing, caption) => {
    const labels = drawing.series.map((series) => series.label);
    if (face != labels.join("\n")) {
      /** @type {import("./operator-elements.js").Column<Figures>[]} */
      const columns = labels.map((name, order) => ({ label: name, kind: "number-cell", show: ({ values }) => values[order] }));
      made = table(label, [{ label: "Time", kind: "name", show: ({ time }) => time }, ...columns], ({ index }) => `${index}`);
      place.replaceChildren(made.element);
      face = labels.join("\n");
    }
    made.fill(rowsOf(drawing), caption);
  };
};

/** @param {HTMLElement} list @param {Drawing} drawing */
const showLegend = (list, drawing) => {
  const hasGap = drawing.starts.some((_, index) => isMissing(drawing, index));
  const items = drawing.series.map(({ key, label, total }, order) => ({ key, text: total ? `${label} ${total}` : label, order, kind: drawing.kind }));
  if (hasGap) items.push({ key: "missing", text: "nothing is known", order: 0, kind: "bars" });
  reconcile(list, items, ({ key }) => key, () => make("li"), (item, { key, text, order, kind }) => {
    const sample =
      kind == "bars"
        ? [shape("rect", { class: `bar series-${key}`, fill: `url(#pattern-${key})`, x: 0.5, y: 1.5, width: 13, height: 11 })]
        : [shape("path", { class: `curve curve-${order} series-${key}`, d: "M0 7H22", fill: "none" }), marker(order, key, 11, 7)];
    item.replaceChildren(shape("svg", { width: kind == "bars" ? 14 : 22, height: 14, "aria-hidden": "true" }, ...sample), make("span", {}, text));
  });
};
