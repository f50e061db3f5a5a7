// Builds the page from elements and text nodes: API texts are never parsed as markup.

/** The element with an id. */
export const $ = (id) => document.getElementById(id);

/** An element with attributes and children; texts become text nodes, null children are left out. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Resolves when the changes so far are painted; in a hidden tab, at the next task. */
export function painted() {
  return new Promise((resolve) => {
    if (document.hidden) setTimeout(resolve);
    else requestAnimationFrame(() => setTimeout(resolve));
  });
}

/** Sets a text only if it differs, so that nothing is announced or laid out again needlessly. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Sets or removes an attribute only if it differs. */
export function setAttribute(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== String(value)) {
    node.setAttribute(name, value);
  }
}

/** Keeps one child per item: `make` creates missing ones, `paint` writes each item into its child. */
export function reuse(parent, items, make, paint) {
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  while (parent.children.length < items.length) parent.append(make());
  items.forEach((item, index) => paint(parent.children[index], item, index));
}

/**
 * Fills a table and reuses its elements: a refresh changes texts and moves nothing.
 *
 * columns: [{label, kind}] with kind "text", "number" or "wide"; rows: [[cell]] with a cell a text or
 * {text, note, mark, heading}: note is a second, smaller line, mark becomes data-mark, heading spans the row.
 * On a narrow screen rows become cards, each cell with its label; roles keep it a table for screen readers.
 */
export function fillTable(table, caption, columns, rows) {
  setAttribute(table, "role", "table");
  if (!table.caption) {
    table.append(element("caption", {}), element("thead", { role: "rowgroup" }), element("tbody", { role: "rowgroup" }));
    table.tHead.append(element("tr", { role: "row" }));
  }
  setText(table.caption, caption);
  reuse(
    table.tHead.rows[0],
    columns,
    () => element("th", { role: "columnheader", scope: "col" }),
    (cell, column) => {
      setText(cell, column.label);
      setAttribute(cell, "data-kind", column.kind);
    },
  );
  reuse(table.tBodies[0], rows, () => element("tr", { role: "row" }), (row, cells) => paintRow(row, cells, columns));
}

function paintRow(row, cells, columns) {
  const isHeading = cells.length === 1 && cells[0]?.heading;
  setAttribute(row, "data-heading", isHeading);
  const kind = isHeading ? "heading" : "plain";
  if (row.dataset.shape !== kind) {
    row.replaceChildren();
    row.dataset.shape = kind;
  }
  reuse(row, cells, () => makeCell(kind), (cell, content, index) => paintCell(cell, content, index, columns));
}

function makeCell(kind) {
  const isFirst = kind === "heading";
  const cell = element(isFirst ? "th" : "td", { role: isFirst ? "rowheader" : "cell" });
  cell.append(element("span", { class: "value" }), element("span", { class: "note" }));
  return cell;
}

function paintCell(cell, content, index, columns) {
  const { text, note, mark, heading, title } =
    content !== null && typeof content === "object" ? content : { text: content ?? "\u2013" };
  if (heading) setAttribute(cell, "colspan", columns.length);
  else {
    setAttribute(cell, "data-label", columns[index]?.label);
    setAttribute(cell, "data-kind", columns[index]?.kind);
  }
  setAttribute(cell, "data-mark", mark);
  setAttribute(cell, "title", title);
  setText(cell.children[0], String(text));
  setText(cell.children[1], note ?? "");
}
