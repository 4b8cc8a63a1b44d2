/**
 * The operator's page: asks the proxy every two seconds and shows what it says.
 *
 * What visitors or Meta wrote goes in as text, never as markup. Elements whose content stays are left alone, so
 * that focus, selection, opened details and the place one reads at outlive an update.
 */

import { byId, make, say, chip, moment, title, button, reconcile, fillTable } from "./operator-elements.js";
import { DEAD, STATUSES, COPIES, TITLES, trouble, why, oddities, advice, age, count, clock } from "./operator-words.js";

/** @typedef {import("./operator-words.js").Lane} Lane */
/** @typedef {import("./operator-words.js").State} State */
/** @typedef {import("./operator-words.js").GraphError} GraphError */
/** @typedef {import("./operator-words.js").Row} Row */
/** @typedef {import("./operator-words.js").Letter} Letter */

/**
 * @template Item
 * @typedef {import("./operator-elements.js").Column<Item>} Column
 */

const EVERY_MS = 2000;
// A search through a large ledger takes the proxy's time: at most a tenth of it is spent on this page.
const REST = 9;
const PATIENCE_MS = 30_000;
const TYPING_MS = 300;
const LETTERS = 100;
const MAX_AGE_S = 7 * 24 * 60 * 60;

// -- questions to the proxy

/** The proxy answered, but not with what was asked. */
class Refusal extends Error {}

/** @param {string} path @param {unknown} [order] what to POST */
const ask = async (path, order) => {
  const post = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(order) };
  const signal = AbortSignal.timeout(PATIENCE_MS);
  const answer = await fetch(path, { cache: "no-store", signal, ...(order ? post : {}) });
  if (answer.status == 401) throw new Refusal("The proxy asks for the password again: reload this page.");
  const body = await answer.json();
  if (body.error) throw new Refusal(`The proxy refuses: ${body.error}`);
  return body;
};

let paused = false;

/**
 * Ask again and again, while somebody may look. An answer that a newer question has overtaken is dropped.
 *
 * @template Answer
 * @param {() => Promise<Answer>} question @param {(answer: Answer) => void} show @param {(error: unknown) => void} fail
 */
const poll = (question, show, fail) => {
  let timer = 0;
  let turn = 0;
  const now = async () => {
    clearTimeout(timer);
    const mine = ++turn;
    const began = performance.now();
    /** @type {() => void} */
    let conclude;
    try {
      const answer = await question();
      conclude = () => show(answer);
    } catch (error) {
      conclude = () => fail(error);
    }
    if (mine != turn) return;
    conclude();
    clearTimeout(timer);
    if (!paused && !document.hidden) timer = setTimeout(now, Math.max(EVERY_MS, REST * (performance.now() - began)));
  };
  return { now, stop: () => clearTimeout(timer) };
};

/** @param {HTMLElement} note @returns {(error: unknown) => void} */
const noting = (note) => (error) => {
  // That it does not answer at all, the banner says.
  if (!(error instanceof Refusal)) return;
  say(note, error.message);
  note.dataset.refusal = "";
};

/** @param {HTMLElement} note */
const forgive = (note) => {
  if ("refusal" in note.dataset) say(note, "");
  delete note.dataset.refusal;
};

// -- readiness and lanes

/** @type {Column<Lane>[]} */
const LANES = [
  { label: "Pixel", kind: "name", show: ({ pixel }) => pixel },
  {
    label: "State",
    show: ({ paused: pause, failures, waiting }) => {
      if (pause) return [chip(["Paused", "bad"]), make("span", { class: "why" }, `${trouble(pause)}; its events wait`)];
      return chip(failures ? ["Trying again", "warn"] : waiting ? ["Delivering", "good"] : ["All delivered", "good"]);
    },
  },
  {
    label: "Waiting",
    kind: "number-cell",
    show: ({ waiting, suspects, oldest, oldest_suspect: older }) => [
      `${count(waiting)} ${waiting == 1 ? "event" : "events"}`,
      suspects ? make("span", { class: "why" }, `${count(suspects)} of them refused together, searched for the bad ones`) : "",
      waiting ? make("span", { class: "why" }, `the oldest for ${age(Math.max(oldest, older))}`) : "",
    ],
  },
  { label: "Failures", kind: "number-cell", show: ({ failures }) => count(failures) },
  {
    label: "Last error",
    show: ({ last_error: error, graph_error: said }) => (error ? [make("span", { class: "line" }, trouble(error)), ...graphError(said)] : "none"),
  },
];

/** @type {Lane[]} */
let lanes = [];
let answeredAt = 0;

/** @param {string} state @param {string} text @param {string[]} reasons */
const announce = (state, text, reasons) => {
  const list = byId("banner-reasons");
  byId("banner").dataset.state = state;
  say(byId("banner-title"), text);
  reconcile(list, reasons, String, () => make("li"), say);
  list.hidden = !reasons.length;
  document.body.classList.toggle("silent", state == "silent");
  document.title = state == "ready" ? "capi-proxy" : `(${state == "silent" ? "no answer" : state}) capi-proxy`;
};

