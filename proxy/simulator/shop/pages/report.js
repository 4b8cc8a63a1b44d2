// @ts-check
/**
 * @typedef {object} Pair
 * @property {string} pixel
 * @property {string} name
 * @property {string | null} id
 * @property {number} browser
 * @property {number} server
 * @property {number} counted
 * @property {"pair" | "recovered" | "browser_only" | "twice"} verdict
 * @property {number} first_at
 */
/**
 * @typedef {object} Report
 * @property {number} counted_once
 * @property {number} counted_twice
 * @property {number} browser_only
 * @property {number} recovered
 * @property {Pair[]} pairs
 * @property {Record<string, number>} match_keys
 * @property {{ problem: string, field: string }[]} lint
 */

export const VERDICTS = {
  pair: "counted once",
  recovered: "browser copy blocked — recovered by the server copy",
  browser_only: "browser only",
  twice: "counted twice",
};

/** @returns {any} */
export function readSettings() {
  return JSON.parse(find("settings").textContent || "{}");
}

/** @param {string} id */
export function find(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/** @param {string} tag @param {string} className @param {...(Node | string)} children */
export function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/** @param {Pair[]} pairs */
export function newestFirst(pairs) {
  return [...pairs].sort((one, other) => other.first_at - one.first_at);
}

/**
 * Asks once a second; shows only what has changed, so that a selection in the page survives.
 * @param {string} address
 * @param {(report: Report) => void} show
 * @param {(answered: boolean) => void} [tell]
 */
export function watch(address, show, tell = () => {}) {
  let last = "";
  const ask = async () => {
    const text = document.hidden ? last : await read(address);
    if (text && text !== last) show(JSON.parse((last = text)));
    tell(text !== undefined);
    setTimeout(ask, 1000);
  };
  ask();
}

/** @param {string} address */
async function read(address) {
  try {
    const answer = await fetch(address, { cache: "no-store" });
    return answer.ok ? await answer.text() : undefined;
  } catch {
    return undefined;
  }
}
