// Symbols of the watchlist: added and removed.

import { get } from "./api.js";
import { fillActions } from "./admin_outcomes.js";
import { Newest } from "./collapsible.js";
import { $ } from "./dom.js";

const TYPING_MS = 150;
const COLUMNS = [
  { label: "Symbol", kind: "wide" },
  { label: "Group", kind: "text" },
  { label: "Calendar", kind: "text" },
  { label: "State", kind: "reason" },
];

/** The form and the list. */
export class Symbols {
  constructor({ confirm, known, outcomes, reload }) {
    Object.assign(this, { confirm, known, outcomes, page: null, fault: null });
    this.table = $("symbols");
    this.find = $("find-symbol");
    this.newest = new Newest("symbols", reload);
    let timer = null;
    this.find.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(reload, TYPING_MS);
    });
    $("add-symbol").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#add();
    });
  }

  /** Reads the list; throws ApiError. */
  async read() {
    const q = this.find.value.trim();
    const page = await get("/v1/watchlist", { q, sort: "symbol", limit: this.newest.limit });
    if (q !== this.find.value.trim()) return; // a newer search is under way
    this.page = page;
    this.known.add(page.items);
  }

  /** Paints the list. */
  paint() {
    if (this.page === null) {
      if (this.fault) fillActions(this.table, { caption: "Not read", columns: COLUMNS, rows: [], none: this.fault }, this.outcomes);
      return;
    }
    const { items, matching, total } = this.page;
    const rows = items.map((item) => ({
      key: item.symbol,
      cells: [
        { text: item.symbol, note: item.name ?? "" },
        item.group,
        item.calendar,
        { text: item.state, note: item.state_reason ?? "", mark: ["failing", "unknown"].includes(item.state) ? "failed" : null },
      ],
      actions: [{ label: "Remove", name: `Remove ${item.symbol}`, run: () => this.#remove(item.symbol) }],
    }));
    const caption = matching === total ? `${total} on the watchlist, by symbol` : `${matching} of ${total} match, by symbol`;
    const none = total === 0 ? "The watchlist is empty. Add the first symbol above." : "No symbol matches.";
    fillActions(this.table, { caption, columns: COLUMNS, rows, none }, this.outcomes);
    this.newest.paint(this.page);
    this.outcomes.paint();
  }

  #add() {
    const symbol = $("new-symbol").value.trim();
    const body = {};
    if ($("new-group").value.trim()) body.group = $("new-group").value.trim();
    if ($("new-calendar").value.trim()) body.calendar = $("new-calendar").value.trim();
    this.confirm.open({
      title: `Add ${symbol}`,
      what: `${symbol} is put on the watchlist if the source has it; its history is pulled, and it is forecast from the next run on.`,
      verb: "Add",
      method: "PUT",
      path: `/v1/symbols/${encodeURIComponent(symbol)}`,
      body,
      outcomes: this.outcomes,
      row: symbol,
    });
  }

  #remove(symbol) {
    this.confirm.open({
      title: `Remove ${symbol}`,
      what: `${symbol} is taken off the watchlist; its history, forecasts and scores stay.`,
      verb: "Remove",
      method: "DELETE",
      path: `/v1/symbols/${encodeURIComponent(symbol)}`,
      outcomes: this.outcomes,
      row: symbol,
    });
  }
}
