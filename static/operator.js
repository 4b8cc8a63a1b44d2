/**
 * The operator's page: shows the page that its address names, and lets it hear what happens.
 *
 * What visitors or Meta wrote goes in as text, never as markup. Elements whose content stays are left alone, so
 * that focus, selection, opened details and the place one reads at outlive an update.
 */

import { ask, isWatched, togglePause } from "./operator-ask.js";
import { deadLetters } from "./operator-dead.js";
import { doctor } from "./operator-doctor.js";
import { byId, keepUp, make, reconcile, say } from "./operator-elements.js";
import { events } from "./operator-events.js";
import { showHealth, showPulse, showSilence, showTitle } from "./operator-health.js";
import { listen } from "./operator-live.js";
import { overview } from "./operator-overview.js";
import { pixels } from "./operator-pixels.js";
import { showRange, watchRange } from "./operator-range.js";
import { current, hashOf, linkTo, linkWith } from "./operator-router.js";
import { sources } from "./operator-sources.js";
import { story } from "./operator-story.js";

/** @typedef {import("./operator-page.js").Page} Page */
/** @typedef {import("./operator-page.js").View} View */

const KEEP_UP_MS = 15_000;

/** @type {Record<string, Page>} */
const PAGES = { overview, events, event: story, pixels, sources, dead: deadLetters, doctor };

/** @type {View | null} */
let view = null;
let shownPage = "";

const live = listen({
  onState: (state) => {
    showHealth(state);
    view?.learn?.(state);
  },
  onSilence: showSilence,
  onPulse: showPulse,
  onEvent: (event) => view?.hear?.(event),
  onGap: () => view?.catchUp?.(),
});

const showPages = () => {
  const { page: open } = current();
  const listed = Object.entries(PAGES).filter(([, { isListed }]) => isListed);
  const items = listed.map(([name, { title }]) => ({ name, title, href: linkTo(name), isOpen: name == open || PAGES[open]?.below == name }));
  reconcile(byId("pages").firstElementChild, items, ({ name }) => name, () => make("li", {}, make("a"), " ", make("span", { class: "amount", hidden: "" })), (item, { name, title, href, isOpen }) => {
    const anchor = /** @type {HTMLElement} */ (item.firstElementChild);
    anchor.setAttribute("href", href);
    anchor.dataset.page = name;
    say(anchor, title);
    if (isOpen) anchor.setAttribute("aria-current", "page");
    else anchor.removeAttribute("aria-current");
  });
};

/** Let the charts of a page be tables, or charts again; the address remembers which. @param {boolean} hasCharts */
const showViewLink = (hasCharts) => {
  const isTable = current().parameters.get("view") == "tables";
  byId("view").hidden = !hasCharts;
  byId("view").setAttribute("href", linkWith({ view: isTable ? "" : "tables" }));
  say(byId("view"), isTable ? "Show charts" : "Show tables");
};

/** @param {string} name */
const openPage = (name) => {
  view?.leave();
  const { title, open } = PAGES[name];
  const heading = make("h1", { tabindex: "-1" }, title);
  byId("main").replaceChildren(heading);
  view = open(byId("main"), { onChange: live.now, isStreaming: live.isOpen });
  // Whoever came here by a link goes on reading here; whoever opened the dashboard begins at its top.
  if (shownPage) {
    heading.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  shownPage = name;
  document.documentElement.dataset.page = name;
};

/** Whatever is no page is the first one. */
const whereTo = () => {
  const { page, parameters } = current();
  if (!Object.hasOwn(PAGES, page)) history.replaceState(null, "", hashOf("overview", parameters));
  return current();
};

const follow = () => {
  const { page, parameters } = whereTo();
  if (page != shownPage) openPage(page);
  showPages();
  showRange();
  showViewLink(PAGES[page].hasCharts || false);
  view?.follow(parameters);
  showTitle();
  say(byId("announce"), "");
};

const lookOrRest = () => {
  live.rest();
  view?.rest();
  if (!isWatched()) return;
  live.look();
  view?.look();
};

const offerSignOut = async () => {
  try {
    byId("sign-out").hidden = !(await ask("api/session")).until;
  } catch {
    // Without an answer nothing is offered; the banner says that the proxy is silent.
  }
};

byId("pause").addEventListener("click", () => {
  const rests = togglePause();
  say(byId("pause"), rests ? "Resume updates" : "Pause updates");
  showPulse(rests ? "Paused" : "");
  lookOrRest();
});
byId("sign-out").addEventListener("click", async () => {
  try {
    await ask("api/session/end", {});
    location.assign("login");
  } catch (error) {
    showSilence(error);
  }
});
byId("skip").addEventListener("click", (/** @type {Event} */ event) => {
  event.preventDefault();
  byId("main").focus();
});
document.addEventListener("visibilitychange", lookOrRest);
window.addEventListener("hashchange", follow);
setInterval(keepUp, KEEP_UP_MS);
watchRange();
follow();
lookOrRest();
offerSignOut();
