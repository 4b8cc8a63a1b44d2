/** The filters of events: a form that the address of the page fills, and that changes the address. */

import { make, reconcile } from "./operator-elements.js";
import { pixelIds, siteNames } from "./operator-health.js";
import { between, rangeQuery } from "./operator-range.js";
import { current, go, linkWith, replace } from "./operator-router.js";
import { COPIES, REASONS, STATUSES } from "./operator-words.js";

/** @typedef {import("./operator-words.js").Row} Row */

const TYPING_MS = 300;
const CHOOSING_MS = 1000;
const AROUND_MS = 5 * 60_000;
/** What the API calls the browser copy of a server's event, which has none. */
const NO_COPY = "server";
const EVENTS_PAGE = "events";
const FIELDS = ["status", "browser_copy", "site", "pixel", "name", "id", "reason", "action_source"];

/** @param {string} label @param {string} name @param {[value: string, text: string][]} options */
const choice = (label, name, options) =>
  make("label", {}, label, make("select", { name }, make("option", { value: "" }, "All"), ...options.map(([value, text]) => make("option", { value }, text))));

/** @param {Record<string, [string, string]>} words @returns {[string, string][]} */
const labels = (words) => Object.entries(words).map(([value, [text]]) => [value, text]);

const parts = () => [
  make("label", { class: "long" }, "Id or order number", make("input", { name: "id", maxlength: "200", spellcheck: "false" })),
  make("label", {}, "Name", make("input", { name: "name", list: "names", maxlength: "100", spellcheck: "false" })),
  make("datalist", { id: "names" }),
  make("label", {}, "Around", make("input", { name: "around", type: "datetime-local", "aria-describedby": "around-hint" })),
  choice("Status", "status", labels(STATUSES)),
  choice("Browser copy", "browser_copy", [...labels(COPIES), [NO_COPY, "None: a server’s event"]]),
  choice("Why", "reason", Object.entries(REASONS)),
  choice("Site", "site", []),
  choice("Pixel", "pixel", []),
  make("button", { type: "reset" }, "Clear filters"),
  make("p", { id: "around-hint", class: "soft small" }, "“Around” shows five minutes before and after a moment, in your local time."),
];

/** Return the form. */
export const filterForm = () => {
  const form = /** @type {HTMLFormElement} */ (make("form", { id: "filters", class: "filters", "aria-label": "Filter events", autocomplete: "off" }, ...parts()));
  /** @param {(hash: string) => void} lead @param {Record<string, string>} [range] */
  const settle = (lead, range = {}) => {
    stopTyping(form);
    // From the click on a link until "hashchange" the address is that of another page already.
    if (current().page == EVENTS_PAGE) lead(linkWith({ ...valuesOf(form), ...range, below: "" }));
  };
  const showAround = () => settle(go, around(Date.parse(form.around.value)));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (form.around.value && form.around == document.activeElement) showAround();
    else settle(go);
  });
  form.addEventListener("input", ({ target }) => {
    stopTyping(form);
    const { name, value } = /** @type {HTMLInputElement} */ (target);
    const isAround = name == "around";
    // A year that is being typed is a year of the first millennium.
    const isWhole = !isAround || Date.parse(value) > 0;
    const timer = isWhole ? setTimeout(isAround ? showAround : () => settle(replace), isAround ? CHOOSING_MS : TYPING_MS) : 0;
    form.dataset.typing = `${timer}`;
  });
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    stopTyping(form);
    go(linkWith({ ...Object.fromEntries(FIELDS.map((name) => [name, ""])), below: "" }));
    for (const field of form.querySelectorAll("input, select")) /** @type {HTMLInputElement} */ (field).value = "";
  });
  return form;
};

/** Change nothing by what is being typed. @param {HTMLFormElement} form */
export const stopTyping = (form) => {
  clearTimeout(Number(form.dataset.typing));
  delete form.dataset.typing;
};

/** @param {number} ms */
const around = (ms) => between(ms - AROUND_MS, ms + AROUND_MS);

/** @param {HTMLFormElement} form @returns {Record<string, string>} */
const valuesOf = (form) =>
  Object.fromEntries(FIELDS.filter((name) => form.elements.namedItem(name)).map((name) => [name, form[name].value.trim()]));

/** Fill the form from the address, but not while somebody types. @param {HTMLFormElement} form @param {URLSearchParams} parameters */
export const fillFilters = (form, parameters) => {
  offer(form.site, siteNames(), parameters.get("site"));
  offer(form.pixel, pixelIds(), parameters.get("pixel"));
  for (const name of FIELDS) {
    const field = /** @type {any} */ (form.elements.namedItem(name));
    const value = parameters.get(name) || "";
    if (field && field.value.trim() != value && !("typing" in form.dataset)) field.value = value;
  }
  if (!parameters.has("from")) form.around.value = "";
};

/** @param {HTMLSelectElement} select @param {string[]} known @param {string | null} asked */
const offer = (select, known, asked) => {
  const offered = new Set([...select.options].map(({ value }) => value));
  for (const value of [...known, ...(asked ? [asked] : [])]) {
    if (!offered.has(value)) select.append(make("option", { value }, value));
  }
};

/** Offer the names that are listed. @param {{ name: string }[]} rows */
export const offerNames = (rows) => {
  const list = document.getElementById("names");
  const names = [...new Set(rows.map(({ name }) => name))].sort();
  if (list) reconcile(list, names, String, () => make("option"), (option, name) => option.setAttribute("value", name));
};

/** Whether the address asks for some events only. @param {URLSearchParams} parameters */
export const isFiltered = (parameters) => FIELDS.some((name) => parameters.get(name));

/** Return the ids that a text may mean: itself, or the number of an order of a site. @param {string} text */
const idsOf = (text) => (text ? [text, ...siteNames().map((site) => `order-${site}-${text}`)] : []);

/** Return what to ask the API for. @param {URLSearchParams} parameters @param {string[]} names which filters it takes */
export const eventQuery = (parameters, names = FIELDS) => {
  const query = new URLSearchParams(rangeQuery(parameters));
  for (const name of names) if (name != "id" && parameters.get(name)) query.set(name, `${parameters.get(name)}`);
  for (const id of idsOf(parameters.get("id") || "")) query.append("id", id);
  return query;
};

/** What tells events that wait from each other. */
export const WAITING_FIELDS = ["site", "pixel", "name", "id", "browser_copy", "action_source"];

/** Whether an event is among those that the address asks for. @param {Record<string, any>} event */
export const isWanted = (event) => {
  const { parameters } = current();
  const ids = idsOf(parameters.get("id") || "");
  const { from, to } = rangeQuery(parameters);
  if (event.arrived < Number(from) || event.arrived >= Number(to || Infinity)) return false;
  if (ids.length && !ids.includes(event.id)) return false;
  /** @type {Record<string, any>} */
  const words = { ...event, browser_copy: event.browser_copy || NO_COPY };
  return FIELDS.every((name) => name == "id" || !parameters.get(name) || parameters.get(name) == words[name]);
};
