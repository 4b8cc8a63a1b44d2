/** The banner of all pages: whether the proxy is ready, and what most needs the owner. */

import { Refusal } from "./operator-ask.js";
import { byId, say } from "./operator-elements.js";
import { clock, count } from "./operator-format.js";
import { linkTo } from "./operator-router.js";
import { TITLES } from "./operator-words.js";

/** @typedef {import("./operator-words.js").State} State */

/** @type {State | null} */
let latest = null;
let answeredAt = 0;

/** The state of the proxy as it was last told, if it was. */
export const latestState = () => latest;

/** The names of the sites. @returns {string[]} */
export const siteNames = () => latest?.sites || [];

/** The ids of the configured pixels. */
export const pixelIds = () => (latest?.lanes || []).map(({ pixel }) => pixel);

/** @param {string} state @param {string} text @param {{ advice?: string, amount?: number }} [more] */
const showBanner = (state, text, { advice = "", amount = 0 } = {}) => {
  byId("banner").dataset.state = state;
  say(byId("banner-title"), text);
  say(byId("banner-advice"), advice);
  byId("banner-advice").hidden = !advice;
  byId("banner-link").hidden = !amount;
  byId("banner-link").setAttribute("href", linkTo("overview"));
  say(byId("banner-link"), amount == 1 ? "See what it is" : `See all ${count(amount)}`);
  document.body.classList.toggle("silent", state == "silent");
  showTitle();
};

/** Name page and state in the tab. */
export const showTitle = () => {
  const { state = "" } = byId("banner").dataset;
  const mark = ["ready", "unknown"].includes(state) ? "" : `(${state == "silent" ? "no answer" : state}) `;
  const page = document.querySelector("h1")?.textContent;
  document.title = `${mark}${page ? `${page} – ` : ""}capi-proxy`;
};

let pulse = "";

/** Say whether the page hears of events by itself, or rests. @param {string} word */
export const showPulse = (word) => {
  pulse = word;
  showUpdated();
};

const showUpdated = () => say(byId("updated"), pulse || (answeredAt ? `Updated ${clock(answeredAt)}` : ""));

/** @param {State} state */
export const showHealth = (state) => {
  answeredAt = Date.now();
  latest = state;
  showBanner(state.status, TITLES[state.status] || state.status, { amount: state.conditions.length });
  showUpdated();
  const amount = /** @type {HTMLElement | null} */ (document.querySelector('[data-page="dead"] ~ .amount'));
  if (!amount) return;
  amount.hidden = !state.dead;
  say(amount, count(state.dead));
};

/** @param {unknown} error */
export const showSilence = (error) => {
  const when = answeredAt ? ` since ${clock(answeredAt)}; what you see below is from then` : "";
  if (error instanceof Refusal) return showBanner("silent", `The proxy refuses: ${error.message}`);
  showBanner("silent", `The proxy does not answer${when}.`, {
    advice: "This page keeps trying. Does the process run, and can it be reached?",
  });
};
