/** Who is told when something is wrong, what they were told, and a test. */

import { Refusal, ask, poll, showRefusalIn } from "./operator-ask.js";
import { button, chip, make, momentLine, say, section } from "./operator-elements.js";
import { count } from "./operator-format.js";
import { table } from "./operator-table.js";
import { advice } from "./operator-words.js";

/**
 * @typedef {{ name: string, last: number, answer: string, failures: number, next: number, waiting: boolean }} Receiver
 * @typedef {import("./operator-words.js").Condition & { fired: number, gone: number }} Alert
 * @typedef {{ at: number, receiver: string, kind: string, title: string, taken: boolean, answer: string }} Sent
 * @typedef {{ receivers: Receiver[], alerts: Alert[], sent: Sent[] }} Alerts
 */

const EVERY_MS = 10_000;

/** @param {Alert} alert @returns {[string, string]} */
const stateOf = ({ fired, gone }) => (gone ? ["Over soon", ""] : fired ? ["Told", "warn"] : ["Not told yet", ""]);

/** Return the section of alerts, and what keeps it up. */
export const alertsPart = () => {
  const note = make("p", { id: "alerts-note", class: "note", role: "status" });
  const none = make("p", { class: "empty", hidden: "" }, "Nobody is told when something is wrong. Add ", make("code", {}, "[[alerts.webhook]]"), " or ", make("code", {}, "[[alerts.email]]"), " to the configuration, and restart.");
  const receivers = table("Table of those who are told", RECEIVERS, ({ name }) => name, { id: "receivers" });
  const standing = table("Table of alerts", ALERTS, ({ code, subject }) => `${code} ${subject}`, { id: "alerts-table" });
  const sent = table("Table of messages", SENT, ({ at, receiver, kind, title }) => `${at} ${receiver} ${kind} ${title}`, { id: "sent-table" });
  const test = button("Send a test alert", () => void tryIt(), { id: "alerts-test" });
  const element = section("alerts", "Alerts", make("div", { class: "actions" }, test), note, none, receivers.element, standing.element, sent.element);

  /** @param {Alerts} answer */
  const show = ({ receivers: told, alerts, sent: messages }) => {
    none.hidden = told.length > 0;
    test.hidden = receivers.element.hidden = !told.length;
    standing.element.hidden = !alerts.length;
    sent.element.hidden = !messages.length;
    receivers.fill(told, "Who is told.");
    standing.fill(alerts, "Conditions that alerts are about.");
    sent.fill(messages, "Messages since the start, newest first.");
  };

  const tryIt = async () => {
    say(note, "A test message is on its way…");
    try {
      const answer = await ask("api/alerts/test", {});
      say(note, testText(answer));
    } catch (error) {
      say(note, error instanceof Refusal ? `The proxy refuses: ${error.message}` : "The proxy does not answer.");
    }
    asked.now();
  };

  const asked = poll(() => ask("api/alerts"), show, showRefusalIn(note), () => EVERY_MS);
  return { element, poll: asked };
};

/** @param {{ receivers: { name: string, taken: boolean, answer: string }[] }} answer */
const testText = ({ receivers }) => {
  if (!receivers.length) return "Nobody is configured to be told.";
  return receivers.map(({ name, taken, answer }) => `${name}: ${taken ? "took it" : `did not take it (${answer})`}`).join(" · ");
};

/** @type {import("./operator-elements.js").Column<Receiver>[]} */
const RECEIVERS = [
  { label: "Receiver", kind: "name", show: ({ name }) => name },
  { label: "Last message", show: ({ last }) => (last ? momentLine(last) : "none since the start") },
  { label: "Answer", show: ({ answer, failures }) => (failures ? [chip(["Not taken", "bad"]), ` ${answer} (${count(failures)} in a row)`] : answer) },
  { label: "Next try", show: ({ next, waiting }) => (waiting ? (next ? momentLine(next) : "soon") : "") },
];

/** @type {import("./operator-elements.js").Column<Alert>[]} */
const ALERTS = [
  { label: "State", show: (alert) => chip(stateOf(alert)) },
  { label: "What", kind: "name", show: (alert) => advice(alert) },
  { label: "Since", show: ({ since }) => momentLine(since) },
];

/** @type {import("./operator-elements.js").Column<Sent>[]} */
const SENT = [
  { label: "Sent", show: ({ at }) => momentLine(at) },
  { label: "Message", kind: "name", show: ({ title }) => title },
  { label: "Receiver", show: ({ receiver }) => receiver },
  { label: "Answer", show: ({ taken, answer }) => [chip(taken ? ["Taken", "good"] : ["Not taken", "bad"]), taken ? "" : ` ${answer}`] },
];
