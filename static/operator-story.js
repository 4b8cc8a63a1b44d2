/** The story of one event: whether Meta has it, and each moment from the call in the page to Meta's answer. */

import { Refusal, ask, poll } from "./operator-ask.js";
import { chip, facts, graphErrorParts, link, make, momentLine, reconcile, section, why } from "./operator-elements.js";
import { age, clock, count, dayAndClock, money } from "./operator-format.js";
import { MATCH_KEYS, consentText, redactionText } from "./operator-names.js";
import { current, linkTo } from "./operator-router.js";
import { COPIES, DEAD, REASONS, STATUSES, causeText, findingTexts, reasonText } from "./operator-words.js";

/** @typedef {import("./operator-words.js").Row} Row */

/**
 * @typedef {{ at: number, what: string, words: string, visitor?: number, status?: string, reason?: string, until?: number,
 *   attempts?: number, browser_copy?: string, code?: number | null, subcode?: number | null, message?: string,
 *   fbtrace_id?: string }} Moment
 * @typedef {{ pixel: string, name: string, id: string, site: string, state: string, timeline: Moment[], rows: Row[],
 *   waiting: Row[], dead: import("./operator-words.js").DeadLetter[], copies: { visitor: number, browser_copy: string,
 *   arrived: number }[], proof: Row }} Story
 */

const UNDECIDED_MS = 1000;
const DECIDED_MS = 10_000;

/** @type {import("./operator-page.js").Page} */
export const story = {
  title: "Story of an event",
  below: "events",
  open: (main) => {
    const note = make("p", { class: "note", role: "status" }, "Asking for the event…");
    const answer = make("p", { id: "answer", class: "answer" });
    const copy = make("p", { id: "copy-answer", class: "answer" });
    const line = make("ol", { id: "timeline", class: "timeline" });
    const proofTitle = make("h3");
    const proof = make("div");
    const found = section("story", "", answer, copy, make("h3", {}, "From the page to Meta"), line, proofTitle, proof);
    found.hidden = true;
    main.append(make("p", { class: "hint" }, link("All events", linkTo("events"))), note, found);
    let isDecided = false;
    let face = "";

    /** @param {Story} told */
    const show = (told) => {
      isDecided = told.state != "waiting";
      if (face == JSON.stringify(told)) return;
      face = JSON.stringify(told);
      note.textContent = "";
      found.hidden = false;
      const heading = /** @type {Element} */ (found.firstElementChild);
      heading.replaceChildren(told.name, " ", make("code", {}, told.id));
      answer.replaceChildren(...answerParts(told));
      copy.replaceChildren(...copyParts(told));
      reconcile(line, stepsOf(told), ({ key }) => key, () => make("li"), (item, step) => item.replaceChildren(...stepParts(step)));
      proofTitle.textContent = ["dropped", "duplicate"].includes(told.state) ? "What was known when it came" : "What was sent, and why it was allowed";
      proof.replaceChildren(proofFacts(told));
    };

    const question = () => {
      const { parameters } = current();
      const names = ["pixel", "name", "id"].map((name) => [name, parameters.get(name) || ""]);
      return ask(`api/event?${new URLSearchParams(names)}`);
    };
    const asked = poll(
      question,
      show,
      (error) => {
        if (!(error instanceof Refusal)) return;
        found.hidden = true;
        face = "";
        const isUnknown = error.status == 404;
        note.textContent = isUnknown ? "Nothing is known of this event. The ledger forgets events after some days." : `The proxy refuses: ${error.message}`;
      },
      () => (isDecided ? DECIDED_MS : UNDECIDED_MS),
    );
    return {
      look: () => void asked.now(),
      catchUp: () => void asked.now(),
      rest: asked.stop,
      leave: asked.stop,
      follow: () => void asked.now(),
      hear: (/** @type {Row} */ row) => {
        const { parameters } = current();
        if (row.id == parameters.get("id") && row.name == parameters.get("name")) asked.now();
      },
    };
  },
};

