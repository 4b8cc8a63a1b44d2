/** The page of events: what waits and what ended, live, with filters, page by page. */

import { ask, poll, showRefusalIn } from "./operator-ask.js";
import { byId, chip, fillLinks, link, make, moment, say, why } from "./operator-elements.js";
import { WAITING_FIELDS, eventQuery, fillFilters, filterForm, isFiltered, isWanted, offerNames, stopTyping } from "./operator-filters.js";
import { inOrder, isWaiting, keyOf, withRow } from "./operator-event-rows.js";
import { clock, count, countOf, money } from "./operator-format.js";
import { storyLink } from "./operator-page.js";
import { rangeWords, spanOf } from "./operator-range.js";
import { current, linkTo, linkWith } from "./operator-router.js";
import { table } from "./operator-table.js";
import { COPIES, STATUSES, findingTexts, reasonText } from "./operator-words.js";

/** @typedef {import("./operator-words.js").Row} Row */

const LIMIT = 50;
const MOST_ROWS = 200;
const STREAMED_MS = 30_000;
const UNSTREAMED_MS = 2000;
const LONG_MS = 1000;
const QUIET_MS = 10_000;
const TOGETHER_MS = 100;

/** @type {import("./operator-elements.js").Column<Row>[]} */
const COLUMNS = [
  { label: "Arrived", show: ({ arrived, at }) => moment(arrived || at) },
  {
    label: "Event",
    kind: "name",
    show: (row) => [make("span", { class: "line" }, storyLink(row)), make("code", { class: "line" }, row.id)],
  },
  {
    label: "Result",
    show: (row) => {
      const texts = [reasonText(row), ...findingTexts(row)].filter(Boolean);
      return [chip(STATUSES[row.status] || [row.status, ""]), ...texts.map(why)];
    },
  },
  {
    label: "Browser copy",
    show: ({ browser_copy: status, action_source: source }) =>
      status ? chip(COPIES[status] || [status, ""]) : `server, ${source.replaceAll("_", " ")}`,
  },
  { label: "Value", kind: "number-cell", show: ({ value, currency }) => (value == null ? "" : money(value, currency)) },
  { label: "Pixel", show: ({ pixel, site }) => [make("span", { class: "line" }, pixel), make("span", { class: "line soft" }, site || "")] },
  {
    label: "Meta’s answer",
    show: ({ message, code, fbtrace_id: trace, attempts, at, status }) => [
      message ? make("q", { class: "line" }, message) : "",
      code ? make("code", { class: "line" }, `code ${code}`) : "",
      status == "delivered" && at ? make("span", { class: "line" }, `took it at ${clock(at)}`) : "",
      attempts > 1 || isWaitingTried(status, attempts) ? make("span", { class: "line soft" }, `${count(attempts)} attempts`) : "",
      trace ? make("code", { class: "line" }, trace) : "",
    ],
  },
];

/** @param {string} status @param {number} attempts */
const isWaitingTried = (status, attempts) => status == "waiting" && attempts > 0;