/** @param {State} state */
const showHealth = (state) => {
  answeredAt = Date.now();
  lanes = state.lanes;
  announce(state.status, TITLES[state.status] || state.status, state.conditions.map(advice));
  say(byId("updated"), `Updated ${clock(answeredAt)}`);
  fillTable(byId("lanes"), lanes, LANES, ({ pixel }) => pixel);
  byId("dead-count").hidden = !state.dead;
  say(byId("dead-count"), `(${count(state.dead)})`);
  offerPixels();
};

/** @param {unknown} error */
const showSilence = (error) => {
  const since = answeredAt ? ` since ${clock(answeredAt)}; what you see below is from then` : "";
  const text = error instanceof Refusal ? error.message : `The proxy does not answer${since}.`;
  announce("silent", text, error instanceof Refusal ? [] : ["This page keeps trying. Does the process run, and can it be reached?"]);
};

const health = poll(() => ask("api/status"), showHealth, showSilence);

// -- dead letters

/** @param {GraphError} words @returns {(HTMLElement | string)[]} */
const graphError = ({ code, subcode, message, fbtrace_id: trace }) => {
  const codes = [code != null && `code ${code}`, subcode != null && `subcode ${subcode}`, trace && `trace ${trace}`];
  const known = codes.filter(Boolean).join(", ");
  return [
    message ? make("q", { class: "line" }, message) : "",
    known ? make("code", { class: "line" }, known) : "",
  ];
};

/** @param {Letter} letter */
const choices = (letter) => {
  const name = `${letter.name} ${letter.event_id}`;
  const old = Date.now() / 1000 - letter.time_s > MAX_AGE_S;
  const replay = button("Replay", () => act("replay", [letter]), { "aria-label": `Replay ${name}` });
  const discard = button("Discard…", () => confirmDiscard([letter]), { "aria-label": `Discard ${name}`, class: "danger" });
  const both = make("div", { class: "actions" }, ...(old ? [] : [replay]), discard);
  return old ? [both, make("span", { class: "why" }, "older than 7 days: Meta would refuse a replay")] : both;
};

/** @type {Column<Letter>[]} */
const LETTER_COLUMNS = [
  { label: "Given up", show: ({ at }) => moment(at) },
  { label: "Event", kind: "name", show: ({ name, event_id: id }) => title(name, id) },
  { label: "Pixel", show: ({ pixel }) => pixel },
  {
    label: "Why",
    show: (letter) => [
      make("span", { class: "line" }, DEAD[letter.reason] || letter.reason),
      ...graphError(letter),
      make("details", {}, make("summary", {}, "What was sent"), make("pre", {}, JSON.stringify(letter.event, null, 2))),
    ],
  },
  { label: "Attempts", kind: "number-cell", show: ({ attempts }) => count(attempts) },
  { label: "Act", show: choices },
];

/** @type {Letter[]} */
let letters = [];

/** @param {{ dead: Letter[] }} answer */
const showLetters = ({ dead }) => {
  letters = dead;
  forgive(byId("dead-note"));
  const none = !dead.length;
  byId("dead-empty").hidden = !none;
  for (const id of ["dead-table", "replay-all", "discard-all"]) byId(id).hidden = none;
  const more = dead.length == LETTERS ? ` The newest ${LETTERS} are listed; the command capi-proxy dead reaches all.` : "";
  say(byId("dead-caption"), `Events that Meta refused for good. A replay sends them again with the same ids.${more}`);
  fillTable(byId("letters"), dead, LETTER_COLUMNS, ({ id }) => `${id}`);
};

const deadLetters = poll(() => ask(`api/dead?limit=${LETTERS}`), showLetters, noting(byId("dead-note")));

/** @param {number} number */
const lettersOf = (number) => `${count(number)} dead ${number == 1 ? "letter" : "letters"}`;

/** @param {"replay" | "discard"} verb @param {Letter[]} chosen */
const act = async (verb, chosen) => {
  const note = byId("dead-note");
  try {
    const answer = await ask(`api/dead/${verb}`, { ids: chosen.map(({ id }) => id) });
    const left = answer.left ? `; ${lettersOf(answer.left)} left, gone meanwhile or older than 7 days` : "";
    say(
      note,
      verb == "replay" ? `${lettersOf(answer.replayed)} put back to be delivered${left}.` : `${lettersOf(answer.discarded)} discarded.`,
    );
  } catch (error) {
    say(note, error instanceof Refusal ? error.message : "The proxy does not answer; nothing may have changed.");
  }
  await Promise.all([deadLetters.now(), health.now()]);
  // The pressed button may be gone with its row.
  if (document.activeElement == document.body) byId("dead-title").focus();
};

