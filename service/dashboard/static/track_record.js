// Track records: every forecaster vs the random walk, with n, significance and measured coverage.

import { $, fillTable, setAttribute, setText } from "./dom.js";
import { collapseRows } from "./collapsible.js";
import { NONE, number, pValue, percent, word } from "./format.js";
import { MIN_SESSIONS, skillText } from "./skill.js";

const STEP_LABELS = { 1: "T", 2: "T+1", 3: "T+2" };
const STRATEGY_WORDS = { multi_step: "multi-step", one_step: "one-step" };

const COLUMNS = [
  { label: "Forecaster", kind: "wide" },
  { label: "n", kind: "number" },
  { label: "Error ratio", kind: "number" },
  { label: "Pinball ratio", kind: "number" },
  { label: "Skill vs random walk", kind: "text" },
  { label: "p", kind: "number" },
  { label: "50 % coverage", kind: "number" },
  { label: "80 % coverage", kind: "number" },
  { label: "95 % coverage", kind: "number" },
];

/** Paints the table of track records; records: items of /v1/accuracy of one symbol and one mode, and of its group. */
export function paintRecord(records, symbol, group, note) {
  const rows = [];
  const parts = [];
  const own = records.filter((item) => item.scope === symbol);
  for (const step of [1, 2, 3]) {
    const ofStep = own.filter((item) => item.step === step).sort(byForecaster);
    const whole = records.filter((item) => item.scope === group && item.step === step && item.forecaster === "served");
    if (ofStep.length + whole.length === 0) continue;
    rows.push([{ text: STEP_LABELS[step], heading: true }]);
    for (const item of [...ofStep, ...whole]) rows.push(recordRow(item, records));
    while (parts.length < rows.length) parts.push(STEP_LABELS[step]);
  }
  if (rows.length === 0) rows.push([{ text: "No scored forecasts yet. A forecast is scored after its session closes.", heading: true }]);
  const last = own.map((item) => item.as_of).sort().at(-1);
  const span = last ? ` up to ${last}, ${own[0].mode}` : "";
  const caption = `Last scored sessions of ${symbol}${span}; ratios below 1 are better than the random walk`;
  fillTable($("accuracy"), caption, COLUMNS, rows);
  collapseRows($("accuracy"), parts);
  setText($("accuracy-note"), note ?? "");
  paintVerdict(own, symbol);
}

/** Empties the table. */
export function clearRecord() {
  $("accuracy").replaceChildren();
  setText($("accuracy-note"), "");
  setText($("verdict"), "");
}

function byForecaster(one, other) {
  const rank = (item) => (item.forecaster === "served" ? 0 : item.forecaster === "random_walk" ? 2 : 1);
  const strategies = Number(one.strategy === "one_step") - Number(other.strategy === "one_step");
  return strategies || rank(one) - rank(other) || one.forecaster.localeCompare(other.forecaster);
}

function recordRow(item, records) {
  const walk = records.find(
    (other) =>
      other.forecaster === "random_walk" &&
      other.scope === item.scope &&
      other.step === item.step &&
      other.strategy === item.strategy,
  );
  const isSame = walk && walk.n === item.n && walk.mae > 0; // ratios over different sessions would mislead
  const isWalk = item.forecaster === "random_walk";
  const name = item.forecaster === "served" ? "published forecast" : word(item.forecaster);
  const label = item.scope_kind === "group" ? `group ${item.scope}, ${name}` : name;
  return [
    { text: label, note: STRATEGY_WORDS[item.strategy] ?? word(item.strategy) },
    String(item.n),
    isSame ? number(item.mae / walk.mae, 3) : NONE,
    item.random_walk_pinball ? number(item.pinball / item.random_walk_pinball, 3) : NONE,
    isWalk ? "Baseline" : skillCell(item),
    isWalk ? NONE : pValue(item.p),
    percent(item.coverage_50),
    percent(item.coverage_80),
    percent(item.coverage_95),
  ];
}

function skillOf({ skill, n, p }) {
  return { value: skill, n, p };
}

function skillCell(item) {
  const { mark, text, note } = skillText(skillOf(item));
  if (mark === "none") return { text: "Not enough data", note: `${MIN_SESSIONS} needed`, mark };
  if (mark === "even" || mark === "open") return { text, note, mark };
  return { text: `${mark} by ${text.slice(1)}`, note: "significant", mark };
}

function paintVerdict(own, symbol) {
  const served = own.find((item) => item.forecaster === "served" && item.strategy === "multi_step" && item.step === 1);
  const place = $("verdict");
  const result = served ? skillText(skillOf(served)) : null;
  setAttribute(place, "data-mark", result?.mark);
  setText(place, result ? verdict(served, symbol, result) : "");
}

function verdict({ n }, symbol, { mark, text }) {
  const than = `than the random walk by ${text.slice(1)} over ${n} sessions.`;
  return {
    none: `Not enough history yet: ${n} of ${MIN_SESSIONS} scored forecasts of T for ${symbol}.`,
    even: `T: no difference between the published forecast and the random walk over ${n} sessions.`,
    open: `T: skill of the published forecast ${text} vs the random walk over ${n} sessions, not significant.`,
    better: `T: the published forecast was significantly better ${than}`,
    worse: `T: the published forecast was significantly worse ${than}`,
  }[mark];
}
