/** The figures of a period in words and amounts, as /api/overview gives them. */

import { age, money, percent } from "./operator-format.js";

/**
 * @typedef {{ share: number | null, least: number, most: number } | null} Share
 * @typedef {{ pixel: string, currency: string, events: number, value: string }} Amount
 * @typedef {{ over: number, up_to: number | null }} Slot
 * @typedef {{ events: number, counts: number[], median: Slot, p95: Slot } | null} Lag
 * @typedef {{ fired: number, blocked: number, not_known: number, pairs: number, recovered: number, not_known_delivered: number,
 *   only_browser: number, lost: number, pair_rate: Share, blocked_share: Share, coverage: number | null }} Copies
 * @typedef {{ events: number, outcomes: Record<string, number>, from_servers: number, copies: Copies, sold: Amount[],
 *   recovered_value: Amount[], lag: Lag, score: number | null }} Figures
 * @typedef {{ events: number, score: number | null, keys: { key: string, events: number, coverage: number }[],
 *   advice: { key: string, gain: number, text: string }[] }} MatchQuality
 * @typedef {{ events: number, share: number | null }} Part
 * @typedef {Figures & { at: number, match_keys: Record<string, number> }} Bucket
 * @typedef {{ from: number, to: number, name: string, step: "hour" | "day", day_starts: string, lag_bounds: number[], total: Figures,
 *   before: (Figures & { from: number, to: number }) | null, buckets: Bucket[], sites: (Figures & { site: string })[],
 *   pixels: (Figures & { pixel: string })[], names: (Figures & { name: string })[],
 *   left_out: { reasons: Record<string, number>, dead: Record<string, number>, from_pages: number, bots: Part, gpc: Part, consent: Part },
 *   match_quality: MatchQuality, match_quality_by_name: (MatchQuality & { name: string })[] }} Overview
 */

/** Return each amount by itself: nothing is added up across currencies, nor across pixels. @param {Amount[]} amounts */
export const moneyTexts = (amounts) => {
  const hasPixels = new Set(amounts.map(({ pixel }) => pixel)).size > 1;
  return amounts.map(({ pixel, currency, value }) => `${money(Number(value), currency)}${hasPixels ? ` (pixel ${pixel})` : ""}`);
};

/** Return a share, or that it is not known. @param {Share} share */
export const shareText = (share) => percent(share?.share);

/** Return within what bounds a share lies, whatever is not known. @param {Share} share */
export const boundsText = (share) => {
  if (!share) return "";
  return share.least == share.most ? "" : `${percent(share.least)} to ${percent(share.most)}, whatever is not known`;
};

/** Return the bounds between which a lag lies. @param {Slot | undefined} slot */
export const lagText = (slot) => {
  if (!slot) return "–";
  if (slot.up_to == null) return `over ${age(slot.over)}`;
  return slot.over ? `${age(slot.over)} to ${age(slot.up_to)}` : `up to ${age(slot.up_to)}`;
};

/** The part of delivered events of pages that Meta knows of by the server copy alone. @param {Copies} copies */
export const recoveredShare = ({ pairs, recovered, not_known_delivered: unknown }) =>
  pairs + recovered + unknown ? recovered / (pairs + recovered + unknown) : null;

/** @param {number | null} score */
export const scoreText = (score) => (score == null ? "–" : score.toFixed(1));
