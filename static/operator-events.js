/** The table of events, its filters and its totals. */

import { ask, poll, showRefusalIn } from "./operator-ask.js";
import { byId, chip, fillTable, make, moment, reconcile, say, title } from "./operator-elements.js";
import { pixels, waitingEvents } from "./operator-health.js";
import { COPIES, STATUSES, count, findingTexts, reasonText } from "./operator-words.js";

/** @typedef {import("./operator-words.js").Row} Row */

const TYPING_MS = 300;

/** @type {import("./operator-elements.js").Column<Row>[]} */
const COLUMNS = [
  { label: "Time", show: ({ at }) => moment(at) },
  { label: "Event", kind: "name", show: ({ name, id }) => title(name, id) },
  { label: "Pixel", show: ({ pixel }) => pixel },
  {
    label: "Result",
    show: (row) => {
      const texts = [reasonText(row), ...findingTexts(row)].filter(Boolean);
      return [chip(STATUSES[row.status] || [row.status, ""]), ...texts.map((text) => make("span", { class: "why" }, text))];
    },
  },
  {
    label: "Browser copy",
    show: ({ browser_copy: status, action_source: source }) =>
      status ? chip(COPIES[status] || [status, ""]) : `server, ${source.replaceAll("_", " ")}`,
  },
  { label: "Attempts", kind: "number-cell", show: ({ attempts }) => (attempts ? count(attempts) : "") },
  { label: "Meta’s trace", show: ({ fbtrace_id: trace }) => trace && make("code", {}, trace) },
];

/** @param {Row[]} rows @returns {{ label: string, number: string, meaning: string }[]} */
const totalsOf = (rows) => {
  /** @param {(row: Row) => unknown} chosen */
  const amount = (chosen) => rows.filter(chosen).length;
  const delivered = amount(({ status }) => status == "delivered");
  const fromPages = amount(({ status, browser_copy }) => status == "delivered" && browser_copy);
  const paired = amount(({ status, browser_copy }) => status == "delivered" && browser_copy == "fired");
  const recovered = amount(({ status, browser_copy }) => status == "delivered" && browser_copy == "blocked");
  return [
    { label: "Delivered", number: count(delivered), meaning: "counted by Meta" },
    { label: "Recovered", number: count(recovered), meaning: "delivered, browser copy blocked" },
    {
      label: "In pairs",
      number: fromPages ? `${Math.round((100 * paired) / fromPages)} %` : "–",
      meaning: `${count(paired)} of ${count(fromPages)} with a browser copy`,
    },
    { label: "Dropped", number: count(amount(({ status }) => status == "dropped")), meaning: "knowingly not sent" },
    { label: "Duplicates", number: count(amount(({ status }) => status == "duplicate")), meaning: "sent before" },
    { label: "Dead", number: count(amount(({ status }) => status == "dead")), meaning: "refused for good" },
  ];
};

/** @param {Row[]} rows */
const showTotals = (rows) => {
  const list = byId("totals");
  list.hidden = !rows.length;
  reconcile(
    list,
    totalsOf(rows),
    ({ label }) => label,
    () => make("div"),
    (box, { label, number, meaning }) =>
      box.replaceChildren(
        make("dt", {}, label),
        make("dd", { class: "number" }, number),
        make("dd", { class: "meaning" }, meaning),
      ),
  );
};

const filters = /** @type {HTMLFormElement} */ (byId("filters"));

const query = () => {
  const parameters = new URLSearchParams();
  for (const [name, value] of new FormData(filters)) if (`${value}`.trim()) parameters.set(name, `${value}`.trim());
  return parameters;
};

const isFiltered = () => [...query().keys()].some((name) => name != "limit");

/** @param {Row[]} events */
const offerNames = (events) => {
  const names = [...new Set(events.map(({ name }) => name))].sort();
  reconcile(byId("names"), names, String, () => make("option"), (option, name) => option.setAttribute("value", name));
};

/** @param {number} listed */
const captionOf = (listed) => {
  const events = listed == 1 ? "event" : `${count(listed)} events`;
  const filtered = isFiltered() ? ` that ${listed == 1 ? "matches" : "match"}` : "";
  return `The newest ${events}${filtered}, in your local time.`;
};

/** @param {{ events: Row[] }} answer */
const showEvents = ({ events }) => {
  const none = !events.length;
  const waiting = waitingEvents();
  const isLate = none && waiting > 0 && !isFiltered();
  delete byId("events-note").dataset.refusal;
  const wait = waiting == 1 ? "1 event waits for delivery; it is" : `${count(waiting)} events wait for delivery; they are`;
  say(byId("events-note"), isLate ? `${wait} listed once Meta has answered.` : "");
  byId("events-empty").hidden = !none || isFiltered() || waiting > 0;
  byId("events-none").hidden = !none || !isFiltered();
  byId("events-table").hidden = none;
  say(byId("events-caption"), captionOf(events.length));
  showTotals(events);
  offerNames(events);
  fillTable(byId("rows"), events, COLUMNS, ({ at, pixel, name, id, status }) => JSON.stringify([at, pixel, name, id, status]));
};

export const ledger = poll(() => ask(`api/events?${query()}`), showEvents, showRefusalIn(byId("events-note")));

/** Offer the configured pixels as a filter, beside the one that the address of this page asks for. */
export const offerPixels = () => {
  const select = byId("pixel-choices");
  const offered = new Set([...select.options].map(({ value }) => value));
  for (const pixel of pixels()) if (!offered.has(pixel)) select.append(make("option", { value: pixel }, pixel));
};

const filter = () => {
  history.replaceState(null, "", `?${query()}${location.hash}`);
  ledger.now();
};

let typing = 0;
filters.addEventListener("submit", (event) => event.preventDefault());
filters.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(filter, TYPING_MS);
});
// The fields are empty only after the event.
filters.addEventListener("reset", () => setTimeout(filter));

// The address of this page remembers the filters, so that a reload or a bookmark keeps them.
for (const [name, value] of new URLSearchParams(location.search)) {
  const field = /** @type {any} */ (filters.elements.namedItem(name));
  if (name == "pixel" && value) field.append(make("option", { value }, value));
  if (field) field.value = value;
}
