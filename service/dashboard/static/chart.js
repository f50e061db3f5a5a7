// Draws the answers of /v1/figures: Plotly is loaded late, the page works without it.

import { $, element, fillTable, painted, setAttribute, setText } from "./dom.js";

const NARROW_WIDTH = 440;
const NARROW_ENTRY = 68; // pixels of a legend's text
const READ_BELOW = ["median", "random_walk", "one_step", "multi_step", "outcome"]; // named in the readout; no room in a narrow legend
const TRANSPARENT = "rgba(0,0,0,0)";
let plotly = null;

/** Plotly, loaded once: running it takes a while, so the page is painted first. */
export function loadPlotly() {
  plotly ??= painted().then(runPlotly);
  return plotly;
}

function runPlotly() {
  return new Promise((resolve, reject) => {
    const script = element("script", { src: $("plotly").href, async: true });
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      plotly = null;
      reject(new Error("the chart library could not be loaded; the tables show the same data. Reload the page to retry."));
    };
    document.head.append(script);
  });
}

/** A part of the page for one chart with its texts and its table. */
export class Chart {
  constructor(id, captionId, tableId) {
    this.place = $(id);
    this.caption = $(captionId);
    this.details = $(tableId);
    this.shown = null;
    this.onDrawn = () => {};
    this.canvas = element("div", { class: "canvas" });
    this.place.append(this.canvas);
  }

  /** Shows texts and table, then the chart once Plotly is loaded; resolves when it is drawn. */
  async show(answer) {
    if (answer.empty) {
      this.clear(answer.caption);
      return;
    }
    this.shown = answer;
    this.place.hidden = false;
    setAttribute(this.place, "aria-label", answer.alt);
    setText(this.caption, answer.caption ?? "");
    this.#fill(answer.table);
    const Plotly = await loadPlotly();
    if (this.shown !== answer) return; // replaced by a newer answer
    const whole = structuredClone(answer.figure.layout); // Plotly writes into it; the zoom returns to the answer
    const layout = fitLayout(whole, this.place.clientWidth, this.place.clientHeight);
    const config = { ...answer.figure.config, responsive: true, doubleClick: false };
    await Plotly.react(this.canvas, fitTraces(answer.figure.data, this.place.clientWidth), layout, config);
    this.onDrawn();
    if (this.shown === answer) setAttribute(this.place, "data-drawn", `${answer.symbol}/${answer.as_of}`);
  }

  /** Removes the chart, and shows the reason as its caption: an empty chart is not drawn. */
  clear(sentence) {
    this.shown = null;
    window.Plotly?.purge(this.canvas);
    this.canvas.replaceChildren();
    setAttribute(this.place, "data-drawn", null);
    this.place.hidden = true;
    setText(this.caption, sentence);
    this.#fill(null);
  }

  #fill(content) {
    this.details.hidden = content === null;
    if (content === null) return;
    let table = this.details.querySelector("table");
    if (!table) {
      table = element("table", { class: "data narrow" });
      this.details.append(element("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Table" }, table));
    }
    const columns = content.columns.map((label) => ({ label, kind: "text" }));
    fillTable(table, content.caption, columns, content.rows.map((row) => row.map(cell)));
  }
}

/** The layout for its place and the page's background; with shorter labels on a narrow screen. */
function fitLayout(layout, width, height) {
  const fitted = { ...layout, autosize: true, width: undefined, height, paper_bgcolor: TRANSPARENT, plot_bgcolor: TRANSPARENT };
  if (window.matchMedia("(pointer: coarse)").matches) fitted.dragmode = false; // a drag scrolls the page
  if (width >= NARROW_WIDTH) return fitted;
  const short = (text) => String(text).replace(/^T(?:\+(\d))?<br>.*$/, (_, step) => (step ? `+${step}` : "T"));
  const axis = layout.xaxis ?? {};
  fitted.xaxis = { ...axis, ticktext: axis.ticktext?.map(short) };
  const notes = layout.annotations?.filter(({ text }) => !/^\d+%$/.test(text)); // band labels have no room
  fitted.annotations = notes?.map((each) => ({ ...each, ...leftOfEdge(each) }));
  fitted.legend = { ...layout.legend, entrywidth: NARROW_ENTRY, entrywidthmode: "pixels" };
  return fitted;
}

/** The traces; a narrow legend has only the past intervals and their marks. */
function fitTraces(traces, width) {
  if (width >= NARROW_WIDTH) return traces;
  const short = (name) => name?.replace("interval of T, past", "past").replace("close ", "");
  return traces.map((each) => ({ ...each, name: short(each.name), showlegend: each.showlegend !== false && !READ_BELOW.includes(each.meta?.role) }));
}

/** A title in the right half is aligned to the edge, so that it does not overflow. */
function leftOfEdge({ xref, xanchor, x }) {
  return xref === "paper" && xanchor === "left" && x > 0.5 && x < 1 ? { x: 1, xanchor: "right" } : {};
}

function cell(value) {
  if (value === null) return "\u2013";
  return typeof value === "number" ? String(Math.round(value * 1e4) / 1e4).replace("-", "\u2212") : value;
}

/** The readout of a chart: follows the pointer and the arrow keys, and shows the slot in a fixed line. */
export class Readout {
  constructor(chart, line) {
    this.chart = chart;
    this.line = line;
    this.cursor = element("div", { class: "cursor", hidden: true });
    chart.place.append(this.cursor);
    this.at = null;
    const place = chart.place;
    place.addEventListener("pointermove", (event) => this.#point(event));
    place.addEventListener("pointerleave", () => this.reset());
    place.addEventListener("blur", () => this.reset());
    place.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Returns to the initial position: the first session that is forecast. */
  reset() {
    this.at = null;
    this.cursor.hidden = true;
    const slots = this.#slots();
    const first = slots.find((slot) => slot.text.includes("\u00b7 T \u00b7")) ?? slots.at(-1);
    setText(this.line, first?.text ?? "");
    setAttribute(this.line, "aria-live", "off");
  }

  #slots() {
    return this.chart.shown?.readout ?? [];
  }

  #axis() {
    return this.chart.canvas._fullLayout?.xaxis ?? null;
  }

  #point(event) {
    const axis = this.#axis();
    const slots = this.#slots();
    if (!axis || slots.length === 0) return;
    const left = this.chart.canvas.getBoundingClientRect().left;
    const x = axis.p2d(event.clientX - left - axis._offset);
    let nearest = 0;
    slots.forEach((slot, index) => {
      if (Math.abs(slot.x - x) < Math.abs(slots[nearest].x - x)) nearest = index;
    });
    this.#show(nearest, "off");
  }

  #key(event) {
    const last = this.#slots().length - 1;
    if (last < 0) return;
    const at = this.at ?? last + 1;
    const next = { ArrowLeft: at - 1, ArrowRight: this.at === null ? last : at + 1, Home: 0, End: last }[event.key];
    if (next === undefined) {
      if (event.key === "Escape") this.reset();
      return;
    }
    event.preventDefault();
    this.#show(Math.min(Math.max(next, 0), last), "polite");
  }

  #show(index, politeness) {
    const slot = this.#slots()[index];
    this.at = index;
    setAttribute(this.line, "aria-live", politeness);
    setText(this.line, slot.text);
    const axis = this.#axis();
    this.cursor.hidden = !axis;
    if (axis) this.cursor.style.transform = `translateX(${Math.round(axis.d2p(slot.x) + axis._offset)}px)`;
  }
}
