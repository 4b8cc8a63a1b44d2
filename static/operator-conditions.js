/** What is wrong now, in words, the worst first, with where to go. */

import { chip, link, make, momentLine, reconcile, section } from "./operator-elements.js";
import { linkTo } from "./operator-router.js";
import { advice, replicasText } from "./operator-words.js";

/** @typedef {import("./operator-words.js").Condition} Condition */
/** @typedef {import("./operator-words.js").State} State */

/** Where a condition is looked into, by the beginning of its code. @type {[RegExp, string, string][]} */
const PLACES = [
  [/^(pixel_|graph_|token|delivery|suspects)/, "pixels", "Look at the pixel"],
  [/^(foreign_origin|insecure_origin|unknown_host|untrusted|proxy_protocol|silence|pair_rate|id_reused|origin)/, "sources", "Look at the sources"],
  [/^dead/, "dead", "Look at the dead letters"],
  [/^order_id/, "events", "Look at the events"],
];

/** @param {Condition} condition */
const placeOf = ({ code }) => {
  const [, page, text] = PLACES.find(([pattern]) => pattern.test(code)) || [null, "doctor", "Ask the doctor"];
  return link(text, linkTo(page));
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
