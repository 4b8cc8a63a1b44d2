/** Figures, amounts of money and moments as people read them. */

import { now } from "./operator-clock.js";

export const count = new Intl.NumberFormat("en").format;

/** @param {number | null | undefined} share From 0 to 1; not known where there is none. */
export const percent = (share) => (share == null ? "not known" : `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`);

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
