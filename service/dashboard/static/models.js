// Model versions: champions, challengers, and the decisions about them.

import { get, orNull } from "./api.js";
import { $, element, fillTable, setAttribute, setText } from "./dom.js";
import { Newest } from "./collapsible.js";
import { change, instant, percent, word } from "./format.js";

const COLUMNS = [
  { label: "Version", kind: "number" },
  { label: "Forecaster", kind: "wide" },
  { label: "Status", kind: "text" },
  { label: "Trained", kind: "text" },
  { label: "Validation skill", kind: "number" },
  { label: "Reason", kind: "reason" },
  { label: "Decisions", kind: "text" },
];
const opened = new Map(); // version -> its decisions as text, while its row is open
let shown = null;
const newest = new Newest("models", () => orNull(showModels(shown)));

/** Reads and paints the versions of a group; throws ApiError. */
export async function showModels(group, signal = null) {
  shown = group;
  const page = await get("/v1/models", { group, limit: newest.limit }, signal);
  const rows = page.items.map(modelRow);
  if (rows.length === 0) rows.push([{ text: "No version yet. The first is made with the first forecast.", heading: true }]);
  const caption = `${group ? `Group ${group}` : "All groups"}, newest first`;
  fillTable($("models"), caption, COLUMNS, rows);
  newest.paint(page);
  page.items.forEach((item, index) => paintDecisions($("models").tBodies[0].rows[index], item.id));
}

function modelRow(item) {
  const skill = item.metrics?.test_skill ?? null;
  const trained = item.train_last ? `prices ${item.train_first} to ${item.train_last}` : "";
  return [
    String(item.id),
    { text: word(item.forecaster), note: word(item.strategy) },
    { text: item.status, mark: item.status },
    { text: instant(item.trained_at), note: trained },
    { text: change(skill), note: item.metrics?.test_n ? `n ${item.metrics.test_n}` : "" },
    item.reason,
    "",
  ];
}

function paintDecisions(row, id) {
  const cell = row.lastElementChild;
  let button = cell.querySelector("button");
  if (!button) {
    button = element("button", { type: "button", class: "plain" });
    button.addEventListener("click", () => toggle(cell));
    cell.prepend(button);
  }
  cell.dataset.version = id;
  const text = opened.get(id);
  setText(button, text ? "hide" : "show");
  setAttribute(button, "aria-expanded", String(Boolean(text)));
  setAttribute(button, "aria-label", `${text ? "Hide" : "Show"} the decisions about version ${id}`);
  setText(cell.querySelector(".note"), text ?? "");
}

async function toggle(cell) {
  const id = Number(cell.dataset.version);
  if (opened.has(id)) opened.delete(id);
  else opened.set(id, await decisionsOf(id));
  paintDecisions(cell.parentElement, Number(cell.dataset.version));
}

async function decisionsOf(id) {
  try {
    const version = await get(`/v1/models/${id}`);
    const lines = version.decisions.map((each) => `${instant(each.decided_at)} ${each.status}: ${each.reason}`);
    return lines.length > 0 ? lines.join("\n") : "no decision recorded";
  } catch (error) {
    return error.sentence ?? String(error);
  }
}

/** Shows a training of new networks; the first training of a group has its own notice. */
export function paintTraining(training) {
  const share = training?.progress ? `, ${percent(training.progress)}` : "";
  const text = training && !training.first
    ? `New networks of group ${training.group} are being trained${share}. The current version keeps forecasting.`
    : "";
  setText($("training"), text);
}
