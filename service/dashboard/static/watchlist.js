// The watchlist: search, sort, pages; rows are updated in place, so that focus and scroll position stay.

import { get } from "./api.js";
import { $, element, reuse, setAttribute, setText } from "./dom.js";
import { change, direction, number, priceStyle } from "./format.js";
import { makeSparkline, paintSparkline } from "./sparkline.js";

const PAGE = 50;
const MAX_PER_REQUEST = 200;
const TYPING_MS = 120;
const HOVER_MS = 50;
const LONG_REFRESH_MS = 5000;
const FEW = 5; // rows on a narrow screen before "Show more"; the style sheet hides the others
const narrow = window.matchMedia("(max-width: 819px)");

/**
 * The list of symbols.
 *
 * on: {choose(symbol), prefetch(symbol)}; `prefetch` is called when a symbol is hovered or focused.
 */
export class Watchlist {
  constructor(on) {
    this.on = on;
    this.items = [];
    this.selected = null;
    this.cursor = null;
    this.controller = null;
    this.refreshedAt = -Infinity;
    this.isFolded = true;
    this.list = $("watchlist");
    this.#listenToTools();
    this.#listenToRows();
  }

  /** The line of a symbol, null if it is not loaded. */
  line(symbol) {
    return this.items.find((item) => item.symbol === symbol) ?? null;
  }

  /** Loads the first page for the search and order; throws ApiError. */
  async load() {
    await this.#replace(PAGE);
  }

  /** Reads the shown lines again; a long list at most every few seconds. */
  async refresh() {
    const isLong = this.items.length > MAX_PER_REQUEST;
    if (isLong && performance.now() - this.refreshedAt < LONG_REFRESH_MS) return;
    await this.#replace(Math.max(this.items.length, PAGE));
  }

  /** Marks the selected symbol. */
  choose(symbol) {
    this.selected = symbol;
    this.#paint();
  }

  async #replace(count) {
    this.controller?.abort();
    this.controller = new AbortController();
    const signal = this.controller.signal;
    const items = [];
    let page = { next_cursor: null };
    do {
      const limit = Math.min(count - items.length, MAX_PER_REQUEST);
      page = await get("/v1/watchlist", { ...this.#query(), limit, cursor: page.next_cursor }, signal);
      items.push(...page.items);
    } while (page.next_cursor && items.length < count);
    this.refreshedAt = performance.now();
    this.#show(items, page);
  }

  async #more() {
    if (this.#isShort()) {
      this.isFolded = false;
      this.#paintMore();
      this.#button(FEW)?.focus();
      return;
    }
    const page = await get("/v1/watchlist", { ...this.#query(), limit: PAGE, cursor: this.cursor });
    const first = this.items.length;
    this.#show([...this.items, ...page.items], page);
    this.#button(first)?.focus();
  }

  #query() {
    const [sort, order] = $("sort").value.split(".");
    return { q: $("search").value.trim(), sort, order };
  }

  #show(items, page) {
    this.items = items;
    this.cursor = page.next_cursor;
    this.#paintMore();
    setText($("count"), countWords(items.length, page));
    this.#paint();
  }

