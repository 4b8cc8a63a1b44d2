/** The banner and the table of pixels: whether the proxy is ready, and how each pixel is delivered. */

import { Refusal } from "./operator-ask.js";
import { byId, chip, fillTable, graphErrorParts, make, reconcile, say } from "./operator-elements.js";
import { TITLES, advice, age, causeText, clock, count, replicasText } from "./operator-words.js";

/** @typedef {import("./operator-words.js").Lane} Lane */
/** @typedef {import("./operator-words.js").State} State */

/** @type {import("./operator-elements.js").Column<Lane>[]} */
const COLUMNS = [
  { label: "Pixel", kind: "name", show: ({ pixel }) => pixel },
  {
    label: "State",
    show: ({ paused, failures, waiting, held, replica }) => {
      const by = replica ? make("span", { class: "why" }, `by ${replica}`) : "";
      if (paused) return [chip(["Paused", "bad"]), make("span", { class: "why" }, `${causeText(paused)}; its events wait`), by];
      if (failures) return [chip(["Trying again", "warn"]), by];
      return [chip([waiting > held ? "Delivering" : held ? "Holding" : "All delivered", "good"]), by];
    },
  },
  {
    label: "Waiting",
    kind: "number-cell",
    show: ({ waiting, held, suspects, oldest, oldest_suspect: oldestSuspect }) => [
      `${count(waiting)} ${waiting == 1 ? "event" : "events"}`,
      held ? make("span", { class: "why" }, `${count(held)} of them held until due`) : "",
      suspects ? make("span", { class: "why" }, `${count(suspects)} of them refused together, searched for the bad ones`) : "",
      waiting > held ? make("span", { class: "why" }, `the oldest for ${age(Math.max(oldest, oldestSuspect))}`) : "",
    ],
  },
  { label: "Failures", kind: "number-cell", show: ({ failures }) => count(failures) },
  {
    label: "Last error",
    show: ({ last_error: error, graph_error: graphError }) =>
      error ? [make("span", { class: "line" }, causeText(error)), ...graphErrorParts(graphError)] : "none",
  },
];

/** @type {Lane[]} */
let lanes = [];
let answeredAt = 0;

/** The ids of the configured pixels. */
export const pixels = () => lanes.map(({ pixel }) => pixel);

/** How many events wait, of all pixels. */
export const waitingEvents = () => lanes.reduce((sum, { waiting }) => sum + waiting, 0);

/** @param {string} state @param {string} text @param {string[]} reasons */
const showBanner = (state, text, reasons) => {
  const list = byId("banner-reasons");
  byId("banner").dataset.state = state;
  say(byId("banner-title"), text);
  reconcile(list, reasons, String, () => make("li"), say);
  list.hidden = !reasons.length;
  document.body.classList.toggle("silent", state == "silent");
  document.title = state == "ready" ? "capi-proxy" : `(${state == "silent" ? "no answer" : state}) capi-proxy`;
};

/** @param {State} state */
export const showHealth = (state) => {
  answeredAt = Date.now();
  lanes = state.lanes;
  showBanner(state.status, TITLES[state.status] || state.status, state.conditions.map(advice));
  say(byId("updated"), `Updated ${clock(answeredAt)}`);
  fillTable(byId("lanes"), lanes, COLUMNS, ({ pixel }) => pixel);
  byId("replicas").hidden = !state.replicas.length;
  say(byId("replicas"), replicasText(state.replicas));
  byId("dead-count").hidden = !state.dead;
  say(byId("dead-count"), `(${count(state.dead)})`);
};

/** @param {unknown} error */
export const showSilence = (error) => {
  const since = answeredAt ? ` since ${clock(answeredAt)}; what you see below is from then` : "";
  const text = error instanceof Refusal ? error.message : `The proxy does not answer${since}.`;
  const advice = ["This page keeps trying. Does the process run, and can it be reached?"];
  showBanner("silent", text, error instanceof Refusal ? [] : advice);
};
