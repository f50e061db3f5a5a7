// Skill against the random walk in words: better and worse are said alike, and only of what is hardly chance.

import { NONE, change } from "./format.js";

const SIGNIFICANT = 0.05;

/** Scored sessions from which on a record is judged. */
export const LEAST = 60;

/**
 * What a skill is worth: {mark, text, note}.
 *
 * mark: "none" = under 60 sessions, "even" = nothing after rounding, "better" or "worse" = p below 0.05, "open" = all
 * else. p: null = none is known, which counts as chance; undefined = not read yet, nothing is said of chance.
 */
export function judged(skill, n, p) {
  if (skill === null || n < LEAST) return { mark: "none", text: NONE, note: `n ${n} of ${LEAST} needed` };
  const size = change(skill);
  if (size === "0.0 %") return { mark: "even", text: size, note: "no difference" };
  if (p === undefined) return { mark: "open", text: size, note: "" };
  if (p === null || p >= SIGNIFICANT) return { mark: "open", text: size, note: "may be chance" };
  const mark = skill > 0 ? "better" : "worse";
  return { mark, text: size, note: mark };
}