/** @param {Letter[]} chosen */
const confirmDiscard = (chosen) => {
  const dialog = /** @type {HTMLDialogElement} */ (byId("confirm"));
  const [first] = chosen;
  const which = chosen.length == 1 ? `${first.name} ${first.event_id}` : lettersOf(chosen.length);
  say(byId("confirm-text"), `${which}: this removes what would be needed to send it again.`);
  dialog.returnValue = "";
  dialog.onclose = () => {
    if (dialog.returnValue == "discard") act("discard", chosen);
  };
  dialog.showModal();
};

byId("replay-all").addEventListener("click", () => act("replay", letters));
byId("discard-all").addEventListener("click", () => confirmDiscard(letters));

// -- events

const filters = /** @type {HTMLFormElement} */ (byId("filters"));

/** @type {Column<Row>[]} */
const ROW_COLUMNS = [
  { label: "Time", show: ({ at }) => moment(at) },
  { label: "Event", kind: "name", show: ({ name, id }) => title(name, id) },
  { label: "Pixel", show: ({ pixel }) => pixel },
  {
    label: "Result",
    show: (row) => {
      const reason = why(row);
      const words = [reason, ...oddities(row)].filter(Boolean);
      return [
        chip(STATUSES[row.status] || [row.status, ""]),
        ...words.map((text) => make("span", { class: "why" }, text)),
      ];
    },
  },
  { label: "Browser copy", show: ({ browser_copy }) => chip(COPIES[browser_copy] || [browser_copy, ""]) },
  { label: "Attempts", kind: "number-cell", show: ({ attempts }) => (attempts ? count(attempts) : "") },
  { label: "Meta’s trace", show: ({ fbtrace_id: trace }) => trace && make("code", {}, trace) },
];

/** @param {Row[]} rows @returns {{ label: string, number: string, meaning: string }[]} */
const totalsOf = (rows) => {
  /** @param {(row: Row) => unknown} wanted */
  const amount = (wanted) => rows.filter(wanted).length;
  const delivered = amount(({ status }) => status == "delivered");
  const paired = amount(({ status, browser_copy }) => status == "delivered" && browser_copy == "fired");
  const recovered = amount(({ status, browser_copy }) => status == "delivered" && browser_copy == "blocked");
  return [
    { label: "Delivered", number: count(delivered), meaning: "counted by Meta" },
    { label: "Recovered", number: count(recovered), meaning: "delivered, browser copy blocked" },
    {
      label: "In pairs",
      number: delivered ? `${Math.round((100 * paired) / delivered)} %` : "–",
      meaning: `${count(paired)} of ${count(delivered)} with a browser copy`,
    },
    { label: "Dropped", number: count(amount(({ status }) => status == "dropped")), meaning: "knowingly not sent" },
    { label: "Duplicates", number: count(amount(({ status }) => status == "duplicate")), meaning: "known already" },
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

const wanted = () => {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(filters)) if (`${value}`.trim()) query.set(name, `${value}`.trim());
  return query;
};

const isFiltered = () => [...wanted().keys()].some((name) => name != "limit");

/** @param {{ events: Row[] }} answer */
const showEvents = ({ events }) => {
  const none = !events.length;
  const waiting = lanes.reduce((sum, lane) => sum + lane.waiting, 0);
  const late = none && waiting > 0 && !isFiltered();
  delete byId("events-note").dataset.refusal;
  say(byId("events-note"), late ? `${count(waiting)} events wait for delivery; they are listed once Meta has answered.` : "");
  byId("events-empty").hidden = !none || isFiltered() || waiting > 0;
  byId("events-none").hidden = !none || !isFiltered();
  byId("events-table").hidden = none;
  say(byId("events-caption"), `The newest ${count(events.length)} ${isFiltered() ? "that match" : "events"}, in your local time.`);
  showTotals(events);
  const names = [...new Set(events.map(({ name }) => name))].sort();
  reconcile(byId("names"), names, String, () => make("option"), (option, name) => option.setAttribute("value", name));
  fillTable(byId("rows"), events, ROW_COLUMNS, ({ at, pixel, name, id, status }) => JSON.stringify([at, pixel, name, id, status]));
};

const ledger = poll(() => ask(`api/events?${wanted()}`), showEvents, noting(byId("events-note")));

/** Offer the pixels of the configuration, and the one an address of this page asks for. */
const offerPixels = () => {
  const select = byId("pixel-choices");
  const known = new Set([...select.options].map(({ value }) => value));
  for (const { pixel } of lanes) if (!known.has(pixel)) select.append(make("option", { value: pixel }, pixel));
};

const filter = () => {
  history.replaceState(null, "", `?${wanted()}${location.hash}`);
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

// -- when to look

const polls = [health, deadLetters, ledger];

const lookOrRest = () => {
  for (const one of polls) one.stop();
  if (!paused && !document.hidden) for (const one of polls) one.now();
};

byId("pause").addEventListener("click", () => {
  paused = !paused;
  say(byId("pause"), paused ? "Resume updates" : "Pause updates");
  lookOrRest();
});
document.addEventListener("visibilitychange", lookOrRest);
lookOrRest();
