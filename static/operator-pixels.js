/** The page of pixels: state, Meta's last words, token, and what the operator can do with each. */

import { Refusal, ask, poll, showRefusalIn, clearRefusalIn } from "./operator-ask.js";
import { now } from "./operator-clock.js";
import { confirmFirst } from "./operator-confirm.js";
import { button, chip, facts, graphErrorParts, link, make, momentLine, reconcile, say, why } from "./operator-elements.js";
import { age, count, countOf } from "./operator-format.js";
import { rangeQuery, rangeWords } from "./operator-range.js";
import { current, linkTo } from "./operator-router.js";
import { causeText } from "./operator-words.js";

/**
 * @typedef {{ asked_at: number | null, is_valid: boolean | null, expires_at: number | null,
 *   data_access_expires_at: number | null, scopes: string[], error: string }} Token
 * @typedef {{ pixel: string, sites: string[], state: string, waiting: number, held: number, suspects: number, oldest: number,
 *   paused: string, failures: number, last_error: string, graph_error: import("./operator-words.js").GraphError,
 *   retry_at: number | null, stopped_at: number | null, test: { code: string, until: number | null } | null,
 *   last_success: number | null, token: Token, delivered: number, dead: number, dropped: number, duplicate: number }} Pixel
 */

const EVERY_MS = 3000;
const SOON_MS = 14 * 86_400_000;

/** @type {Record<string, [text: string, kind: string]>} */
const STATES = {
  delivering: ["Delivering", "good"],
  failing: ["Trying again", "warn"],
  paused: ["Paused: Meta refuses", "bad"],
  stopped: ["Paused by you", "warn"],
};

/** @type {import("./operator-page.js").Page} */
export const pixels = {
  title: "Pixels",
  isListed: true,
  open: (main, { onChange }) => {
    const note = make("p", { class: "note", role: "status", id: "pixels-note" });
    const list = make("div", { id: "pixels", class: "cards" });
    const loading = make("p", { class: "loading soft" }, "Asking for the pixels…");
    const none = make("p", { class: "empty", hidden: "" }, "No pixel is configured. Add ", make("code", {}, "[[site.pixel]]"), " with its id and access token to the configuration, and restart.");
    main.append(make("p", { class: "hint" }, "Each pixel is delivered on its own and never waits for another."), note, loading, none, list);

    /** @param {string} pixel @param {string} verb @param {object} order @param {string} done */
    const act = async (pixel, verb, order, done) => {
      try {
        await ask(`api/pixels/${encodeURIComponent(pixel)}/${verb}`, order);
        say(note, done);
      } catch (error) {
        say(note, error instanceof Refusal ? `The proxy refuses: ${error.message}` : "The proxy does not answer; nothing may have changed.");
      }
      await Promise.all([asked.now(), onChange()]);
    };

    /** @param {{ pixels: Pixel[] }} answer */
    const show = ({ pixels: all }) => {
      loading.hidden = true;
      clearRefusalIn(note);
      none.hidden = all.length > 0;
      const chosen = current().parameters.get("pixel");
      const shown = chosen ? all.filter(({ pixel }) => pixel == chosen) : all;
      // What the operator types into stays; only the facts of a pixel are written again.
      reconcile(list, shown, ({ pixel }) => pixel, () => make("section"), (card, pixel) => {
        if (!card.firstChild) card.append(...cardParts(pixel, act));
        fillCard(card, pixel, act);
      });
    };

    const asked = poll(
      () => ask(`api/pixels?${new URLSearchParams(rangeQuery(current().parameters))}`),
      show,
      (error) => {
        loading.hidden = true;
        showRefusalIn(note)(error);
      },
      () => EVERY_MS,
    );
    return { look: () => void asked.now(), rest: asked.stop, leave: asked.stop, follow: () => void asked.now() };
  },
};

/** @typedef {(pixel: string, verb: string, order: object, done: string) => void} Act */

/** @param {Pixel} pixel @param {Act} act */
const cardParts = ({ pixel }, act) => {
  const form = /** @type {HTMLFormElement} */ (
    make(
      "form",
      { class: "filters", "aria-label": `Test events of pixel ${pixel}`, autocomplete: "off" },
      make("label", {}, "Test event code", make("input", { name: "code", maxlength: "40", placeholder: "TEST12345", required: "" })),
      make("label", {}, "For minutes", make("input", { name: "minutes", type: "number", min: "1", max: "1440", value: "60", required: "" })),
      make("button", {}, "Send as test events"),
    )
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const [code, minutes] = [form.code.value.trim(), Number(form.minutes.value)];
    act(pixel, "test", { code, minutes }, `For ${count(minutes)} min events of pixel ${pixel} go to Test events in Events Manager.`);
  });
  return [
    make("div", { class: "head" }, make("h2", { tabindex: "-1" }, pixel), make("span", { class: "state" }), make("span", { class: "actions" })),
    make("div", { class: "words" }),
    make("details", { class: "test" }, make("summary", {}, "Test events"), make("p", { class: "soft" }, "With a code from Events Manager (Test events), all events of this pixel appear there and count for nothing else, until the time is over."), form),
  ];
};

