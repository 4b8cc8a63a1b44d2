/** The figures of the overview: the most important, the same by name, pixel and site, match quality, what was left out. */

import { fillLinks, link, make, reconcile, section, why } from "./operator-elements.js";
import { boundsText, lagText, moneyTexts, recoveredShare, scoreText, shareText } from "./operator-figures.js";
import { count, countOf, percent } from "./operator-format.js";
import { MATCH_KEYS } from "./operator-names.js";
import { current, linkTo, linkWith } from "./operator-router.js";
import { table } from "./operator-table.js";
import { REASONS } from "./operator-words.js";

/** @typedef {import("./operator-figures.js").Figures} Figures */
/** @typedef {import("./operator-figures.js").MatchQuality} MatchQuality */
/** @typedef {import("./operator-figures.js").Overview} Overview */

const MOST_NAMES = 20;
const MOST_ADVICE = 5;

/** @param {Overview} answer @returns {{ label: string, number: string, meanings: string[] }[]} */
const keysOf = ({ name, total, before }) => {
  const { copies, outcomes } = total;
  const known = copies.fired + copies.blocked;
  const share = recoveredShare(copies);
  /** @param {number} part */
  const ofKnown = (part) => (known ? `${count(part)} of ${countOf(known, "known browser copy", "known browser copies")}` : "of no browser copy is it known");
  const values = moneyTexts(total.recovered_value);
  return [
    { label: "Delivered", number: count(outcomes.delivered || 0), meanings: ["taken by Meta", beforeText(before?.outcomes.delivered)] },
    { label: "Recovered", number: count(copies.recovered), meanings: [share == null ? "no event of a page was delivered" : `${percent(share)} of delivered events of pages`, beforeText(before?.copies.recovered)] },
    { label: "Recovered value", number: values[0] || "–", meanings: [...values.slice(1), `of recovered ${name ? "events of this name" : "Purchases"}`] },
    { label: "Blocked", number: shareText(copies.blocked_share), meanings: [ofKnown(copies.blocked), boundsText(copies.blocked_share)] },
    { label: "In pairs", number: shareText(copies.pair_rate), meanings: [ofKnown(copies.pairs), boundsText(copies.pair_rate)] },
    { label: "Not known", number: count(copies.not_known), meanings: ["browser copies whose end no page told"] },
    { label: "Match quality", number: scoreText(total.score), meanings: ["of 10, our estimate", before?.score == null ? "" : `in the period before: ${scoreText(before.score)}`] },
    { label: "Delivery lag", number: lagText(total.lag?.median), meanings: ["half of the events", total.lag ? `95 %: ${lagText(total.lag.p95)}` : ""] },
    { label: "Dropped", number: count(outcomes.dropped || 0), meanings: ["knowingly not sent", `and ${countOf(outcomes.duplicate || 0, "duplicate")}`] },
    { label: "Dead", number: count(outcomes.dead || 0), meanings: ["refused for good", beforeText(before?.outcomes.dead)] },
  ];
};

/** @param {number | undefined} figure */
const beforeText = (figure) => (figure == null ? "" : `in the period before: ${count(figure)}`);

/** Return the list of the most important figures. */
export const keyFigures = () => {
  const element = make("dl", { class: "totals", id: "totals", "aria-label": "Figures of the period" });
  /** @param {Overview} answer */
  const show = (answer) =>
    reconcile(element, keysOf(answer), ({ label }) => label, () => make("div"), (box, { label, number, meanings }) =>
      box.replaceChildren(
        make("dt", {}, label),
        make("dd", { class: "number" }, number),
        ...meanings.filter(Boolean).map((meaning) => make("dd", { class: "meaning" }, meaning)),
      ),
    );
  return { element, show };
};

/** @param {string} label @param {(item: any) => HTMLElement | string} name @returns {import("./operator-elements.js").Column<any>[]} */
const splitColumns = (label, name) => [
  { label, kind: "name", show: name },
  { label: "Events", kind: "number-cell", show: ({ events }) => count(events) },
  { label: "Delivered", kind: "number-cell", show: ({ outcomes }) => count(outcomes.delivered || 0) },
  { label: "Recovered", kind: "number-cell", show: ({ copies }) => [count(copies.recovered), recoveredShare(copies) == null ? "" : why(percent(recoveredShare(copies)))] },
  { label: "Recovered value", kind: "number-cell", show: ({ recovered_value: amounts }) => moneyTexts(amounts).map((text) => make("span", { class: "line" }, text)) },
  { label: "Blocked", kind: "number-cell", show: ({ copies }) => shareText(copies.blocked_share) },
  { label: "In pairs", kind: "number-cell", show: ({ copies }) => shareText(copies.pair_rate) },
  { label: "Not known", kind: "number-cell", show: ({ copies }) => count(copies.not_known) },
  { label: "Match quality", kind: "number-cell", show: ({ score }) => scoreText(score) },
];

