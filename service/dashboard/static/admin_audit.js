// The newest rows of the audit.

import { get } from "./api.js";
import { Newest } from "./collapsible.js";
import { $, fillTable } from "./dom.js";
import { instant, word } from "./format.js";
import { session } from "./session.js";

const MOST = 100; // more than one action leaves
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d/;
const COLUMNS = [
  { label: "Row", kind: "number" },
  { label: "Time", kind: "text" },
  { label: "Actor", kind: "text" },
  { label: "Action", kind: "text" },
  { label: "Subject", kind: "reason" },
  { label: "Details", kind: "reason" },
];

/** A row in one line. */
export function auditWords(item) {
  return `${item.id}: ${instant(item.at)}, ${item.actor}, ${item.action} ${item.subject}`;
}

/** The table of the newest rows. */
export class Audit {
  constructor(reload) {
    this.newest = new Newest("audit", reload);
  }

  /** Reads and paints the newest rows, and gives `outcomes` those of their writes; throws ApiError. */
  async read(outcomes) {
    const page = await get("/v1/audit", { limit: MOST });
    for (const each of outcomes) each.takeAudit(page.items);
    const items = page.items.slice(0, this.newest.limit);
    const rows = items.map((item) => [String(item.id), instant(item.at), item.actor, item.action, item.subject, detailWords(item.detail)]);
    if (rows.length === 0) rows.push([{ text: "No row yet. Every write leaves one.", heading: true }]);
    fillTable($("audit"), "Newest first; times are of the machine's clock", COLUMNS, rows);
    this.newest.paint({ items, next_cursor: page.items.length > items.length ? "more" : page.next_cursor });
    if (!outcomes.some((each) => each.isUnaudited)) return;
    const own = await get("/v1/audit", { actor: session.name, limit: MOST }); // others wrote many rows meanwhile
    for (const each of outcomes) each.takeAudit(own.items);
  }
}

function detailWords(detail) {
  const parts = Object.entries(detail).map(([name, value]) => `${word(name)}: ${valueWords(value)}`);
  return parts.length > 0 ? parts.join(", ") : "\u2013";
}

function valueWords(value) {
  if (value === null) return "\u2013";
  if (typeof value === "object") return JSON.stringify(value);
  return INSTANT.test(value) ? instant(value) : String(value);
}
