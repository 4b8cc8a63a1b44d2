/** The charts of the overview: outcomes, browser copies, shares, lag and match quality over time. */

import { chart } from "./operator-chart.js";
import { section } from "./operator-elements.js";
import { lagText, recoveredShare, shareText } from "./operator-figures.js";
import { age, count, countOf, percent } from "./operator-format.js";

/** @typedef {import("./operator-figures.js").Bucket} Bucket */
/** @typedef {import("./operator-figures.js").Overview} Overview */
/** @typedef {import("./operator-chart.js").Drawing} Drawing */

/** @param {Overview} answer @param {[key: string, label: string, value: (bucket: Bucket) => number | null, total?: string][]} series */
const seriesOf = ({ buckets }, series) =>
  series.map(([key, label, value, total]) => ({ key, label, values: buckets.map(value), ...(total ? { total } : {}) }));

/** @param {number} amount */
const whole = (amount) => count(Math.round(amount));

/** @param {Overview} answer @returns {Drawing} */
const outcomes = (answer) => {
  const total = answer.total.outcomes;
  /** @type {[string, string][]} */
  const labels = [["delivered", "Delivered"], ["dropped", "Dropped"], ["duplicate", "Duplicate"], ["dead", "Dead"]];
  return {
    ...common(answer),
    kind: "bars",
    series: seriesOf(answer, labels.map(([key, label]) => [key, label, ({ outcomes: ends }) => ends[key] || 0, count(total[key] || 0)])),
    format: whole,
    isWhole: true,
    summary: `${count(total.delivered || 0)} of ${count(answer.total.events)} were delivered.`,
  };
};

/** @param {Overview} answer @returns {Drawing} */
const copies = (answer) => {
  const { copies: total } = answer.total;
  return {
    ...common(answer),
    kind: "bars",
    series: seriesOf(answer, [
      ["fired", "Fired", ({ copies: { fired } }) => fired, count(total.fired)],
      ["blocked", "Blocked", ({ copies: { blocked } }) => blocked, count(total.blocked)],
      ["unknown", "Not known", ({ copies: { not_known: unknown } }) => unknown, count(total.not_known)],
    ]),
    format: whole,
    isWhole: true,
    summary: `${countOf(total.recovered, "event was", "events were")} recovered: blocked in the browser, delivered by the server.`,
  };
};

/** @param {Overview} answer @returns {Drawing} */
const shares = (answer) => ({
  ...common(answer),
  kind: "lines",
  series: seriesOf(answer, [
    ["recovered", "Recovered, of delivered events of pages:", ({ copies: part }) => recoveredShare(part), percent(recoveredShare(answer.total.copies))],
    ["blocked", "Blocked, of known browser copies:", ({ copies: part }) => part.blocked_share?.share ?? null, shareText(answer.total.copies.blocked_share)],
    ["fired", "In pairs, of known browser copies:", ({ copies: part }) => part.pair_rate?.share ?? null, shareText(answer.total.copies.pair_rate)],
  ]),
  format: percent,
  isWhole: false,
  most: 1,
  summary: `${percent(recoveredShare(answer.total.copies))} of what pages had delivered was recovered.`,
});

/** @param {Overview} answer @returns {Drawing} */
const lag = (answer) => {
  const beyond = answer.lag_bounds[answer.lag_bounds.length - 1];
  /** @param {"median" | "p95"} which @returns {(bucket: Bucket) => number | null} */
  const value = (which) => ({ lag: slots }) => (slots ? (slots[which].up_to ?? beyond) : null);
  const { lag: total } = answer.total;
  return {
    ...common(answer),
    kind: "lines",
    series: seriesOf(answer, [
      ["delivered", "Half of the events:", value("median"), lagText(total?.median)],
      ["dropped", "95 % of the events:", value("p95"), lagText(total?.p95)],
    ]),
    format: age,
    isWhole: false,
    summary: total ? `Half of the events needed at most ${age(total.median.up_to ?? beyond)}, 95 % at most ${age(total.p95.up_to ?? beyond)}.` : "",
  };
};

/** @param {Overview} answer @returns {Drawing} */
const quality = (answer) => ({
  ...common(answer),
  kind: "lines",
  series: seriesOf(answer, [["delivered", "Estimate", ({ score }) => score, (answer.total.score ?? 0).toFixed(1)]]),
  format: (value) => (Number.isInteger(value) ? `${value}` : value.toFixed(1)),
  isWhole: false,
  most: 10,
  summary: "An estimate on Meta’s scale from 0 to 10; Meta’s own figure is in Events Manager.",
});

/** @param {Overview} answer */
const common = ({ buckets, to }) => ({ starts: buckets.map(({ at }) => at), end: to });

/** Return the section of charts. */
export const overviewCharts = () => {
  const charts = /** @type {const} */ ([
    [chart("chart-outcomes", "Events by outcome", "events", "No event ended in this period."), outcomes],
    [chart("chart-copies", "Browser copies", "events of pages that were to be sent", "No page sent an event in this period."), copies],
    [chart("chart-shares", "Recovered, blocked, in pairs", "share of events", "Of no event is it known whether its browser copy fired."), shares],
    [chart("chart-lag", "Delivery lag", "upper bound, from arrival to Meta’s answer", "Nothing was delivered in this period."), lag],
    [chart("chart-quality", "Match quality", "estimate, 0 to 10", "Nothing was delivered in this period."), quality],
  ]);
  const element = section("charts", "Over time", ...charts.map(([{ element: figure }]) => figure));
  element.classList.add("charts");
  /** @param {Overview} answer @param {boolean} isTable */
  const show = (answer, isTable) => {
    for (const [{ show: showChart }, drawing] of charts) showChart(drawing(answer), isTable);
  };
  return { element, show };
};
