/** The table of dead letters, and what can be done with them. */

import { Refusal, ask, clearRefusalIn, poll, showRefusalIn } from "./operator-ask.js";
import { button, byId, fillTable, graphErrorParts, make, moment, say, title } from "./operator-elements.js";
import { DEAD, count } from "./operator-words.js";

/** @typedef {import("./operator-words.js").DeadLetter} DeadLetter */

const MOST_LISTED = 100;
const MAX_AGE_S = 7 * 24 * 60 * 60;

/** @param {number} number */
const amount = (number) => `${count(number)} dead ${number == 1 ? "letter" : "letters"}`;

/**
 * Show the dead letters, and do with them what is asked.
 *
 * @param {() => Promise<void>} onChange called when some were replayed or discarded
 * @returns {import("./operator-ask.js").Poll}
 */
export const watchDeadLetters = (onChange) => {
  /** @type {DeadLetter[]} */
  let listed = [];

  /** @param {"replay" | "discard"} verb @param {DeadLetter[]} chosen */
  const act = async (verb, chosen) => {
    const note = byId("dead-note");
    try {
      const answer = await ask(`api/dead/${verb}`, { ids: chosen.map(({ id }) => id) });
      const left = answer.left ? `; ${amount(answer.left)} left, gone meanwhile or older than 7 days` : "";
      const replayed = `${amount(answer.replayed)} put back to be delivered${left}.`;
      say(note, verb == "replay" ? replayed : `${amount(answer.discarded)} discarded.`);
    } catch (error) {
      say(note, error instanceof Refusal ? error.message : "The proxy does not answer; nothing may have changed.");
    }
    await Promise.all([deadLetters.now(), onChange()]);
    // The pressed button may be gone with its row.
    if (document.activeElement == document.body) byId("dead-title").focus();
  };

  /** @param {DeadLetter[]} chosen */
  const confirmDiscard = (chosen) => {
    const dialog = /** @type {HTMLDialogElement} */ (byId("confirm"));
    const [first] = chosen;
    const which = chosen.length == 1 ? `${first.name} ${first.event_id}` : amount(chosen.length);
    say(byId("confirm-text"), `${which}: this removes what would be needed to send it again.`);
    dialog.returnValue = "";
    dialog.onclose = () => {
      if (dialog.returnValue == "discard") act("discard", chosen);
    };
    dialog.showModal();
  };

  /** @param {DeadLetter} deadLetter */
  const actions = (deadLetter) => {
    const name = `${deadLetter.name} ${deadLetter.event_id}`;
    const isOld = Date.now() / 1000 - deadLetter.time_s > MAX_AGE_S;
    const replay = button("Replay", () => act("replay", [deadLetter]), { "aria-label": `Replay ${name}` });
    const attributes = { "aria-label": `Discard ${name}`, class: "danger" };
    const discard = button("Discard…", () => confirmDiscard([deadLetter]), attributes);
    const buttons = make("div", { class: "actions" }, ...(isOld ? [] : [replay]), discard);
    return isOld ? [buttons, make("span", { class: "why" }, "older than 7 days: Meta would refuse a replay")] : buttons;
  };

  /** @type {import("./operator-elements.js").Column<DeadLetter>[]} */
  const columns = [
    { label: "Given up", show: ({ at }) => moment(at) },
    { label: "Event", kind: "name", show: ({ name, event_id: id }) => title(name, id) },
    { label: "Pixel", show: ({ pixel }) => pixel },
    {
      label: "Why",
      show: (deadLetter) => [
        make("span", { class: "line" }, DEAD[deadLetter.reason] || deadLetter.reason),
        ...graphErrorParts(deadLetter),
        make("details", {}, make("summary", {}, "What was sent"), make("pre", {}, JSON.stringify(deadLetter.event, null, 2))),
      ],
    },
    { label: "Attempts", kind: "number-cell", show: ({ attempts }) => count(attempts) },
    { label: "Act", show: actions },
  ];

  /** @param {{ dead: DeadLetter[] }} answer */
  const show = ({ dead }) => {
    listed = dead;
    clearRefusalIn(byId("dead-note"));
    const none = !dead.length;
    byId("dead-empty").hidden = !none;
    for (const id of ["dead-table", "replay-all", "discard-all"]) byId(id).hidden = none;
    const more = `The newest ${MOST_LISTED} are listed; the command capi-proxy dead reaches all.`;
    const caption = "Events that Meta refused for good. A replay sends them again with the same ids.";
    say(byId("dead-caption"), dead.length == MOST_LISTED ? `${caption} ${more}` : caption);
    fillTable(byId("dead-rows"), dead, columns, ({ id }) => `${id}`);
  };

  const deadLetters = poll(() => ask(`api/dead?limit=${MOST_LISTED}`), show, showRefusalIn(byId("dead-note")));
  byId("replay-all").addEventListener("click", () => act("replay", listed));
  byId("discard-all").addEventListener("click", () => confirmDiscard(listed));
  return deadLetters;
};
