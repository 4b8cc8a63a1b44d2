/** The proxy's clock, as its answers tell it: what the viewer's clock says may be hours off. */

// The header tells whole seconds, and an answer may be under way for a while.
const SAME_MS = 5000;

let ahead = 0;

/** Take what an answer says of the time. @param {string | null} date the header Date */
export const setClock = (date) => {
  const difference = Date.parse(date || "") - Date.now();
  if (Number.isFinite(difference)) ahead = Math.abs(difference) < SAME_MS ? 0 : difference;
};

/** The time by the proxy's clock, in ms. */
export const now = () => Date.now() + ahead;
