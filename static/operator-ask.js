/** Questions to the proxy: one answer, or answers again and again while somebody may look. */

import { setClock } from "./operator-clock.js";
import { say } from "./operator-elements.js";

const EVERY_MS = 2000;
// A search through a large ledger takes the proxy's time: at most a tenth of it is spent on this page.
const REST = 9;
const PATIENCE_MS = 30_000;
const SLOW_MS = 700;

/** The proxy answered, but not with what was asked. */
export class Refusal extends Error {
  /** @param {string} message @param {number} [status] of HTTP */
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/** @param {string} path @param {unknown} [order] what to POST */
export const ask = async (path, order) => {
  const post = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(order) };
  const signal = AbortSignal.timeout(PATIENCE_MS);
  const answer = await patiently(fetch(path, { cache: "no-store", signal, ...(order ? post : {}) }));
  setClock(answer.headers.get("Date"));
  if (answer.status == 401 && path != "api/session") signIn();
  const body = await bodyOf(answer);
  if (body.error || !answer.ok) throw new Refusal(body.error || `HTTP ${answer.status}`, answer.status);
  return body;
};

let slow = 0;

/** Let the page say that it asks, once that takes so long that one may wonder. @param {Promise<Response>} answer */
const patiently = async (answer) => {
  let isSlow = false;
  const timer = setTimeout(() => {
    isSlow = true;
    document.body.classList.toggle("asking", ++slow > 0);
  }, SLOW_MS);
  try {
    return await answer;
  } finally {
    clearTimeout(timer);
    if (isSlow) document.body.classList.toggle("asking", --slow > 0);
  }
};

/** @param {Response} answer */
const bodyOf = async (answer) => {
  try {
    return await answer.json();
  } catch {
    throw new Refusal(`HTTP ${answer.status}, without a readable answer`);
  }
};

/** Ask for the password; the address of the state one looks at goes along. */
const signIn = () => {
  location.assign(`login${location.hash}`);
  throw new Refusal("the session is over");
};

let paused = false;

/** Let the polls of this page rest, or go on; return whether they rest now. */
export const togglePause = () => (paused = !paused);

/** Whether somebody may look at the page. */
export const isWatched = () => !paused && !document.hidden;

/** @typedef {{ now: () => Promise<void>, stop: () => void }} Poll */

/**
 * Ask again and again, while somebody may look. An answer that a newer question has overtaken is dropped.
 *
 * @template Answer
 * @param {() => Promise<Answer>} question @param {(answer: Answer) => void} show @param {(error: unknown) => void} fail
 * @param {() => number} [every] in ms
 * @returns {Poll}
 */
export const poll = (question, show, fail, every = () => EVERY_MS) => {
  let timer = 0;
  let turn = 0;
  const stop = () => {
    clearTimeout(timer);
    turn++;
  };
  const now = async () => {
    clearTimeout(timer);
    const mine = ++turn;
    const began = performance.now();
    /** @type {() => void} */
    let conclude;
    try {
      const answer = await question();
      conclude = () => show(answer);
    } catch (error) {
      conclude = () => fail(error);
    }
    if (mine != turn) return;
    conclude();
    clearTimeout(timer);
    if (isWatched()) timer = setTimeout(now, Math.max(every(), REST * (performance.now() - began)));
  };
  return { now, stop };
};

/** Return what shows a refusal in a note. @param {HTMLElement} note @returns {(error: unknown) => void} */
export const showRefusalIn = (note) => (error) => {
  // That the proxy does not answer at all, the banner says.
  say(note, error instanceof Refusal ? `The proxy refuses: ${error.message}` : "");
  if (error instanceof Refusal) note.dataset.refusal = "";
};

/** Empty a note that shows a refusal. @param {HTMLElement} note */
export const clearRefusalIn = (note) => {
  if ("refusal" in note.dataset) say(note, "");
  delete note.dataset.refusal;
};
