/** The page of sources: where events come from, which tag brings them, who is refused, and what visitors allow. */

import { ask, clearRefusalIn, poll, showRefusalIn } from "./operator-ask.js";
import { chip, facts, link, make, momentLine, reconcile, section } from "./operator-elements.js";
import { count, percent } from "./operator-format.js";
import { REFUSALS, consentText } from "./operator-names.js";
import { rangeQuery, rangeWords } from "./operator-range.js";
import { current, linkTo } from "./operator-router.js";
import { table } from "./operator-table.js";
import { COPIES, REASONS, STATUSES } from "./operator-words.js";

/**
 * @typedef {{ site: string, domains: string[], prefix: string, events: number, of_pages: number,
 *   statuses: Record<string, number>, drop_reasons: Record<string, number>, browser_copies: Record<string, number>,
 *   bots: number, gpc: number, gpc_share: number | null, consents: { consent: string, source: string, events: number }[],
 *   names: { name: string, events: number }[], last_hour: number | null }} Site
 * @typedef {{ site: string, build: string, is_current: boolean, loads: number, first_hour: number, last_hour: number }} Tag
 * @typedef {{ code: string, origin: string, requests: number, last_hour: number, setting: string }} Refused
 * @typedef {{ sites: Site[], tags: Tag[], refused: Refused[] }} Sources
 */

const EVERY_MS = 10_000;

/** @type {import("./operator-page.js").Page} */
export const sources = {
  title: "Sources",
  isListed: true,
  open: (main) => {
    const note = make("p", { class: "note", role: "status" });
    const loading = make("p", { class: "loading soft" }, "Asking for the sources…");
    const sites = make("div", { id: "sites", class: "cards" });
    const refused = refusedPart();
    const tags = tagsPart();
    const content = make("div", { hidden: "" }, refused.element, tags.element, sites);
    main.append(make("p", { class: "hint" }, "Where events come from, which tag brings them, and what is refused or left out. Tags, refusals and consent are counted once a minute."), note, loading, content);
    /** @param {Sources} answer */
    const show = (answer) => {
      loading.hidden = true;
      content.hidden = false;
      clearRefusalIn(note);
      refused.show(answer.refused);
      tags.show(answer.tags);
      reconcile(sites, answer.sites, ({ site }) => site, () => make("section"), (card, site) => {
        card.setAttribute("aria-label", `Site ${site.site}`);
        card.replaceChildren(...siteParts(site));
      });
    };
    const question = () => {
      const { parameters } = current();
      const query = new URLSearchParams(rangeQuery(parameters));
      if (parameters.get("site")) query.set("site", `${parameters.get("site")}`);
      return ask(`api/sources?${query}`);
    };
    const asked = poll(question, show, (error) => {
      loading.hidden = true;
      showRefusalIn(note)(error);
    }, () => EVERY_MS);
    return { look: () => void asked.now(), rest: asked.stop, leave: asked.stop, follow: () => void asked.now() };
  },
};

/** @param {Record<string, number>} counts @param {(key: string) => string} words @param {(key: string) => string} [href] */
const amounts = (counts, words, href) => {
  const pairs = Object.entries(counts).filter(([, amount]) => amount).sort((one, other) => other[1] - one[1]);
  if (!pairs.length) return "none";
  return make("ul", { class: "amounts" }, ...pairs.map(([key, amount]) => make("li", {}, href ? link(words(key), href(key)) : words(key), " ", make("strong", {}, count(amount)))));
};

/** @param {number} events @param {number | null} share */
const partText = (events, share) => (share == null ? count(events) : `${count(events)} (${percent(share)} of the events of pages)`);

