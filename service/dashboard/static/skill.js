// Skill against the random walk in words: better and worse are said alike, and only of what is hardly chance.

import { NONE, change } from "./format.js";

const SIGNIFICANT = 0.05;

/** Scored sessions from which on a record is judged. */
export const LEAST = 60;

/**
 * What a skill is worth: {mark, text, note}.
 *
 * skill: {value, n, p} as the API says it; a p of null counts as chance. mark: "none" = under 60 sessions, "even" =
 * nothing after rounding, "better" or "worse" = p below 0.05, "open" = all else.
 */
export function judged({ value, n, p }) {
  if (value === null || n < LEAST) return { mark: "none", text: NONE, note: `n ${n} of ${LEAST} needed` };
  const size = change(value);
  if (size === "0.0 %") return { mark: "even", text: size, note: "no difference" };
  if (p === null || p >= SIGNIFICANT) return { mark: "open", text: size, note: "not significant" };
  const mark = value > 0 ? "better" : "worse";
  return { mark, text: size, note: mark };
}
