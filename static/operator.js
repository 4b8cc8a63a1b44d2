/**
 * The operator's page: asks the proxy every two seconds and shows what it says.
 *
 * What visitors or Meta wrote goes in as text, never as markup. Elements whose content stays are left alone, so
 * that focus, selection, opened details and the place one reads at outlive an update.
 */

import { ask, isWatched, poll, togglePause } from "./operator-ask.js";
import { watchDeadLetters } from "./operator-dead.js";
import { byId, say } from "./operator-elements.js";
import { ledger, offerPixels } from "./operator-events.js";
import { showHealth, showSilence } from "./operator-health.js";

const health = poll(
  () => ask("api/status"),
  (state) => {
    showHealth(state);
    offerPixels();
  },
  showSilence,
);

const polls = [health, watchDeadLetters(health.now), ledger];

const lookOrRest = () => {
  for (const { stop } of polls) stop();
  if (isWatched()) for (const { now } of polls) now();
};

byId("pause").addEventListener("click", () => {
  say(byId("pause"), togglePause() ? "Resume updates" : "Pause updates");
  lookOrRest();
});
document.addEventListener("visibilitychange", lookOrRest);
lookOrRest();