/** Return the figures by name, pixel and site. */
export const splitTables = () => {
  const byName = table("Figures by event name", splitColumns("Event", ({ name }) => link(name, linkWith({ name }))), ({ name }) => name, { id: "by-name" });
  const byPixel = table("Figures by pixel", splitColumns("Pixel", ({ pixel }) => link(pixel, linkWith({ pixel }))), ({ pixel }) => pixel, { id: "by-pixel" });
  const bySite = table("Figures by site", splitColumns("Site", ({ site }) => link(site, linkWith({ site }))), ({ site }) => site, { id: "by-site" });
  const more = make("p");
  const element = section("splits", "By event, pixel and site", byName.element, more, byPixel.element, bySite.element);
  /** @param {Overview} answer */
  const show = (answer) => {
    element.hidden = !answer.total.events;
    const isShort = answer.names.length > MOST_NAMES && !current().parameters.get("names");
    byName.fill(isShort ? answer.names.slice(0, MOST_NAMES) : answer.names, "By event name. A name shows its figures alone.");
    fillLinks(more, isShort ? [{ text: `Show all ${count(answer.names.length)} names`, href: linkWith({ names: "all" }), id: "all-names" }] : []);
    byPixel.fill(answer.pixels, "By pixel.");
    bySite.fill(answer.sites, "By site.");
    bySite.element.hidden = answer.sites.length < 2;
  };
  return { element, show };
};

/** @typedef {{ key: string, cells: { name: string, coverage: number | null }[], all: number }} Coverage */

/** Return match quality: the estimate, what would raise it, and the coverage of each match key. */
export const qualityParts = () => {
  const score = make("p", { id: "score" });
  const advice = make("ol", { id: "quality-advice", class: "advice" });
  const none = make("p", { class: "soft" }, "Nothing was delivered in this period, so there is nothing to estimate.");
  const columns = /** @type {import("./operator-elements.js").Column<MatchQuality & { name: string }>[]} */ ([
    { label: "Event", kind: "name", show: ({ name }) => name },
    { label: "Delivered", kind: "number-cell", show: ({ events }) => count(events) },
    { label: "Estimate", kind: "number-cell", show: ({ score: estimate }) => scoreText(estimate) },
    { label: "Match keys", show: ({ keys }) => make("ul", { class: "coverage" }, ...keys.filter(({ events }) => events).map(coverageItem)) },
    { label: "Helps most", show: ({ advice: [first] }) => (first ? [first.text, why(`+${first.gain.toFixed(1)}`)] : "") },
  ]);
  const byName = table("Match quality by event name", columns, ({ name }) => name, { id: "quality-by-name" });
  const element = section("quality", "Match quality", none, score, advice, byName.element);
  /** @param {Overview} answer */
  const show = ({ match_quality: all, match_quality_by_name: names }) => {
    const isKnown = all.score != null;
    none.hidden = isKnown;
    for (const part of [score, advice, byName.element]) part.hidden = !isKnown;
    if (!isKnown) return;
    score.replaceChildren(make("strong", {}, `${scoreText(all.score)} of 10`), " is our estimate of what Meta calls event match quality. ", all.advice.length ? "What would raise it, the strongest first:" : "Nothing we know of would raise it.");
    reconcile(advice, all.advice.slice(0, MOST_ADVICE), ({ key, text }) => `${key} ${text}`, () => make("li"), (item, { text, gain }) => item.replaceChildren(text, " ", make("span", { class: "soft" }, `+${gain.toFixed(1)}`)));
    byName.fill(names.slice(0, current().parameters.get("names") ? names.length : MOST_NAMES), "Which part of the delivered events carried which match key.");
  };
  return { element, show };
};

/** @param {{ key: string, coverage: number }} coverage */
const coverageItem = ({ key, coverage }) => make("li", {}, make("span", {}, MATCH_KEYS[key] || key), " ", make("strong", {}, percent(coverage)));

/** Return why events were not sent or given up, with the events. */
export const leftOutTable = () => {
  const reasons = table(
    "Why events were left out",
    [
      { label: "Why", kind: "name", show: ({ reason, status }) => link(REASONS[reason] || reason || "no reason is known", linkTo("events", { status, reason })) },
      { label: "Events", kind: "number-cell", show: ({ events }) => count(events) },
      { label: "Share of all", kind: "number-cell", show: ({ share }) => percent(share) },
    ],
    ({ reason, status }) => `${status} ${reason}`,
    { id: "left-out-table" },
  );
  const none = make("p", { class: "soft" });
  const element = section("left-out", "Not sent, and why", none, reasons.element);
  /** @param {Overview} answer */
  const show = ({ left_out: { reasons: dropped, dead }, total: { events } }) => {
    const rows = [
      ...Object.entries(dropped).map(([reason, amount]) => ({ reason, status: "dropped", events: amount, share: amount / events })),
      ...Object.entries(dead).map(([reason, amount]) => ({ reason, status: "dead", events: amount, share: amount / events })),
    ];
    none.hidden = rows.length > 0;
    none.textContent = events ? "Every event of this period was sent." : "No event ended in this period.";
    reasons.element.hidden = !rows.length;
    reasons.fill(rows, "Dropped before sending, or refused by Meta for good. A reason leads to its events.");
  };
  return { element, show };
};
