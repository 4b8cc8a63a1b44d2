/** What is wrong now, in words, the worst first, with where to go. */

import { chip, link, make, momentLine, reconcile, section } from "./operator-elements.js";
import { linkTo } from "./operator-router.js";
import { advice, replicasText } from "./operator-words.js";

/** @typedef {import("./operator-words.js").Condition} Condition */
/** @typedef {import("./operator-words.js").State} State */

/** Where a condition is looked into; all others at the doctor. @type {Record<string, string[]>} */
const PLACES = {
  pixels: ["pixel_paused", "pixel_stopped", "pixel_not_configured", "delivery_late", "graph_errors", "suspects_late", "token_expiring"],
  sources: ["foreign_origin", "insecure_origin", "unknown_host", "silence", "tag_not_seen", "pair_rate_fell", "untrusted_forwarding"],
  events: ["order_id_conflict", "id_reused"],
  dead: ["dead_letters"],
};

/** @type {Record<string, string>} */
const INVITATIONS = { pixels: "Look at the pixel", sources: "Look at the sources", events: "Look at the events", dead: "Look at the dead letters", doctor: "Ask the doctor" };

/** @param {Condition} condition */
const placeOf = ({ code, subject }) => {
  const [page] = Object.entries(PLACES).find(([, codes]) => codes.includes(code)) || ["doctor"];
  return link(INVITATIONS[page], linkTo(page, page == "pixels" && subject ? { pixel: subject } : {}));
};

/** Return the section of conditions. */
export const conditionList = () => {
  const list = make("ul", { class: "conditions" });
  const none = make("p", { class: "soft" }, "Nothing needs you now.");
  const replicas = make("p", { class: "note" });
  const element = section("attention", "Needs attention", none, list, replicas);
  /** @param {State} state */
  const show = ({ conditions, replicas: proxies }) => {
    none.hidden = conditions.length > 0;
    list.hidden = !conditions.length;
    const worstFirst = [...conditions].sort((one, other) => Number(other.failing) - Number(one.failing) || one.since - other.since);
    reconcile(list, worstFirst, ({ code, subject }) => `${code} ${subject}`, () => make("li"), (item, condition) => {
      const { failing, since } = condition;
      item.replaceChildren(
        chip(failing ? ["Failing", "bad"] : ["Degraded", "warn"]),
        make("p", {}, advice(condition)),
        make("p", { class: "soft small" }, "since ", momentLine(since), " · ", placeOf(condition)),
      );
    });
    replicas.textContent = replicasText(proxies);
    replicas.hidden = !proxies.length;
  };
  return { element, show };
};
