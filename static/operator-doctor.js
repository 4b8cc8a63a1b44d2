/** The page of the doctor: an examination of the whole set-up, and who is told when something is wrong. */

import { alertsPart } from "./operator-alerts.js";
import { Refusal, ask, clearRefusalIn, poll, showRefusalIn } from "./operator-ask.js";
import { button, chip, make, momentLine, reconcile, say, section } from "./operator-elements.js";
import { age } from "./operator-format.js";
import { GROUPS, SERIOUSNESS } from "./operator-names.js";
import { installPart } from "./operator-install.js";
import { viewOf } from "./operator-page.js";

/**
 * @typedef {{ code: string, group: string, seriousness: string, subject: string, seen: string, why: string, mend: string, paste: string }} Finding
 * @typedef {{ at: number, age: number, took: number, version: string, counts: Record<string, number>, summary: string, findings: Finding[] }} Report
 * @typedef {{ running: boolean, started: number | null, report: Report | null }} Examination
 */

const RUNNING_MS = 1000;
const RESTING_MS = 30_000;

/** @type {import("./operator-page.js").Page} */
export const doctor = {
  title: "Doctor",
  isListed: true,
  open: (main) => {
    let isRunning = false;
    const note = make("p", { id: "doctor-note", class: "note", role: "status" });
    const summary = make("p", { id: "doctor-summary" });
    const list = make("div", { id: "findings" });
    const begin = /** @type {HTMLButtonElement} */ (button("Examine now", () => void examine(), { id: "examine" }));
    const alerts = alertsPart();
    main.append(
      make("p", { class: "hint" }, "The doctor looks at the configuration, this machine, your domain names, certificates and pages, and at Meta, as they are at this moment. It changes nothing. The time range does not matter here."),
      section("examination", "Examination", make("div", { class: "actions" }, begin), note, summary, list),
      installPart(),
      alerts.element,
    );

    /** @param {Examination} examination */
    const show = ({ running, started, report }) => {
      const hasEnded = isRunning && !running;
      isRunning = running;
      clearRefusalIn(note);
      begin.setAttribute("aria-disabled", `${running}`);
      if (running) say(note, started ? "The examination is under way; it takes a minute at most." : "The examination begins.");
      else if (hasEnded) say(note, "The examination is finished.");
      summary.replaceChildren(...summaryParts(report));
      reconcile(list, groupsOf(report), ({ group }) => group, () => make("section", { class: "plain" }), (box, { group, findings }) =>
        box.replaceChildren(make("h3", {}, GROUPS[group] || group), ...findings.map(findingPart)),
      );
    };

    const examine = async () => {
      if (isRunning) return;
      try {
        show(await ask("api/doctor", {}));
        asked.now();
      } catch (error) {
        say(note, error instanceof Refusal ? `The proxy refuses: ${error.message}` : "The proxy does not answer.");
      }
    };

    const asked = poll(() => ask("api/doctor"), show, showRefusalIn(note), () => (isRunning ? RUNNING_MS : RESTING_MS));
    return viewOf([asked, alerts.poll]);
  },
};

/** @param {Report | null} report */
const summaryParts = (report) =>
  report
    ? [make("strong", {}, report.summary), make("span", { class: "soft" }, " · finished ", momentLine(report.at), `, took ${age(report.took)} · version ${report.version}`)]
    : ["Nothing was examined since the proxy started. ", make("strong", {}, "Examine now"), " takes a minute at most."];

/** Return findings by group, in the order in which they come: the worst first. @param {Report | null} report */
const groupsOf = (report) => {
  /** @type {Map<string, Finding[]>} */
  const groups = new Map();
  for (const finding of report?.findings || []) groups.set(finding.group, [...(groups.get(finding.group) || []), finding]);
  return [...groups].map(([group, findings]) => ({ group, findings }));
};

/** @param {Finding} finding */
const findingPart = ({ code, seriousness, subject, seen, why, mend, paste }) =>
  make(
    "article",
    { class: "finding", "data-code": code },
    make("h4", {}, chip(SERIOUSNESS[seriousness] || [seriousness, ""]), " ", seen),
    subject ? make("p", {}, make("code", {}, subject)) : "",
    why ? make("p", {}, make("span", { class: "soft" }, "Why it matters: "), why) : "",
    mend ? make("p", {}, make("span", { class: "soft" }, "What to do: "), mend) : "",
    ...(paste ? [pastePart(paste)] : []),
  );

/** @param {string} text */
const pastePart = (text) => {
  const copy = button("Copy", async () => {
    try {
      await navigator.clipboard.writeText(text);
      say(copy, "Copied");
    } catch {
      say(copy, "Select and copy it");
    }
  });
  return make("div", { class: "paste" }, make("pre", { tabindex: "0" }, text), copy);
};