  /** Whether a narrow screen shows the first rows only: no list scrolls inside the page. */
  #isShort() {
    return narrow.matches && this.isFolded && this.items.length > FEW;
  }

  #paintMore() {
    setAttribute(this.list, "data-folded", this.isFolded);
    $("more").hidden = !this.cursor && !this.#isShort();
  }

  #paint() {
    const focused = document.activeElement?.closest?.("[data-symbol]")?.dataset.symbol ?? null;
    const stop = [focused, this.selected].find((symbol) => symbol && this.line(symbol)) ?? this.items[0]?.symbol;
    reuse(this.list, this.items, makeRow, (row, item) => {
      paintRow(row.firstElementChild, item);
      setAttribute(row.firstElementChild, "aria-current", item.symbol === this.selected ? "true" : null);
      setAttribute(row.firstElementChild, "tabindex", item.symbol === stop ? "0" : "-1");
    });
    if (focused && this.line(focused) && document.activeElement?.dataset.symbol !== focused) {
      this.#button(this.items.findIndex((item) => item.symbol === focused))?.focus({ preventScroll: true });
    }
  }

  #button(index) {
    return this.list.children[index]?.firstElementChild ?? null;
  }

  #listenToTools() {
    let timer = null;
    const reload = () => this.load().catch(() => {});
    $("search").addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(reload, TYPING_MS);
    });
    $("search").addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown") this.#focus(0, event);
      else if (event.key === "Enter" && this.items.length > 0) this.on.choose(this.items[0].symbol);
    });
    $("sort").addEventListener("change", reload);
    narrow.addEventListener("change", () => this.#paintMore());
    $("more").addEventListener("click", () => this.#more().catch(() => {}));
    document.addEventListener("keydown", (event) => {
      const isTyping = event.target.closest?.("input, select, textarea");
      if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      $("search").focus();
    });
  }

  #listenToRows() {
    const symbolOf = (event) => event.target.closest("[data-symbol]")?.dataset.symbol ?? null;
    let timer = null;
    const prefetchSoon = (event) => {
      const symbol = symbolOf(event);
      clearTimeout(timer);
      if (symbol && symbol !== this.selected) timer = setTimeout(() => this.on.prefetch(symbol), HOVER_MS);
    };
    this.list.addEventListener("pointerover", prefetchSoon);
    this.list.addEventListener("focusin", prefetchSoon);
    this.list.addEventListener("pointerdown", (event) => {
      const symbol = symbolOf(event);
      if (symbol && symbol !== this.selected) this.on.prefetch(symbol); // the pointer goes down well before the click
    });
    this.list.addEventListener("click", (event) => {
      const symbol = symbolOf(event);
      if (symbol) this.on.choose(symbol);
    });
    this.list.addEventListener("keydown", (event) => {
      const index = this.items.findIndex((item) => item.symbol === symbolOf(event));
      const last = this.items.length - 1;
      const next = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: last }[event.key];
      if (next === undefined || index < 0) return;
      if (next < 0) $("search").focus();
      else if (next > last && !$("more").hidden) $("more").focus();
      else this.#focus(Math.min(next, last), event);
      event.preventDefault();
    });
  }

  #focus(index, event) {
    const button = this.#button(index);
    if (!button) return;
    event.preventDefault();
    for (const row of this.list.children) setAttribute(row.firstElementChild, "tabindex", "-1");
    setAttribute(button, "tabindex", "0");
    button.focus();
  }
}

/** Prefetches a symbol's line if it is not on a loaded page. */
export async function lineOf(symbol, signal) {
  const page = await get("/v1/watchlist", { q: symbol, limit: MAX_PER_REQUEST }, signal);
  return page.items.find((item) => item.symbol === symbol) ?? null;
}

function countWords(shown, page) {
  const of = page.matching ?? page.total ?? shown;
  if (of === 0) return page.total ? "No symbol matches. Clear the search to see all." : "No symbols yet";
  const many = shown < of ? `${shown} of ${of} symbols` : `${of} ${of === 1 ? "symbol" : "symbols"}`;
  return `${many}; T with its 80 % interval`;
}

function makeRow() {
  const button = element(
    "button",
    { type: "button" },
    element("span", { class: "symbol" }),
    element("span", { class: "name" }),
    makeSparkline(),
    element("span", { class: "close" }),
    element("span", { class: "width" }),
    element("span", { class: "change" }),
    element("span", { class: "state", hidden: true }),
  );
  return element("li", {}, button);
}

function paintRow(button, item) {
  const style = priceStyle(item.currency, item.group, item.last_close);
  setAttribute(button, "data-symbol", item.symbol);
  const [symbol, name, line, close, width, moved, state] = button.children;
  setText(symbol, item.symbol);
  setText(name, item.name ?? "");
  setText(close, item.last_close === null ? "" : `${style.bare(item.last_close)} ${item.currency ?? ""}`);
  paintSparkline(line, item.closes ?? []);
  paintChange(width, moved, item.steps[0] ?? null, item.last_close);
  const words = stateWords(item);
  state.hidden = words === "";
  setText(state, words);
}

function paintChange(width, moved, step, close) {
  setText(moved, step ? `${change(step.change)}` : "");
  setAttribute(moved, "data-direction", direction(step?.change));
  const share = (price) => number(100 * (price / close - 1), 1);
  setText(width, step && close ? `${step.label} 80 % ${share(step.lower_80)} to ${share(step.upper_80)} %` : "");
}

/** The state of a symbol's data; empty if it is ok. */
function stateWords(item) {
  if (item.state !== "ok" && item.state !== "new") return item.state === "suspect" ? "suspect prices" : item.state;
  if (item.missed) return "missed";
  if (item.as_of === null) return "no forecast yet";
  return item.stale ? "stale" : "";
}