/** Say whether Meta has the event. @param {Story} story @returns {import("./operator-elements.js").Content[]} */
const answerParts = ({ state, rows, waiting, dead }) => {
  const label = chip(STATUSES[state] || [state, ""]);
  const delivered = rows.findLast(({ status }) => status == "delivered");
  if (delivered) {
    const lag = delivered.arrived ? `, ${age(delivered.at - delivered.arrived)} after it arrived` : "";
    return [chip(STATUSES.delivered), " ", make("strong", {}, "Yes, Meta has it"), `: taken on ${dayAndClock(delivered.at)} (${clock(delivered.at)})${lag}.`];
  }
  if (waiting.length) {
    const [{ attempts, held_until: until }] = waiting;
    const held = until ? ` It is held until ${clock(until)}.` : "";
    return [label, " ", make("strong", {}, "Not yet"), `: it is stored and waits for Meta${attempts ? `, after ${count(attempts)} attempts` : ""}.${held}`];
  }
  // A repeat says nothing of what became of the event.
  const last = rows.findLast(({ status }) => status != "duplicate");
  const reason = last?.reason || dead[0]?.reason || "";
  if (state == "dead") {
    const end = reason == "too_old" ? "No, it was given up" : "No, Meta refused it";
    const kept = dead.length ? [" It is kept among the ", link("dead letters", linkTo("dead")), "."] : [];
    return [label, " ", make("strong", {}, end), `: ${DEAD[reason] || reason}.`, ...kept];
  }
  if (state == "replayed") return [label, " ", make("strong", {}, "Not yet"), ": it was refused, and was put back to be delivered."];
  if (state == "dropped") return [label, " ", make("strong", {}, "No, it was not sent"), `: ${REASONS[reason] || reason}.`];
  return [label, " ", make("strong", {}, "It was not sent again"), `: ${reasonText(rows[rows.length - 1])}.`];
};

/** Say what became of the browser copy. @param {Story} story @returns {import("./operator-elements.js").Content[]} */
const copyParts = ({ copies, rows }) => {
  if (!copies.length) return ["A server sent it, so there is no browser copy."];
  const hasMeta = rows.some(({ status }) => status == "delivered");
  return copies.flatMap(({ browser_copy: copy }, index) => {
    const who = copies.length > 1 ? `Visitor ${index + 1}: ` : "";
    /** @type {Record<string, string>} */
    const words = {
      fired: `the browser’s own copy was not blocked: the Pixel took the call.${hasMeta ? " Of two copies with this id Meta counts one." : ""}`,
      blocked: `the browser’s own copy was blocked${hasMeta ? ": Meta knows of this event by the server copy alone" : ""}.`,
      pending: "whether the browser’s own copy was blocked is not known: the page was left before it could tell, or has not told yet.",
    };
    const text = words[copy] || copy;
    return [index ? make("br") : "", chip(COPIES[copy] || [copy, ""]), " ", who + (who ? text : text[0].toUpperCase() + text.slice(1))];
  });
};

/** @typedef {Moment & { key: string, after: number }} Step */

/** @param {Story} story @returns {Step[]} */
const stepsOf = ({ timeline }) =>
  timeline.map((moment, index) => ({
    ...moment,
    key: `${moment.at} ${moment.what} ${moment.visitor || ""} ${index}`,
    after: index && moment.at && timeline[index - 1].at ? moment.at - timeline[index - 1].at : 0,
  }));

/** @param {Step} step */
const stepParts = (step) => {
  const { at, what, words, after, status, reason, until, attempts, browser_copy: copy } = step;
  /** @type {Record<string, string>} */
  const kinds = { delivered: "good", dead: "bad", decided: "", paused: "bad", attempted: "warn" };
  const details = [
    status ? chip(STATUSES[status] || [status, ""]) : "",
    copy ? chip(COPIES[copy] || [copy, ""]) : "",
    reason ? why(REASONS[reason] || causeText(reason)) : "",
    until ? why(`until ${dayAndClock(until)}`) : "",
    attempts && what != "attempted" ? why(attempts == 1 ? "at the first attempt" : `after ${count(attempts)} attempts`) : "",
    ...graphErrorParts({ code: step.code ?? null, subcode: step.subcode ?? null, message: step.message || "", fbtrace_id: step.fbtrace_id || "" }),
  ];
  const when = at ? [momentLine(at), after >= 1 ? make("span", { class: "soft" }, ` + ${age(after)}`) : ""] : [make("span", { class: "soft" }, "now")];
  return [make("div", { class: `step ${kinds[what] || ""}` }, make("p", { class: "when" }, ...when), make("p", {}, make("strong", {}, words)), ...details.filter((part) => part !== ""))];
};

/** @param {Story} story */
const proofFacts = ({ proof, pixel, site, rows, waiting }) => {
  const any = rows[rows.length - 1] || waiting[0];
  return facts([
    ["Pixel", make("code", {}, pixel)],
    ["Site", site || ""],
    ["Value", any?.value == null ? "" : money(any.value, any.currency)],
    ["Consent", proof ? consentText(proof) : ""],
    ["Match keys", proof?.match_keys?.length ? proof.match_keys.map((key) => MATCH_KEYS[key] || key).join(", ") : "none"],
    ["Taken out before it left", proof?.redactions?.length ? proof.redactions.map(redactionText).join(", ") : "nothing"],
    ["Findings", proof?.findings?.length ? findingTexts({ ...proof, reason: "" }).join("; ") : "none"],
    ["Happened", (proof?.action_source || "").replaceAll("_", " ")],
  ]);
};
