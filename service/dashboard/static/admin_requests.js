// Run requests: a form for new ones, and the newest of all kinds with their states.

import { get } from "./api.js";
import { isOpen } from "./admin_outcomes.js";
import { Newest } from "./collapsible.js";
import { $, fillTable, setAttribute, setText } from "./dom.js";
import { instant, percent, word } from "./format.js";
import { permits, session } from "./session.js";

const MOST = 50;
const COLUMNS = [
  { label: "Request", kind: "number" },
  { label: "What", kind: "wide" },
  { label: "By", kind: "text" },
  { label: "State", kind: "text" },
  { label: "Result", kind: "reason" },
];
const WHAT = {
  train: (scope) => `New networks of the group ${scope} are trained now; the gate decides whether they serve.`,
  pull: (scope) => `The prices of all symbols of ${scope} are pulled now.`,
  forecast: (scope) => `The newest final session of ${scope} is forecast now.`,
  score: (scope) => `The forecasts of ${scope} with new closes are scored now.`,
};

/** The form and the table. */
export class Requests {
  constructor({ confirm, known, outcomes, reload }) {
    Object.assign(this, { confirm, known, outcomes, items: [], isMore: false });
    this.runs = new Map(); // id -> run, with its progress
    this.alive = true;
    this.table = $("requests");
    this.job = $("run-job");
    this.scope = $("run-scope");
    this.newest = new Newest("requests", reload);
    this.job.addEventListener("change", () => this.#paintScope());
    $("request-run").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#ask();
    });
    const isPermitted = permits("run");
    $("run-fields").disabled = !isPermitted;
    setText($("run-hint"), isPermitted ? "" : `The key ${session.name} lacks the scope run, which requests of runs need.`);
    this.#paintScope();
  }

  /** Reads the newest requests and runs; throws ApiError. */
  async read() {
    const [page, runs, status] = await Promise.all([
      get("/v1/run-requests", { limit: MOST }),
      get("/v1/runs", { limit: MOST }),
      get("/v1/status"),
    ]);
    this.items = page.items;
    this.isMore = page.next_cursor !== null;
    this.alive = status.scheduler.alive;
    for (const run of runs.items) this.runs.set(run.id, { ...this.runs.get(run.id), ...run });
  }

  /** Gives outcomes the newest documents of their requests; throws ApiError. */
  async follow(outcomes) {
    const open = new Set(outcomes.openIds);
    for (const item of this.items) if (open.delete(item.id)) outcomes.takeRequest(item);
    for (const id of open) outcomes.takeRequest(await get(`/v1/run-requests/${id}`));
  }

  /** Takes a `run` or `progress` event. */
  take(kind, event) {
    const id = kind === "run" ? event.id : event.run_id;
    const change = kind === "run" ? event : { progress: event.progress, progress_detail: event.detail };
    this.runs.set(id, { ...this.runs.get(id), ...change });
    this.paint();
  }

  /** Paints the table. */
  paint() {
    const items = this.items.slice(0, this.newest.limit);
    const rows = items.map((item) => [
      String(item.id),
      requestedWords(item),
      { text: item.requested_by, note: instant(item.created_at) },
      { text: item.state, mark: item.state },
      { text: this.#result(item), mark: item.state === "rejected" ? "failed" : item.state },
    ]);
    if (rows.length === 0) rows.push([{ text: "No request yet.", heading: true }]);
    fillTable(this.table, "Requests of all kinds, newest first; times are of the machine's clock", COLUMNS, rows);
    this.newest.paint({ items, next_cursor: this.isMore || this.items.length > items.length ? "more" : null });
    this.outcomes.paint();
  }

  /** A request and its state in one or two sentences. */
  words(request) {
    const result = this.#result(request);
    const state = request.state === "rejected" ? "was rejected" : request.state === "failed" ? "has failed" : `is ${request.state}`;
    return `Request ${request.id} ${state}${result === "\u2013" ? "." : `: ${result}`}`;
  }

  #result(request) {
    if (!isOpen(request)) return request.reason ?? request.note ?? (runsWords(request.runs) || "\u2013");
    if (request.reason) return `it is tried again: ${request.reason}`;
    if (!this.alive) return "no scheduler is running; it is carried out once one starts";
    const running = request.runs.map(({ id }) => this.#runWords(id));
    if (running.length > 0) return running.join("; ");
    return request.note ?? (request.state === "pending" ? "the scheduler carries it out" : "\u2013");
  }

  #runWords(id) {
    const run = this.runs.get(id);
    if (!run?.state) return `run ${id} is planned`;
    const isRunning = run.state === "running" && typeof run.progress === "number";
    const share = isRunning ? `, ${percent(run.progress)}${run.progress_detail ? `: ${run.progress_detail}` : ""}` : "";
    return `run ${id} is ${run.state}${share}${run.error ? `: ${run.error}` : ""}`;
  }

  #paintScope() {
    const isTraining = this.job.value === "train";
    setText($("run-scope-label"), isTraining ? "Group" : "Calendar");
    setAttribute(this.scope, "list", isTraining ? "known-groups" : "known-calendars");
    this.scope.value = "";
  }

  #ask() {
    const job = this.job.value;
    const scope = this.scope.value.trim();
    this.confirm.open({
      title: `Request: ${this.job.selectedOptions[0].textContent}`,
      what: WHAT[job](scope),
      verb: "Request",
      method: "POST",
      path: "/v1/runs",
      body: { job, scope },
      outcomes: this.outcomes,
      row: null,
    });
  }
}

function runsWords(runs) {
  return runs.length === 0 ? "" : `run ${runs.map(({ id }) => id).join(", ")}`;
}

/** What was requested: "train equity", "add AAPL", "pin version 3: the reason". */
function requestedWords({ kind, body }) {
  if (kind === "run") return { text: `${body.job} ${body.scope ?? ""}`, note: body.first ? `${body.first} to ${body.last}` : "" };
  const what = kind.slice(kind.indexOf(".") + 1);
  const subject = body.symbol ?? (body.version === undefined ? `${body.group} ${word(body.strategy)}` : `version ${body.version}`);
  return { text: `${what} ${subject}`, note: body.reason ?? "" };
}
