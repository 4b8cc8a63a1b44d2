/** What the pages of the dashboard have in common. */

import { linkTo } from "./operator-router.js";
import { link } from "./operator-elements.js";

/**
 * @typedef {object} Surroundings What a page may call.
 * @property {() => Promise<void>} onChange something was changed that the state of the proxy shows
 * @property {() => boolean} isStreaming whether the page hears of events by itself
 *
 * @typedef {object} View A page that is open.
 * @property {(parameters: URLSearchParams) => void} follow shows what an address asks for
 * @property {() => void} look asks the proxy, now and on
 * @property {() => void} [catchUp] asks what happened while the page heard nothing
 * @property {() => void} rest asks nothing more for now
 * @property {() => void} leave
 * @property {(event: any) => void} [hear] takes an event that arrived or ended
 * @property {(state: import("./operator-words.js").State) => void} [learn] takes the state of the proxy
 *
 * @typedef {object} Page
 * @property {string} title
 * @property {(main: HTMLElement, surroundings: Surroundings) => View} open
 * @property {boolean} [isListed] whether the list of pages has it
 * @property {string} [below] the listed page that it belongs to
 * @property {boolean} [hasCharts]
 */

/** @param {{ pixel: string, name: string, id: string }} event @param {Record<string, string>} [attributes] */
export const storyLink = ({ pixel, name, id }, attributes = {}) => link(name, linkTo("event", { pixel, name, id }), attributes);

/**
 * Return the view of a page that is a list of polls.
 *
 * @param {import("./operator-ask.js").Poll[]} polls @param {(parameters: URLSearchParams) => void} [follow]
 * @returns {View}
 */
export const viewOf = (polls, follow = () => {}) => {
  const rest = () => polls.forEach(({ stop }) => stop());
  const look = () => polls.forEach(({ now }) => void now());
  return {
    look,
    rest,
    leave: rest,
    follow: (parameters) => {
      follow(parameters);
      look();
    },
  };
};
