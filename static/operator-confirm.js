/** A question before something that cannot be undone. */

import { byId, say } from "./operator-elements.js";

/** @param {{ title: string, text: string, yes: string, no: string }} words @param {() => void} act */
export const confirmFirst = ({ title, text, yes, no }, act) => {
  const dialog = /** @type {HTMLDialogElement} */ (byId("confirm"));
  say(byId("confirm-title"), title);
  say(byId("confirm-text"), text);
  say(byId("confirm-yes"), yes);
  say(byId("confirm-no"), no);
  dialog.returnValue = "";
  dialog.onclose = () => {
    if (dialog.returnValue == "yes") act();
  };
  dialog.showModal();
};