/** @type {import("./operator-page.js").Page} */
export const events = {
  title: "Events",
  isListed: true,
  open: (main, { isStreaming }) => {
    const form = filterForm();
    const note = make("p", { id: "events-note", class: "note", role: "status" });
    const found = table("Table of events", COLUMNS, keyOf, { id: "events-table" });
    const place = make("div", { id: "events-found" });
    const paging = make("nav", { id: "paging", class: "paging", "aria-label": "Pages of events" });
    main.append(
      make("p", { class: "hint" }, "Each event from its arrival on, newest first. Its name leads to its story, from the call in the page to Meta’s answer."),
      make("section", { "aria-label": "Events" }, form, note, place, paging),
    );
    place.append(make("p", { class: "loading soft" }, "Asking for events…"));

    /** @type {Row[]} */
    let rows = [];
    /** @type {string | null} */
    let below = null;
    /** What was heard since the latest question, whose answer may not know of it. @type {Row[]} */
    let heard = [];
    let askedAt = 0;
    let isAsking = false;
    /** Whether more happened than the answer will say that is under way. */
    let isLate = false;
    /** Whether rows were left out that the link to older events would pass over. */
    let isCut = false;
    let announcedAt = 0;
    let showing = 0;
    let filling = 0;
    let unannounced = 0;

    const isNewest = () => !current().parameters.get("below") && spanOf(current().parameters).isLive;

    const show = () => {
      const { parameters } = current();
      offerNames(rows);
      if (rows.length) found.fill(rows, captionOf(rows, parameters, isNewest()));
      const content = rows.length ? found.element : emptiness(parameters);
      if (!rows.length || place.firstElementChild != content) place.replaceChildren(content);
      fillLinks(paging, pageLinks(parameters, isCut ? null : below, rows.length));
      paging.hidden = !paging.childElementCount;
    };

    /** Show soon: events that come at once are shown at once. */
    const showSoon = () => {
      showing ||= setTimeout(() => {
        showing = 0;
        show();
      }, TOGETHER_MS);
    };

    /** Put an event that was heard of where it belongs. @param {Row} row */
    const put = (row) => {
      const more = withRow(rows, row, isWanted(row), below == null);
      isCut ||= more.length > MOST_ROWS;
      rows = more.slice(0, MOST_ROWS);
    };

    const question = async () => {
      heard = [];
      askedAt = Date.now();
      isAsking = true;
      isLate = false;
      const { parameters } = current();
      const status = parameters.get("status");
      const waits = !parameters.get("below") && !parameters.get("reason") && (!status || status == "waiting");
      const query = eventQuery(parameters);
      query.set("limit", `${LIMIT}`);
      if (parameters.get("below")) query.set("below", `${parameters.get("below")}`);
      const [waiting, ended] = await Promise.allSettled([
        waits ? ask(`api/waiting?${eventQuery(parameters, WAITING_FIELDS)}&limit=${LIMIT}`) : { waiting: [] },
        status == "waiting" ? { events: [], below: null } : ask(`api/events?${query}`),
      ]);
      if (ended.status == "rejected") throw ended.reason;
      // What ended is worth showing even while the queue cannot tell what waits.
      const isPart = waiting.status == "rejected";
      return { rows: inOrder(isPart ? [] : waiting.value.waiting, ended.value.events), below: ended.value.below, isPart };
    };

    const list = poll(
      question,
      (answer) => {
        isAsking = false;
        ({ rows, below } = answer);
        isCut = false;
        heard.forEach(put);
        show();
        say(note, answer.isPart ? "What waits cannot be listed at this moment; what ended can." : "");
      },
      (error) => {
        isAsking = false;
        place.querySelector(".loading")?.remove();
        showRefusalIn(note)(error);
      },
      () => (isStreaming() && !isLate ? STREAMED_MS : UNSTREAMED_MS),
    );

    /** Ask again; a question that takes long has its answer first, or there would be none while events rain. */
    const catchUp = () => {
      clearTimeout(filling);
      filling = 0;
      isLate = isAsking && Date.now() - askedAt > LONG_MS;
      if (!isLate) list.now();
    };

    /** Say that events came, but not more often than one can bear to hear. */
    const announce = () => {
      unannounced++;
      if (Date.now() - announcedAt < QUIET_MS) return;
      announcedAt = Date.now();
      say(byId("announce"), unannounced == 1 ? "A new event" : `${count(unannounced)} new events`);
      unannounced = 0;
    };

    const rest = () => {
      clearTimeout(filling);
      filling = 0;
      list.stop();
    };

    return {
      look: () => void list.now(),
      catchUp,
      rest,
      leave: () => {
        clearTimeout(showing);
        stopTyping(form);
        rest();
      },
      learn: () => fillFilters(form, current().parameters),
      follow: (parameters) => {
        fillFilters(form, parameters);
        list.now();
      },
      hear: (/** @type {Row} */ row) => {
        if (!isNewest()) return;
        heard.push(row);
        if (heard.length > MOST_ROWS) heard.shift();
        put(row);
        showSoon();
        if (isCut) filling ||= setTimeout(catchUp, UNSTREAMED_MS);
        if (isWanted(row)) announce();
      },
    };
  },
};

/** @param {Row[]} rows @param {URLSearchParams} parameters @param {boolean} isNewest */
const captionOf = (rows, parameters, isNewest) => {
  const which = isFiltered(parameters) ? ` that ${rows.length == 1 ? "matches" : "match"}` : "";
  const live = isNewest ? " New ones appear by themselves." : "";
  const most = rows.filter(isWaiting).length >= LIMIT ? " More may wait than are listed; Pixels says how many." : "";
  return `${countOf(rows.length, "event")}${which} of ${rangeWords(parameters)}, in your local time.${live}${most}`;
};

/** @param {URLSearchParams} parameters @param {string | null} below @param {number} listed */
const pageLinks = (parameters, below, listed) => {
  const newest = parameters.get("below") ? [{ text: "Newest events", href: linkWith({ below: "" }), id: "newest" }] : [];
  const older = below && listed ? [{ text: "Older events", href: linkWith({ below: `${below}` }), id: "older" }] : [];
  return [...newest, ...older];
};

/** Say why nothing is listed, and what to do next. @param {URLSearchParams} parameters */
const emptiness = (parameters) => {
  const range = spanOf(parameters).isLive && parameters.get("range") != "400d";
  const wider = range ? [make("p", {}, link("Look through the last 400 days", linkWith({ range: "400d", below: "" })))] : [];
  if (isFiltered(parameters) || !range) {
    return make("div", { id: "events-none", class: "empty" }, make("p", {}, `No event of ${rangeWords(parameters)} matches. Names and ids must match exactly.`), ...wider);
  }
  return make(
    "div",
    { id: "events-empty", class: "empty" },
    make("p", {}, make("strong", {}, `No events in ${rangeWords(parameters)}.`), " To see the first one:"),
    make(
      "ol",
      {},
      make("li", {}, "Run ", make("code", {}, "capi-proxy snippet --config FILE"), " and paste what it prints into your site, before Meta’s base code."),
      make("li", {}, "Open a page of the site. Its PageView appears here within a second."),
      make("li", {}, "If it does not, ", link("Sources", linkTo("sources")), " lists origins that were refused, and ", link("Doctor", linkTo("doctor")), " looks at the whole way."),
    ),
    ...wider,
  );
};