/** @param {Element} card @param {Pixel} pixel @param {Act} act */
const fillCard = (card, pixel, act) => {
  const [head, words] = card.children;
  const [, state, actions] = head.children;
  card.setAttribute("aria-label", `Pixel ${pixel.pixel}`);
  state.replaceChildren(chip(STATES[pixel.state] || [pixel.state, ""]));
  actions.replaceChildren(...buttonsOf(pixel, act));
  words.replaceChildren(pixelFacts(pixel));
};

/** @param {Pixel} pixel @param {Act} act */
const buttonsOf = ({ pixel, state, test }, act) => {
  const stop = button("Pause…", () => {
    const text = `Events of pixel ${pixel} are still accepted and wait. What becomes older than 7 days meanwhile cannot be delivered any more.`;
    confirmFirst({ title: `Pause pixel ${pixel}?`, text, yes: "Pause", no: "Go on" }, () => act(pixel, "pause", {}, `Pixel ${pixel} is paused; its events wait.`));
  }, { "aria-label": `Pause… pixel ${pixel}` });
  const resume = button(state == "paused" ? "Try again now" : "Resume", () => act(pixel, "resume", {}, `Pixel ${pixel} is delivered again.`), { "aria-label": `${state == "paused" ? "Try again now:" : "Resume"} pixel ${pixel}` });
  const end = button("End test", () => act(pixel, "test", { code: "" }, `Events of pixel ${pixel} count again.`), { "aria-label": `End test of pixel ${pixel}` });
  const token = button("Ask about the token", () => act(pixel, "token", {}, `What Meta says of the token of pixel ${pixel} stands below.`), { "aria-label": `Ask about the token of pixel ${pixel}` });
  return [token, ...(state == "stopped" || state == "paused" ? [resume] : []), ...(state == "stopped" ? [] : [stop]), ...(test?.until ? [end] : [])];
};

/** @param {Pixel} pixel */
const pixelFacts = (pixel) => {
  const { sites, waiting, held, suspects, oldest, paused, failures, last_error: error, graph_error: graphError, retry_at: retry, stopped_at: stopped, test, last_success: success } = pixel;
  const lastWords = paused || error;
  const { parameters } = current();
  const counts = /** @type {const} */ (["delivered", "dropped", "duplicate", "dead"]);
  return facts([
    ["Token", tokenParts(pixel.token, success)],
    ["Meta’s last answer", lastWords ? [make("span", { class: "line" }, causeText(lastWords)), ...graphErrorParts(graphError)] : success ? ["took an event, ", momentLine(success)] : "no answer is known yet"],
    ["Last success", success && lastWords ? momentLine(success) : ""],
    ["Tried again", retry ? momentLine(retry) : ""],
    ["Failures in a row", failures ? count(failures) : ""],
    ["Paused by you", stopped ? momentLine(stopped) : ""],
    ["Waiting", [
      countOf(waiting, "event"),
      held ? why(`${count(held)} of them held until due`) : "",
      suspects ? why(`${count(suspects)} of them refused together, searched for the bad ones`) : "",
      waiting > held && oldest ? why(`the oldest for ${age(oldest)}`) : "",
    ]],
    ["Test event code", test ? [make("code", {}, test.code), test.until ? make("span", {}, " until ", momentLine(test.until)) : " by the configuration, without end"] : ""],
    [`In ${rangeWords(parameters)}`, make("ul", { class: "inline" }, ...counts.map((status) => make("li", {}, link(`${count(pixel[status])} ${status}`, linkTo("events", { pixel: pixel.pixel, status })))))],
    ["Sites", sites.join(", ")],
  ]);
};

/** Say whether the token is about to end. @param {Token} token @param {number | null} success @returns {(string | Node)[]} */
const tokenParts = (token, success) => {
  const { asked_at: asked, is_valid: isValid, expires_at: expires, data_access_expires_at: access, scopes, error } = token;
  const when = asked ? make("span", { class: "why" }, "asked ", momentLine(asked)) : "";
  const scope = scopes.length ? why(`may: ${scopes.join(", ")}`) : "";
  if (isValid == null) {
    const known = success ? ["its last success was ", momentLine(success)] : ["it has had no success yet"];
    return [chip(["Not told", ""]), " ", asked ? "Meta does not tell when it ends; " : "Meta was not asked yet; ", ...known, error ? make("q", { class: "line" }, error) : "", when];
  }
  if (!isValid) return [chip(["Not valid", "bad"]), " ", error ? make("q", {}, error) : "Meta says that it is not valid.", why("Make a new one in Events Manager, put it into the configuration, and restart."), when];
  const ends = [expires, access].filter((end) => end != null);
  if (!ends.length) return [chip(["Valid", "good"]), " it does not expire", scope, when];
  const end = Math.min(.../** @type {number[]} */ (ends));
  const isSoon = end - now() < SOON_MS;
  return [chip(isSoon ? ["Ends soon", "warn"] : ["Valid", "good"]), " ", end == expires ? "it ends " : "its access to data ends ", momentLine(end), scope, when];
};
