// Model versions: promoted, pinned, unpinned, rolled back, each with a reason.

import { get } from "./api.js";
import { fillActions } from "./admin_outcomes.js";
import { Newest } from "./collapsible.js";
import { $ } from "./dom.js";
import { instant, word } from "./format.js";

const COLUMNS = [
  { label: "Version", kind: "number" },
  { label: "Group", kind: "text" },
  { label: "Forecaster", kind: "wide" },
  { label: "Status", kind: "text" },
  { label: "Reason", kind: "reason" },
];

/** The form of a rollback, and the table of versions. */
export class Models {
  constructor({ confirm, known, outcomes, reload }) {
    Object.assign(this, { confirm, known, outcomes, page: null, fault: null });
    this.table = $("versions");
    this.group = $("versions-group");
    this.status = $("versions-status");
    this.newest = new Newest("versions", reload);
    for (const field of [this.group, this.status]) field.addEventListener("change", reload);
    $("roll-back").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#rollBack($("rollback-group").value.trim(), $("rollback-strategy").value);
    });
  }

  /** Reads the versions; throws ApiError. */
  async read() {
    const query = { group: this.group.value.trim(), status: this.status.value, limit: this.newest.limit };
    this.page = await get("/v1/models", query);
    this.known.add(this.page.items);
  }

  /** Paints the table. */
  paint() {
    if (this.page === null) {
      if (this.fault) fillActions(this.table, { caption: "Not read", columns: COLUMNS, rows: [], none: this.fault }, this.outcomes);
      return;
    }
    const rows = this.page.items.map((item) => ({
      key: item.id,
      cells: [
        String(item.id),
        item.group,
        { text: word(item.forecaster), note: word(item.strategy) },
        { text: item.status, mark: item.status, note: item.pinned_at ? `pinned since ${instant(item.pinned_at)}` : "" },
        item.reason,
      ],
      actions: this.#actions(item),
    }));
    const none = "No version matches. The first is made with the first forecast.";
    fillActions(this.table, { caption: "Newest first", columns: COLUMNS, rows, none }, this.outcomes);
    this.newest.paint(this.page);
    this.outcomes.paint();
  }

  #actions(item) {
    const action = (verb, label, what) => ({
      label,
      name: `${label} version ${item.id}`,
      run: () =>
        this.#open({ title: `${label} version ${item.id}`, what, verb: label, path: `/v1/models/${item.id}/${verb}`, row: item.id }),
    });
    const place = `${item.group}, ${word(item.strategy)},`;
    if (item.status !== "champion") {
      const promote = `Version ${item.id} (${word(item.forecaster)}) serves ${place} from the next edition on, whatever the gate decided.`;
      return [action("promote", "Promote", promote)];
    }
    if (item.pinned_at) return [action("unpin", "Unpin", `The gate decides again at the next training of ${item.group}.`)];
    return [action("pin", "Pin", `Version ${item.id} keeps serving ${place} and no training replaces it until it is unpinned.`)];
  }

  #rollBack(group, strategy) {
    this.#open({
      title: "Roll back",
      what: `${group}, ${word(strategy)}, returns to the version that served before the current one.`,
      verb: "Roll back",
      path: "/v1/rollbacks",
      body: { group, strategy },
      row: null,
    });
  }

  #open(action) {
    this.confirm.open({ method: "POST", body: {}, hasReason: true, outcomes: this.outcomes, ...action });
  }
}
