/**
 * What happens now: the stream of server-sent events, and the state of the proxy.
 *
 * While the stream is open, the state is asked for rarely, only to notice a connection that died without a word; without
 * the stream, often.
 */

import { ask, isWatched, poll } from "./operator-ask.js";

/** @typedef {import("./operator-words.js").State} State */

/**
 * @typedef {object} Listener What hears of it.
 * @property {(state: State) => void} onState
 * @property {(error: unknown) => void} onSilence
 * @property {(pulse: string) => void} onPulse "Live" while the stream is open
 * @property {(event: any) => void} onEvent an event that arrived or ended
 * @property {() => void} onGap more may have happened than was told
 */

const OPEN_MS = 15_000;
const SHUT_MS = 2000;
const AGAIN_MS = 3000;
const GAP_MS = 2000;

/** @param {Listener} listener */
export const listen = ({ onState, onSilence, onPulse, onEvent, onGap }) => {
  /** @type {EventSource | null} */
  let source = null;
  let isOpen = false;
  let timer = 0;
  let gapTimer = 0;

  /** Many gaps, as when events rain, are worth a question every now and then. */
  const gap = () => {
    gapTimer ||= setTimeout(() => {
      gapTimer = 0;
      onGap();
    }, GAP_MS);
  };

  const state = poll(() => ask("api/status"), onState, onSilence, () => (isOpen ? OPEN_MS : SHUT_MS));

  const open = () => {
    clearTimeout(timer);
    source?.close();
    source = new EventSource("api/stream");
    source.onopen = () => {
      isOpen = true;
      onPulse("Live");
      // Between the page's last answer and the stream's start something may have happened.
      onGap();
    };
    source.onerror = () => {
      isOpen = false;
      onPulse("");
      state.now();
      // After an answer that is no stream the browser gives up.
      if (source?.readyState == EventSource.CLOSED && isWatched()) timer = setTimeout(open, AGAIN_MS);
    };
    source.addEventListener("row", ({ data }) => onEvent(JSON.parse(data)));
    source.addEventListener("gap", gap);
    source.addEventListener("status", ({ data }) => onState(JSON.parse(data)));
  };

  const rest = () => {
    clearTimeout(timer);
    clearTimeout(gapTimer);
    gapTimer = 0;
    source?.close();
    source = null;
    isOpen = false;
    state.stop();
  };

  const look = () => {
    open();
    state.now();
  };

  return { look, rest, now: state.now, isOpen: () => isOpen };
};
