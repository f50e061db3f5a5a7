// Runs: jobs with their durations, counts and errors.

import { get, orNull } from "./api.js";
import { $, fillTable } from "./dom.js";
import { Newest } from "./collapsible.js";
import { duration, instant, session, word } from "./format.js";
import { zoneOf } from "./header.js";

const COLUMNS = [
  { label: "Run", kind: "number" },
  { label: "Job", kind: "text" },
  { label: "Scope", kind: "text" },
  { label: "Session", kind: "wide" },
  { label: "State", kind: "text" },
  { label: "Took", kind: "number" },
  { label: "Result", kind: "reason" },
];
const newest = new Newest("runs", () => orNull(showRuns(shown)));

let shown = null; // status with the time zones of the calendars

/** Reads and paints the newest runs; throws ApiError. */
export async function showRuns(status, signal = null) {
  shown = status;
  const page = await get("/v1/runs", { limit: newest.limit }, signal);
  const rows = page.items.map(runRow);
  if (rows.length === 0) rows.push([{ text: "No runs yet. The first starts with the scheduler.", heading: true }]);
  fillTable($("runs"), "Newest first; sessions and due times are market time", COLUMNS, rows);
  newest.paint(page);
}

function runRow(run) {
  return [
    String(run.id),
    run.job,
    run.scope,
    { text: run.session ? session(run.session) : "\u2013", note: `due ${instant(run.scheduled_for, zoneOf(shown, run.scope))}` },
    { text: stateWords(run), mark: run.state },
    duration(run.started_at, run.finished_at),
    { text: run.error ?? (run.warnings?.join("; ") || countWords(run)), mark: run.error ? "failed" : null },
  ];
}

function stateWords(run) {
  const attempt = run.attempt > 1 ? `, attempt ${run.attempt}` : "";
  if (run.state === "waiting" && run.wait_until) return `waiting until ${instant(run.wait_until, zoneOf(shown, run.scope))}${attempt}`;
  return `${run.state}${attempt}`;
}

function countWords(run) {
  const parts = Object.entries(run.counts ?? {})
    .filter(([, count]) => typeof count === "number")
    .map(([name, count]) => `${count} ${word(name)}`);
  return parts.length > 0 ? parts.join(", ") : "\u2013";
}
