// Long tables on a narrow screen, where each row is a card: collapsible parts, and more rows on demand.

import { $, element, setAttribute, setText } from "./dom.js";

const FEW = 8;
const FEW_CARDS = 4; // the style sheet hides the others
const MANY = 50;
const opened = new WeakMap(); // table -> names of its open parts

/**
 * Collapses all parts of a table but the first on a narrow screen, as the style sheet defines it.
 *
 * parts: for each row of the body the name of its part; a part begins with a row that is a heading.
 */
export function collapseRows(table, parts) {
  if (!opened.has(table) && parts.length > 0) opened.set(table, new Set(parts.slice(0, 1)));
  const open = opened.get(table);
  [...table.tBodies[0].rows].forEach((row, index) => {
    const name = parts[index];
    const isHeading = row.hasAttribute("data-heading");
    setAttribute(row, "data-collapsed", name !== undefined && !isHeading && !open.has(name));
    if (!isHeading) return;
    if (name === undefined) row.querySelector("button")?.remove();
    else paintToggle(table, parts, row.cells[0], name);
  });
}

function paintToggle(table, parts, cell, name) {
  let button = cell.querySelector("button");
  if (!button) {
    button = element("button", { type: "button", class: "plain opener" });
    cell.append(button);
  }
  const isOpen = opened.get(table).has(name);
  button.onclick = () => {
    const open = opened.get(table);
    if (!open.delete(name)) open.add(name);
    collapseRows(table, parts);
  };
  setAttribute(button, "aria-expanded", String(isOpen));
  setAttribute(button, "aria-label", `${isOpen ? "Hide" : "Show"} the rows of ${name}`);
  setText(button, isOpen ? "hide" : "show");
}

/** The newest rows of a table, and more of them behind a button. */
export class Newest {
  /** id: of the table; its button is `ID-more`. reload: called when more or fewer rows are requested. */
  constructor(id, reload) {
    this.table = $(id);
    this.button = $(`${id}-more`);
    this.isLong = false;
    this.button.addEventListener("click", () => {
      this.isLong = !this.isLong;
      reload();
    });
  }

  /** Number of rows to request. */
  get limit() {
    return this.isLong ? MANY : FEW;
  }

  /** Shows the button if there are more rows; page: the answer of the route. */
  paint(page) {
    const isWhole = page.next_cursor === null && page.items.length <= FEW;
    setAttribute(this.table, "data-long", this.isLong);
    setAttribute(this.button, "data-for-cards", isWhole && !this.isLong);
    this.button.hidden = isWhole && page.items.length <= FEW_CARDS;
    setAttribute(this.button, "aria-expanded", String(this.isLong));
    setText(this.button, this.isLong ? "Show fewer" : "Show more");
  }
}
