/** Lists of events: what waits and what ended, newest first, and where an event that is heard of belongs. */

/** @typedef {import("./operator-words.js").Row} Row */

/** @param {Row} row */
const arrivalOf = ({ arrived, at }) => arrived || at;

/** @param {Row} row */
export const keyOf = (row) => JSON.stringify([row.pixel, row.name, row.id, arrivalOf(row)]);

/** @param {Row} row */
export const isWaiting = ({ status }) => status == "waiting";

/** @param {Row} row */
const isRepeat = ({ status }) => status == "duplicate";

/** Whether two rows tell of one event: what waited may have ended, but not as a repeat of itself. @param {Row} one @param {Row} other */
const isSame = (one, other) =>
  keyOf(one) == keyOf(other) && (one.number == other.number || ((isWaiting(one) || isWaiting(other)) && !isRepeat(one) && !isRepeat(other)));

/**
 * Return what waits and what ended, newest first; what ended between both answers is in both, and waits no more.
 *
 * @param {Row[]} waiting @param {Row[]} ended
 */
export const inOrder = (waiting, ended) => {
  const known = new Set(ended.filter((row) => !isRepeat(row)).map(keyOf));
  return [...waiting.filter((row) => !known.has(keyOf(row))), ...ended].sort((one, other) => arrivalOf(other) - arrivalOf(one));
};

/**
 * Return the rows with an event that arrived or ended, which replaces what was known of it.
 *
 * @param {Row[]} rows @param {Row} row @param {boolean} isIn whether it is asked for @param {boolean} isLast whether no page follows
 */
export const withRow = (rows, row, isIn, isLast) => {
  const before = rows.findIndex((other) => isSame(other, row));
  if (before >= 0 && isWaiting(row) && !isWaiting(rows[before])) return rows;
  const others = rows.filter((_, index) => index != before);
  if (!isIn) return others;
  const place = others.findIndex((other) => arrivalOf(other) <= arrivalOf(row));
  // What is older than the whole page belongs to one of the next pages; a search may have found nothing on the first.
  if (place < 0 && !isLast && before < 0 && others.length) return others;
  return others.toSpliced(place < 0 ? others.length : place, 0, row);
};
