/** The first page: what needs attention, then the figures of the period and their charts. */

import { ask, clearRefusalIn, poll, showRefusalIn } from "./operator-ask.js";
import { conditionList } from "./operator-conditions.js";
import { keyFigures, leftOutTable, qualityParts, splitTables } from "./operator-overview-tables.js";
import { overviewCharts } from "./operator-overview-charts.js";
import { link, make, reconcile, say, section } from "./operator-elements.js";
import { countOf, zone } from "./operator-format.js";
import { latestState, pixelIds, siteNames } from "./operator-health.js";
import { rangeWords, spanOf } from "./operator-range.js";
import { current, linkTo, linkWith, go } from "./operator-router.js";

/** @typedef {import("./operator-figures.js").Overview} Overview */

const EVERY_MS = 10_000;
const CHOICES = ["site", "pixel", "name"];

/** @type {import("./operator-page.js").Page} */
export const overview = {
  title: "Overview",
  isListed: true,
  hasCharts: true,
  open: (main) => {
    const attention = conditionList();
    const note = make("p", { class: "note", role: "status" });
    const hint = make("p", { class: "hint", id: "period" });
    const form = choiceForm();
    const loading = make("p", { class: "loading soft" }, "Asking for the figures…");
    const figures = keyFigures();
    const charts = overviewCharts();
    const quality = qualityParts();
    const splits = splitTables();
    const leftOut = leftOutTable();
    const first = make("div", { class: "empty", id: "overview-empty", hidden: "" }, ...firstSteps());
    const content = make("div", { hidden: "" }, figures.element, charts.element, quality.element, splits.element, leftOut.element);
    main.append(attention.element, section("figures", "Figures", hint, form, note, loading, first), content);

    /** @param {Overview} answer */
    const show = (answer) => {
      const { parameters } = current();
      const isTable = parameters.get("view") == "tables";
      clearRefusalIn(note);
      loading.hidden = true;
      fillChoices(form, answer, parameters);
      say(hint, periodText(answer, parameters));
      first.hidden = answer.total.events > 0 || CHOICES.some((name) => parameters.get(name));
      figures.show(answer);
      charts.show(answer, isTable);
      quality.show(answer);
      splits.show(answer);
      leftOut.show(answer);
      content.hidden = false;
    };

    const question = () => {
      const { parameters } = current();
      const { from, to } = spanOf(parameters);
      const query = new URLSearchParams({ from: `${from}`, to: `${to}`, offset: `${-new Date().getTimezoneOffset()}` });
      for (const name of CHOICES) if (parameters.get(name)) query.set(name, `${parameters.get(name)}`);
      return ask(`api/overview?${query}`);
    };

    const figuresPoll = poll(
      question,
      show,
      (error) => {
        loading.hidden = true;
        showRefusalIn(note)(error);
      },
      () => EVERY_MS,
    );
    const state = latestState();
    if (state) attention.show(state);
    return {
      look: () => void figuresPoll.now(),
      rest: figuresPoll.stop,
      leave: figuresPoll.stop,
      learn: (now) => attention.show(now),
      follow: () => void figuresPoll.now(),
    };
  },
};

/** @param {Overview} answer @param {URLSearchParams} parameters */
const periodText = ({ step, day_starts: dayStarts, total }, parameters) => {
  const days = step == "day" && dayStarts == "UTC" ? " Days begin at midnight UTC." : "";
  return `${countOf(total.events, "event")} of ${rangeWords(parameters)}, counted by ${step == "day" ? "days" : "whole hours"}; times in ${zone()}.${days}`;
};

const firstSteps = () => [
  make("p", {}, make("strong", {}, "Nothing was counted in this time range."), " Choose a longer one above, or send a first event:"),
  make(
    "ol",
    {},
    make("li", {}, "Run ", make("code", {}, "capi-proxy snippet --config FILE"), " and paste what it prints into your site."),
    make("li", {}, "Open a page of the site, and look at ", link("Events", linkTo("events")), "."),
    make("li", {}, "If nothing comes, ", link("Doctor", linkTo("doctor")), " looks at the whole way and says what to mend."),
  ),
];

/** @returns {HTMLFormElement} */
const choiceForm = () => {
  const select = (/** @type {string} */ label, /** @type {string} */ name) =>
    make("label", {}, label, make("select", { name }, make("option", { value: "" }, "All")));
  const form = /** @type {HTMLFormElement} */ (
    make("form", { class: "filters", "aria-label": "Choose what is counted" }, select("Site", "site"), select("Pixel", "pixel"), select("Event name", "name"))
  );
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", () => go(linkWith(Object.fromEntries(CHOICES.map((name) => [name, /** @type {any} */ (form.elements.namedItem(name)).value])))));
  return form;
};

/** Offer what occurs in the period, what is configured, and what the address asks for. @param {HTMLFormElement} form @param {Overview} answer @param {URLSearchParams} parameters */
const fillChoices = (form, answer, parameters) => {
  /** @type {Record<string, string[]>} */
  const known = {
    site: [...siteNames(), ...answer.sites.map(({ site }) => site)],
    pixel: [...pixelIds(), ...answer.pixels.map(({ pixel }) => pixel)],
    name: answer.names.map(({ name }) => name),
  };
  for (const name of CHOICES) {
    const asked = parameters.get(name) || "";
    // "name" is a property of every form.
    const select = /** @type {HTMLSelectElement} */ (form.elements.namedItem(name));
    const offered = ["", ...new Set([...known[name], asked].filter(Boolean))];
    reconcile(select, offered, String, () => make("option"), (option, value) => {
      option.setAttribute("value", value);
      say(option, value || "All");
    });
    select.value = asked;
  }
};