/** @param {Site} site */
const siteParts = (site) => {
  const { site: name, domains, prefix, events, statuses, drop_reasons: reasons, browser_copies: copies, consents, names, last_hour: last } = site;
  const head = make("h2", {}, name);
  if (!events) {
    return [head, facts([["Domains", domains.join(", ")], ["Path", make("code", {}, prefix)]]), make("p", { class: "empty" }, `No event in ${rangeWords(current().parameters)}. Is the snippet on the pages? `, link("Ask the doctor", linkTo("doctor")))];
  }
  return [
    head,
    facts([
      ["Domains", domains.join(", ")],
      ["Path", make("code", {}, prefix)],
      ["Events", [link(count(events), linkTo("events", { site: name })), last ? make("span", { class: "why" }, "the latest hour with events began ", momentLine(last)) : ""]],
      ["How they ended", amounts(statuses, (key) => (STATUSES[key] || [key])[0], (status) => linkTo("events", { site: name, status }))],
      ["Their browser copies, also of those not sent", amounts(copies, (key) => (COPIES[key] || [key])[0], (copy) => linkTo("events", { site: name, browser_copy: copy }))],
      ["Dropped because", amounts(reasons, (key) => REASONS[key] || key, (reason) => linkTo("events", { site: name, status: "dropped", reason }))],
      ["Consent", consents.length ? make("ul", { class: "amounts" }, ...consents.map((item) => make("li", {}, consentText({ consent: item.consent, consent_source: item.source }), " ", make("strong", {}, count(item.events))))) : "nothing is known"],
      ["Global Privacy Control", partText(site.gpc, site.gpc_share)],
      ["Machines", partText(site.bots, site.of_pages ? site.bots / site.of_pages : null)],
      ["Most frequent events", make("ul", { class: "amounts" }, ...names.map((item) => make("li", {}, link(item.name, linkTo("events", { site: name, name: item.name })), " ", make("strong", {}, count(item.events)))))],
    ]),
  ];
};

const refusedPart = () => {
  const rows = table(
    "Table of refused origins",
    /** @type {import("./operator-elements.js").Column<Refused>[]} */ ([
      { label: "Origin or host", kind: "name", show: ({ origin }) => origin },
      { label: "Why", show: ({ code }) => REFUSALS[code] || code },
      { label: "If it is yours", show: ({ setting }) => setting && make("code", {}, setting) },
      { label: "Requests", kind: "number-cell", show: ({ requests }) => count(requests) },
      { label: "Last seen", show: ({ last_hour: last }) => (last ? make("span", {}, "in the hour of ", momentLine(last)) : "") },
    ]),
    ({ code, origin }) => `${code} ${origin}`,
    { id: "refused-table" },
  );
  const none = make("p", { class: "soft" }, "Nobody was refused in this time range.");
  const element = section("refused", "Refused origins", none, rows.element);
  /** @param {Refused[]} refused */
  const show = (refused) => {
    none.hidden = refused.length > 0;
    rows.element.hidden = !refused.length;
    rows.fill(refused, `Whose requests were refused in ${rangeWords(current().parameters)}. A host of yours belongs into the configuration; somebody else’s page with your tag does not.`);
  };
  return { element, show };
};

const tagsPart = () => {
  const rows = table(
    "Table of versions of the tag",
    /** @type {import("./operator-elements.js").Column<Tag>[]} */ ([
      { label: "Site", kind: "name", show: ({ site }) => site },
      { label: "Version", show: ({ build, is_current: isCurrent }) => [make("code", {}, build), " ", chip(isCurrent ? ["Current", "good"] : ["Older", "warn"])] },
      { label: "Loads", kind: "number-cell", show: ({ loads }) => count(loads) },
      { label: "First seen", show: ({ first_hour: first }) => momentLine(first) },
      { label: "Last seen", show: ({ last_hour: last }) => momentLine(last) },
    ]),
    ({ site, build }) => `${site} ${build}`,
    { id: "tags-table" },
  );
  const none = make("p", { class: "soft" }, "The tag was not loaded in this time range.");
  const element = section("tags", "Versions of the tag", none, rows.element);
  /** @param {Tag[]} tags */
  const show = (tags) => {
    none.hidden = tags.length > 0;
    rows.element.hidden = !tags.length;
    rows.fill(tags, "Which builds of the tag browsers loaded. An older one is in somebody’s cache for an hour at most; if it stays, a cache in front keeps it.");
  };
  return { element, show };
};
