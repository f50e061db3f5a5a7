// Skill against the random walk as text: better and worse alike, only if significant.

import { NONE, change } from "./format.js";

const SIGNIFICANT = 0.05;

/** Fewest scored sessions for a skill. */
export const MIN_SESSIONS = 60;

/**
 * A skill as text: {mark, text, note}.
 *
 * skill: {value, n, p} as in the API; a p of null is not significant. mark: "none" = under 60 sessions, "even" =
 * nothing after rounding, "better" or "worse" = p below 0.05, "open" = all else.
 */
export function skillText({ value, n, p }) {
  if (value === null || n < MIN_SESSIONS) return { mark: "none", text: NONE, note: `n ${n} of ${MIN_SESSIONS} needed` };
  const size = change(value);
  if (size === "0.0 %") return { mark: "even", text: size, note: "no difference" };
  if (p === null || p >= SIGNIFICANT) return { mark: "open", text: size, note: "not significant" };
  const mark = value > 0 ? "better" : "worse";
  return { mark, text: size, note: mark };
}
