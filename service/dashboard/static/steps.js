// The step table: forecast, intervals, random walk and coverage at T, T+1, T+2.

import { $, element, fillTable, reuse, setAttribute, setText } from "./dom.js";
import { change, number, percent, priceStyle, session, word } from "./format.js";
import { skillText } from "./skill.js";

const LEVELS = [50, 80, 95];
const AGREEMENT = 0.005; // widths of the 80 % interval below which two decimals would show 0.00

/** Paints the table and the notes below it; actual: Map(session -> close on the forecast's basis), or null. */
export function paintSteps(forecast, actual) {
  const style = priceStyle(forecast.currency, forecast.group, forecast.last_close);
  const columns = [
    { label: "Session", kind: "wide" },
    { label: "Median", kind: "number" },
    ...LEVELS.map((level) => ({ label: `${level} %`, kind: "number" })),
    { label: "Random walk 80\u00a0%", kind: "number" },
    { label: "Skill", kind: "number" },
  ];
  if (actual) columns.splice(5, 0, { label: "Actual", kind: "number" });
  const rows = [];
  for (const strategy of ["multi_step", "one_step"]) {
    for (const step of forecast[strategy]?.steps ?? []) {
      rows.push(stepRow({ forecast, step, style, actual, strategy }));
    }
  }
  const unit = style.unit === "" ? "currency unknown" : `prices in ${style.unit}`;
  const caption = `From the close of ${forecast.as_of}, ${style.full(forecast.last_close)}; ${unit}`;
  fillTable($("steps"), caption, columns, rows);
  paintNotes(forecast, style);
}

/** Empties the table: there is no forecast, for the reason given. */
export function clearSteps(reason = "") {
  $("steps").replaceChildren();
  setAttribute($("notes"), "data-empty", reason !== "");
  $("notes").replaceChildren(...(reason === "" ? [] : [element("li", {}, reason)]));
}

function stepRow({ forecast, step, style, actual, strategy }) {
  const walk = forecast.random_walk?.steps.find((other) => other.step === step.step) ?? null;
  const walk80 = walk ? interval(walk, 80) : null;
  const cells = [
    { text: `${step.label} \u00b7 ${session(step.target_session)}`, note: strategy === "one_step" ? "one-step forecast, T only" : "" },
    { text: style.bare(step.point), note: change(step.point / forecast.last_close - 1) },
    ...LEVELS.map((level) => ({
      text: style.range(interval(step, level).lower, interval(step, level).upper),
      note: coverageNote(step.coverage, level),
    })),
    walk80
      ? { text: style.range(walk80.lower, walk80.upper), note: `median ${style.bare(walk.point)}` }
      : { text: "\u2013", note: "" },
    skillCell(step.skill),
  ];
  if (actual) cells.splice(5, 0, actualCell(step, actual.get(step.target_session), style));
  return cells;
}

function interval(step, level) {
  return step.intervals.find((each) => each.level === level);
}

/** The measured coverage, or the number of results so far. */
function coverageNote(coverage, level) {
  const measured = coverage.levels.find((each) => each.level === level)?.measured ?? null;
  if (measured === null) return `${coverage.n} results so far`;
  return `coverage ${percent(measured)}, n ${coverage.n}`;
}

function skillCell(skill) {
  const { mark, text, note } = skillText(skill);
  return { text, note: mark === "none" ? note : `${note}, n ${skill.n}`, mark };
}

function actualCell(step, close, style) {
  if (close === undefined) return { text: "\u2013", note: "not yet" };
  const inside = LEVELS.find((level) => close >= interval(step, level).lower && close <= interval(step, level).upper);
  const note = inside === undefined ? "outside 95 %" : `inside ${inside} %`;
  const isMissed = inside === undefined || inside > 80;
  return { text: style.bare(close), note, mark: isMissed ? "missed" : "inside" };
}

function paintNotes(forecast, style) {
  const notes = [servedNote(forecast), jointNote(forecast.multi_step?.joint, style), disagreementNote(forecast)];
  notes.push(heldOutNote(forecast.multi_step?.held_out), degradedNote(forecast));
  if (forecast.basis?.note) notes.push(forecast.basis.note);
  if (forecast.approximate) {
    notes.push("The calendar of this exchange is unknown at that date; Monday to Friday is assumed.");
  }
  setAttribute($("notes"), "data-empty", null);
  reuse($("notes"), notes.filter(Boolean), () => element("li"), (item, text) => setText(item, text));
}

function servedNote(forecast) {
  const served = (forecast.multi_step ?? forecast.one_step)?.served_by;
  if (!served) return null;
  return `Published by ${word(served.forecaster)}, version ${served.model_version_id}: ${served.reason}.`;
}

function jointNote(joint, style) {
  const level = joint?.levels.find((each) => each.level === 80);
  if (!level) return null;
  const parts = level.steps.map((step) => `${step.label} ${style.range(step.lower, step.upper)}`);
  const measured = level.measured === null ? `coverage not measured yet, n ${joint.n}` : `coverage ${percent(level.measured)}, n ${joint.n}`;
  return `Joint 80 % band: ${parts.join("; ")} (${measured}).`;
}

function disagreementNote(forecast) {
  const disagreement = forecast.disagreement;
  if (!disagreement || disagreement.in_widths === null) return null;
  const widths = number(Math.abs(disagreement.in_widths), 2);
  if (Math.abs(disagreement.in_widths) < AGREEMENT) return "The two forecasts agree.";
  return `The one-step and the multi-step forecast of T differ by ${widths} widths of the 80 % interval.`;
}

function heldOutNote(heldOut) {
  if (!heldOut || heldOut.skill === null) return null;
  return `Validation, ${number(heldOut.n, 0)} forecasts: skill ${change(heldOut.skill)}. Not part of the track record.`;
}

function degradedNote(forecast) {
  const missing = new Set((forecast.multi_step?.steps ?? []).flatMap((step) => step.degraded));
  return missing.size === 0 ? null : `Inputs missing, ignored: ${[...missing].map(word).join(", ")}.`;
}
