/** The page of dead letters, and what can be done with them. */

import { Refusal, ask, clearRefusalIn, poll, showRefusalIn } from "./operator-ask.js";
import { now } from "./operator-clock.js";
import { confirmFirst } from "./operator-confirm.js";
import { button, byId, fillLinks, graphErrorParts, link, make, moment, say, section, why } from "./operator-elements.js";
import { count, countOf } from "./operator-format.js";
import { storyLink, viewOf } from "./operator-page.js";
import { rangeQuery, rangeWords } from "./operator-range.js";
import { current, linkWith } from "./operator-router.js";
import { table } from "./operator-table.js";
import { DEAD } from "./operator-words.js";

/** @typedef {import("./operator-words.js").DeadLetter} DeadLetter */

const MOST_LISTED = 100;
const MAX_AGE_S = 7 * 24 * 60 * 60;
const FILTERS = ["pixel", "name", "id", "reason", "before"];

/** @param {number} number */
const amount = (number) => countOf(number, "dead letter");

/** @type {import("./operator-page.js").Page} */
export const deadLetters = {
  title: "Dead letters",
  isListed: true,
  open: (main, { onChange }) => {
    /** @type {DeadLetter[]} */
    let listed = [];
    const note = make("p", { id: "dead-note", class: "note", role: "status" });

    /** @param {"replay" | "discard"} verb @param {DeadLetter[]} chosen */
    const act = async (verb, chosen) => {
      try {
        const answer = await ask(`api/dead/${verb}`, { ids: chosen.map(({ id }) => id) });
        const left = answer.left ? `; ${amount(answer.left)} left, gone meanwhile or older than 7 days` : "";
        const replayed = `${amount(answer.replayed)} put back to be delivered${left}.`;
        say(note, verb == "replay" ? replayed : `${amount(answer.discarded)} discarded.`);
      } catch (error) {
        say(note, error instanceof Refusal ? error.message : "The proxy does not answer; nothing may have changed.");
      }
      await Promise.all([letters.now(), onChange()]);
      // The pressed button may be gone with its row.
      if (document.activeElement == document.body) byId("dead-title").focus();
    };

    /** @param {DeadLetter[]} chosen */
    const confirmDiscard = (chosen) => {
      const [first] = chosen;
      const which = chosen.length == 1 ? `${first.name} ${first.event_id}` : amount(chosen.length);
      const text = `${which}: this removes what would be needed to send it again.`;
      confirmFirst({ title: "Discard for good?", text, yes: "Discard", no: "Keep" }, () => void act("discard", chosen));
    };

    const replayAll = button("Replay all listed", () => void act("replay", listed), { id: "replay-all" });
    const discardAll = button("Discard all listed…", () => confirmDiscard(listed), { id: "discard-all", class: "danger" });
    const saved = link("Export all as JSON lines", "api/dead/export", { id: "export", class: "button", download: "dead-letters.jsonl" });
    const buttons = make("div", { class: "actions" }, replayAll, discardAll, saved);
    const rows = table("Table of dead letters", columnsOf(act, confirmDiscard), ({ id }) => `${id}`, { id: "dead-table" });
    const empty = make("div", { id: "dead-empty", class: "empty soft" });
    const paging = make("nav", { class: "paging", "aria-label": "Pages of dead letters" });
    const loading = make("p", { class: "loading soft" }, "Asking for dead letters…");
    main.append(
      make("p", { class: "hint" }, "An event that Meta refuses for good is kept here with Meta’s error, until you replay or discard it or its time is over. A replay sends it again with the same id."),
      section("dead", "Kept dead letters", buttons, note, loading, empty, rows.element, paging),
    );
    for (const part of [buttons, rows.element, empty]) part.hidden = true;

    /** @param {{ dead: DeadLetter[] }} answer */
    const show = ({ dead }) => {
      const { parameters } = current();
      const { from, to } = rangeQuery(parameters);
      listed = dead.filter(({ at }) => at >= Number(from) && (!to || at < Number(to)));
      clearRefusalIn(note);
      loading.hidden = true;
      empty.hidden = listed.length > 0;
      buttons.hidden = rows.element.hidden = !listed.length;
      if (!listed.length) empty.replaceChildren(...emptiness(dead.length, parameters));
      const hidden = dead.length - listed.length;
      const others = hidden ? ` ${count(hidden)} more outside of this time range.` : "";
      rows.fill(listed, `${amount(listed.length)} of ${rangeWords(parameters)}.${others}`);
      const older = dead.length == MOST_LISTED ? [{ text: "Older dead letters", href: linkWith({ before: `${dead[dead.length - 1].id}` }), id: "older" }] : [];
      const newest = parameters.get("before") ? [{ text: "Newest dead letters", href: linkWith({ before: "" }), id: "newest" }] : [];
      fillLinks(paging, [...newest, ...older]);
      paging.hidden = !paging.childElementCount;
    };

    const question = () => {
      const { parameters } = current();
      const query = new URLSearchParams({ limit: `${MOST_LISTED}` });
      for (const name of FILTERS) if (parameters.get(name)) query.set(name, `${parameters.get(name)}`);
      return ask(`api/dead?${query}`);
    };
    const letters = poll(question, show, (error) => {
      loading.hidden = true;
      showRefusalIn(note)(error);
    });
    return viewOf([letters]);
  },
};

/** @param {number} others @param {URLSearchParams} parameters */
const emptiness = (others, parameters) =>
  others
    ? [make("p", {}, `None of ${rangeWords(parameters)}; ${amount(others)} from outside of this time range. `, link("Show all", linkWith({ range: "400d", from: "", to: "" })))]
    : [make("p", {}, "None. Meta has refused no event for good, or all were replayed or discarded. There is nothing to do.")];

/**
 * @param {(verb: "replay" | "discard", chosen: DeadLetter[]) => void} act @param {(chosen: DeadLetter[]) => void} confirmDiscard
 * @returns {import("./operator-elements.js").Column<DeadLetter>[]}
 */
const columnsOf = (act, confirmDiscard) => [
  { label: "Given up", show: ({ at }) => moment(at) },
  {
    label: "Event",
    kind: "name",
    show: ({ pixel, name, event_id: id }) => [make("span", { class: "line" }, storyLink({ pixel, name, id })), make("code", { class: "line" }, id)],
  },
  { label: "Pixel", show: ({ pixel }) => pixel },
  {
    label: "Why",
    show: (deadLetter) => [
      make("span", { class: "line" }, DEAD[deadLetter.reason] || deadLetter.reason),
      ...graphErrorParts(deadLetter),
      make("details", {}, make("summary", {}, "What was sent"), make("pre", { tabindex: "0" }, JSON.stringify(deadLetter.event, null, 2))),
    ],
  },
  { label: "Attempts", kind: "number-cell", show: ({ attempts }) => count(attempts) },
  {
    label: "Act",
    show: (deadLetter) => {
      const name = `${deadLetter.name} ${deadLetter.event_id}`;
      const isOld = now() / 1000 - deadLetter.time_s > MAX_AGE_S;
      const replay = button("Replay", () => act("replay", [deadLetter]), { "aria-label": `Replay ${name}` });
      const discard = button("Discard…", () => confirmDiscard([deadLetter]), { "aria-label": `Discard… ${name}`, class: "danger" });
      const buttons = make("div", { class: "actions" }, ...(isOld ? [] : [replay]), discard);
      return isOld ? [buttons, why("older than 7 days: Meta would refuse a replay")] : buttons;
    },
  },
];
