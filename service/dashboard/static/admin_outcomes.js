// What became of the writes of one part of the admin section, with their rows of the audit.

import { element, fillTable, reuse, setAttribute, setText } from "./dom.js";
import { auditWords } from "./admin_audit.js";

const MAX_KEPT = 20;
const OPEN = ["pending", "accepted"];
const BAD = ["failed", "rejected"];

/** Whether a run request may still change. */
export function isOpen(request) {
  return OPEN.includes(request.state);
}

/** The writes of this page, newest first; the newest is shown below what was clicked. */
export class Outcomes {
  constructor(place) {
    this.place = place;
    this.state = element("p", { role: "status" });
    this.rows = element("ul", { "aria-label": "Audit of this action" });
    this.place.append(this.state, this.rows);
    this.records = [];
    this.words = () => "";
  }

  /** Adds {row, request, sentence, requestId, isRefused}. */
  add(record) {
    this.records.unshift({ audit: [], ...record });
    this.records.length = Math.min(this.records.length, MAX_KEPT);
    this.paint();
  }

  /** Ids of run requests that may still change. */
  get openIds() {
    return this.records.flatMap(({ request }) => (request && isOpen(request) ? [request.id] : []));
  }

  /** Takes a newer document of a run request. */
  takeRequest(document) {
    for (const record of this.records) {
      if (record.request?.id === document.id) record.request = document;
    }
  }

  /** Takes rows of the audit: those of a write have the id of its HTTP request. */
  takeAudit(items) {
    for (const record of this.records) {
      if (!record.requestId) continue;
      const found = items.filter((item) => item.request_id === record.requestId);
      if (found.length > 0) record.audit = found.reverse();
    }
    this.paint();
  }

  /** Whether the newest write has no row of the audit yet. */
  get isUnaudited() {
    const [newest] = this.records;
    return Boolean(newest?.requestId) && newest.audit.length === 0;
  }

  /** Text and mark of the newest write of a row of the table, null without one. */
  of(row) {
    const record = this.records.find((each) => each.row === row);
    return record ? { text: this.#text(record), isBad: this.#isBad(record) } : null;
  }

  /** Paints the newest write. */
  paint() {
    const [newest] = this.records;
    this.place.hidden = newest === undefined;
    if (newest === undefined) return;
    setText(this.state, this.#text(newest));
    setAttribute(this.state, "data-mark", this.#isBad(newest) ? "failed" : null);
    reuse(this.rows, newest.audit, () => element("li"), (line, item) => setText(line, `Audit ${auditWords(item)}`));
  }

  #text(record) {
    return record.request ? this.words(record.request) : record.sentence;
  }

  #isBad(record) {
    return Boolean(record.isRefused) || BAD.includes(record.request?.state);
  }
}

/**
 * Fills a table whose last column has buttons.
 *
 * rows: [{key, cells, actions: [{label, name, run, isDisabled}]}] where `name` is for screen readers; what became of the
 * newest click is shown below the buttons. A table without rows shows the sentence `none`.
 */
export function fillActions(table, { caption, columns, rows, none }, outcomes) {
  const cells = rows.map((row) => [...row.cells, ""]);
  fillTable(table, caption, [...columns, { label: "Actions", kind: "actions" }], cells.length > 0 ? cells : [[{ text: none, heading: true }]]);
  rows.forEach((row, index) => paintActions(table.tBodies[0].rows[index].lastElementChild, row, outcomes.of(row.key)));
}

function paintActions(cell, { actions }, outcome) {
  let place = cell.querySelector(".row-actions");
  if (!place) {
    place = element("div", { class: "row-actions" }, element("div", {}), element("p", {}));
    cell.append(place);
  }
  reuse(place.firstElementChild, actions, () => element("button", { type: "button", class: "plain" }), (button, action) => {
    setText(button, action.label);
    setAttribute(button, "aria-label", action.name);
    button.disabled = Boolean(action.isDisabled);
    button.onclick = action.run;
  });
  setText(place.lastElementChild, outcome?.text ?? "");
  setAttribute(place.lastElementChild, "data-mark", outcome?.isBad ? "failed" : null);
}
