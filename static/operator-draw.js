/** The picture of a chart: axes, and bars that stand on each other or lines, as SVG without a style of its own. */

import { dayTicks, numberTicks, timeTicks } from "./operator-scale.js";

/** @typedef {import("./operator-chart.js").Drawing} Drawing */

/** @typedef {{ left: number, right: number, top: number, bottom: number }} Box */

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 190;
const LETTER = 6.6;
const LABEL = 84;
const MOST_MARKERS = 60;
const MOST_DAYS = 62;
const DAY = 86_400_000;

/** @param {string} tag @param {Record<string, string | number>} attributes @param {(string | Node)[]} content */
export const shape = (tag, attributes, ...content) => {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, `${value}`);
  element.append(...content);
  return element;
};

/** Return the sums of the bars or the points of the lines: what the number axis must reach. @param {Drawing} drawing */
const heights = ({ kind, series, starts }) =>
  kind == "bars"
    ? starts.map((_, index) => series.reduce((sum, { values }) => sum + (values[index] || 0), 0))
    : series.flatMap(({ values }) => values.map((value) => value || 0));

/** Whether nothing is known of a time. @param {Drawing} drawing @param {number} index */
export const isMissing = ({ series }, index) => series.every(({ values }) => values[index] == null);

/**
 * Return the picture of a width, and what tells the time below a point of it.
 *
 * @param {Drawing} drawing @param {number} width in px @param {number} chosen which time is marked, -1: none
 */
export const draw = (drawing, width, chosen) => {
  const { starts, end, format, isWhole } = drawing;
  const ticks = numberTicks(drawing.most ?? Math.max(0, ...heights(drawing)), isWhole);
  const left = 10 + LETTER * Math.max(...ticks.map((tick) => format(tick).length));
  const box = { left, right: width - 10, top: 12, bottom: HEIGHT - 24 };
  const [from, most] = [starts[0], ticks[ticks.length - 1]];
  /** @param {number} ms */
  const x = (ms) => box.left + ((ms - from) / (end - from)) * (box.right - box.left);
  /** @param {number} value */
  const y = (value) => box.bottom - (Math.min(value, most) / most) * (box.bottom - box.top);
  const edges = [...starts.map(x), box.right];
  const parts = drawing.kind == "bars" ? bars(drawing, edges, y) : lines(drawing, edges, y);
  const picture = shape(
    "svg",
    { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, "aria-hidden": "true", focusable: "false" },
    ...numberAxis(ticks, format, box, y),
    ...timeAxis(ticksOf(drawing, (box.right - box.left) / LABEL), box, x),
    ...starts.flatMap((_, index) => (isMissing(drawing, index) ? [band("missing", edges, index, box)] : [])),
    ...(chosen in starts ? [band("chosen", edges, chosen, box)] : []),
    ...parts,
  );
  /** @param {number} at in px from the left edge */
  const indexAt = (at) => Math.max(0, edges.findLastIndex((edge, index) => index < starts.length && edge <= at));
  return { picture, indexAt };
};

/** @param {string} name @param {number[]} edges @param {number} index @param {Box} box */
const band = (name, edges, index, { top, bottom }) =>
  shape("rect", { class: name, x: edges[index], y: top, width: edges[index + 1] - edges[index], height: bottom - top });

/** @param {number[]} ticks @param {(value: number) => string} format @param {Box} box @param {(value: number) => number} y */
const numberAxis = (ticks, format, { left, right }, y) =>
  ticks.flatMap((tick) => [
    shape("line", { class: tick ? "grid" : "axis", x1: left, x2: right, y1: y(tick), y2: y(tick) }),
    shape("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, format(tick)),
  ]);

/** Return what stands below the picture: days below their bars, or round times. @param {Drawing} drawing @param {number} most how much fits */
const ticksOf = ({ starts, end }, most) => {
  const fit = Math.max(2, Math.floor(most));
  const isDays = (end - starts[0]) / starts.length > 0.9 * DAY;
  return isDays && starts.length <= MOST_DAYS ? dayTicks(starts, end, fit) : timeTicks(starts[0], end, fit);
};

/** @param {{ at: number, text: string }[]} ticks @param {Box} box @param {(ms: number) => number} x */
const timeAxis = (ticks, { left, right, bottom }, x) =>
  ticks.flatMap(({ at, text }) => {
    const half = (text.length * LETTER) / 2;
    const middle = Math.min(Math.max(x(at), left + half - 8), right - half + 8);
    return [
      shape("line", { class: "axis", x1: x(at), x2: x(at), y1: bottom, y2: bottom + 4 }),
      shape("text", { x: middle, y: bottom + 17, "text-anchor": "middle" }, text),
    ];
  });

/** @param {Drawing} drawing @param {number[]} edges @param {(value: number) => number} y */
const bars = ({ series, starts }, edges, y) =>
  starts.flatMap((_, index) => {
    const wide = edges[index + 1] - edges[index];
    const gap = wide > 6 ? Math.min(4, wide / 6) : wide > 3 ? 0.5 : 0;
    let below = 0;
    return series.flatMap(({ key, values }) => {
      const value = values[index] || 0;
      const [low, high] = [y(below), y(below + value)];
      below += value;
      const place = { x: edges[index] + gap / 2, y: high, width: Math.max(0.5, wide - gap), height: low - high };
      return value ? [shape("rect", { class: `bar series-${key}`, fill: `url(#pattern-${key})`, ...place })] : [];
    });
  });

/** @param {Drawing} drawing @param {number[]} edges @param {(value: number) => number} y */
const lines = ({ series, starts }, edges, y) => {
  const middles = starts.map((_, index) => (edges[index] + edges[index + 1]) / 2);
  return series.flatMap(({ key, values }, order) => {
    let path = "";
    /** @type {Element[]} */
    const marks = [];
    values.forEach((value, index) => {
      if (value == null) return;
      const point = /** @type {const} */ ([middles[index], y(value)]);
      const follows = values[index - 1] != null;
      path += `${follows ? "L" : "M"}${point.map((number) => number.toFixed(1)).join(" ")}`;
      const isAlone = !follows && values[index + 1] == null;
      if (isAlone || starts.length <= MOST_MARKERS) marks.push(marker(order, key, ...point));
    });
    return [shape("path", { class: `curve curve-${order} series-${key}`, d: path, fill: "none" }), ...marks];
  });
};

/** Return the mark of a point, another shape for each line. @param {number} order @param {string} key @param {number} x @param {number} y */
export const marker = (order, key, x, y) => {
  const name = `marker series-${key}`;
  const [a, b] = [x.toFixed(1), y.toFixed(1)];
  if (order == 0) return shape("circle", { class: name, cx: a, cy: b, r: 3 });
  if (order == 1) return shape("rect", { class: name, x: (x - 3).toFixed(1), y: (y - 3).toFixed(1), width: 6, height: 6 });
  return shape("path", { class: name, d: `M${a} ${(y - 4).toFixed(1)}l4 7h-8z` });
};
