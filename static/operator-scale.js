/** Where the marks of the axes stand: round numbers, and round times of the viewer's zone. */

import { day, shortClock } from "./operator-format.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Steps of a time axis: of the clock in minutes, then of the calendar in days and months. */
const STEPS = [
  ...[5, 10, 15, 30, 60, 120, 180, 360, 720].map((minutes) => ({ ms: minutes * MINUTE, minutes, days: 0, months: 0 })),
  ...[1, 2, 7, 14].map((days) => ({ ms: days * DAY, minutes: 0, days, months: 0 })),
  ...[1, 2, 3, 6].map((months) => ({ ms: months * 30.5 * DAY, minutes: 0, days: 0, months })),
];

/**
 * Return marks from 0 up to the largest number or just beyond it.
 *
 * @param {number} most @param {boolean} isWhole whether halves make no sense
 */
export const numberTicks = (most, isWhole) => {
  const rough = Math.max(most, isWhole ? 1 : Number.EPSILON) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const nice = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough * 0.999) || rough;
  const step = isWhole ? Math.max(1, Math.ceil(nice)) : nice;
  const amount = Math.max(1, Math.ceil(most / step - 1e-9));
  return Array.from({ length: amount + 1 }, (_, number) => Number((number * step).toPrecision(12)));
};

/**
 * Return marks at round times, as many as fit.
 *
 * @param {number} from @param {number} to in ms @param {number} most how many fit
 * @returns {{ at: number, text: string }[]}
 */
export const timeTicks = (from, to, most) => {
  const step = STEPS.find(({ ms }) => (to - from) / ms <= most) || STEPS[STEPS.length - 1];
  const date = new Date(from);
  // From midnight on, or from the first of the month; the calendar knows about summer time.
  date.setHours(0, 0, 0, 0);
  if (step.months) date.setDate(1);
  const ticks = [];
  for (; date.getTime() <= to; advance(date, step)) {
    const at = date.getTime();
    if (at >= from) ticks.push({ at, text: tickText(date, step.minutes) });
  }
  return ticks;
};

/** @param {Date} date @param {{ minutes: number, days: number, months: number }} step */
const advance = (date, { minutes, days, months }) => {
  if (months) date.setMonth(date.getMonth() + months);
  else if (days) date.setDate(date.getDate() + days);
  else date.setMinutes(date.getMinutes() + minutes);
};

/** @param {Date} date @param {number} minutes */
const tickText = (date, minutes) =>
  minutes && (date.getHours() || date.getMinutes()) ? shortClock(date.getTime()) : day(date.getTime());

/**
 * Return marks below the middles of days, the latest one among them.
 *
 * @param {number[]} starts @param {number} end @param {number} most how many fit
 */
export const dayTicks = (starts, end, most) => {
  const every = Math.ceil(starts.length / most);
  return starts
    .map((start, index) => (start + (starts[index + 1] ?? end)) / 2)
    .filter((_, index) => (starts.length - 1 - index) % every == 0)
    .map((at) => ({ at, text: day(at) }));
};
