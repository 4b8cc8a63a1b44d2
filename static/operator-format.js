/** Figures, amounts of money and moments as people read them. */

import { now } from "./operator-clock.js";

export const count = new Intl.NumberFormat("en").format;

/** Return a share from 0 to 1, of which only nothing is 0 % and only all is 100 %; not known where there is none. @param {number | null | undefined} share */
export const percent = (share) => {
  if (share == null) return "not known";
  if (share > 0 && share < 0.001) return "under 0.1 %";
  if (share > 0.999 && share < 1) return "over 99.9 %";
  const isNearEnd = (share > 0 && share < 0.1) || (share >= 0.995 && share < 1);
  return `${(100 * share).toFixed(isNearEnd ? 1 : 0)} %`;
};

/** Return an amount and what there is so much of. @param {number} amount @param {string} one @param {string} more */
export const countOf = (amount, one, more = `${one}s`) => `${count(amount)} ${amount == 1 ? one : more}`;

/** @param {number} value @param {string} currency */
export const money = (value, currency) => {
  try {
    return new Intl.NumberFormat("en", { style: "currency", currency, currencyDisplay: "code" }).format(value);
  } catch {
    return `${currency} ${new Intl.NumberFormat("en", { maximumFractionDigits: 4 }).format(value)}`.trim();
  }
};

/** @param {number} ms */
export const age = (ms) => {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 10_000) return `${Math.round(ms / 100) / 10} s`;
  if (ms < 120_000) return `${Math.round(ms / 1000)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  return ms < 172_800_000 ? `${Math.round(ms / 3_600_000)} h` : `${count(Math.round(ms / 86_400_000))} days`;
};

/** @param {number} ms */
export const relative = (ms) => {
  const past = now() - ms;
  if (Math.abs(past) < 1500) return "just now";
  // Parts of a second are for figures, not for what moves on while one reads it.
  const rounded = Math.max(1000, Math.round(Math.abs(past) / 1000) * 1000);
  return past > 0 ? `${age(rounded)} ago` : `in ${age(rounded)}`;
};

/** @param {number} ms */
export const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");

/** @param {number} ms */
export const shortClock = (ms) => new Date(ms).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });

/** @param {number} ms */
export const day = (ms) => {
  const date = new Date(ms);
  const isThisYear = date.getFullYear() == new Date().getFullYear();
  return date.toLocaleDateString("en-GB", { day: "numeric", month: "short", ...(isThisYear ? {} : { year: "numeric" }) });
};

/** @param {number} ms */
export const dayAndClock = (ms) => `${day(ms)}, ${shortClock(ms)}`;

/** @param {number} from @param {number} to */
export const moments = (from, to) =>
  day(from) == day(to) ? `${day(from)}, ${shortClock(from)} – ${shortClock(to)}` : `${dayAndClock(from)} – ${dayAndClock(to)}`;

/** The viewer's time zone, as the charts name it. */
export const zone = () => {
  const minutes = -new Date().getTimezoneOffset();
  const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
  const offset = minutes ? `UTC${minutes < 0 ? "−" : "+"}${hours}${rest ? `:${`${rest}`.padStart(2, "0")}` : ""}` : "UTC";
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  return timeZone && timeZone != "UTC" ? `${timeZone.replaceAll("_", " ")}, ${offset}` : offset;
};
