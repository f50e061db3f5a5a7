// Zoom of the main chart: a drag selects sessions, the prices follow; double-click, button or "-" return.

const STEP = 2; // factor of the keys + and -
const MARGIN = 0.05;
const FEWEST_SLOTS = 4;
const HALF_SLOT = 0.5;

/** Zooms a chart; button: shown while the chart is zoomed. */
export class Zoom {
  constructor(chart, button) {
    this.chart = chart;
    this.button = button;
    this.isHeard = false;
    chart.onDrawn = () => this.#listen();
    button.addEventListener("click", () => {
      this.#reset();
      chart.place.focus({ preventScroll: true }); // the button is hidden; the focus must not be lost with it
    });
    chart.place.addEventListener("keydown", (event) => {
      const factor = { "+": 1 / STEP, "=": 1 / STEP, "-": STEP }[event.key];
      if (factor === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      this.#scale(factor);
    });
  }

  get #layout() {
    return this.chart.shown?.figure.layout ?? null;
  }

  /** Called after each drawing: a new figure has its full range. */
  #listen() {
    this.button.hidden = true;
    if (this.isHeard) return;
    this.isHeard = true;
    this.chart.canvas.on("plotly_relayout", (changes) => {
      const low = changes["xaxis.range[0]"];
      if (low !== undefined) this.#show([low, changes["xaxis.range[1]"]]);
    });
    this.chart.canvas.on("plotly_doubleclick", () => this.#reset());
  }

  #scale(factor) {
    const whole = this.#layout?.xaxis.range;
    const axis = this.chart.canvas._fullLayout?.xaxis;
    if (!whole || !axis) return;
    const [, high] = axis.range;
    const width = Math.max((high - axis.range[0]) * factor, FEWEST_SLOTS);
    if (high - width < whole[0] + HALF_SLOT) this.#reset();
    else this.#show([high - width, high]);
  }

  #reset() {
    const layout = this.#layout;
    if (!layout) return;
    this.button.hidden = true;
    window.Plotly.relayout(this.chart.canvas, { "xaxis.range": [...layout.xaxis.range], "yaxis.range": [...layout.yaxis.range] });
  }

  #show(ends) {
    const prices = pricesBetween(this.chart.shown.figure.data, ...ends);
    const change = { "xaxis.range": ends };
    if (prices.length > 0) {
      const low = Math.min(...prices);
      const high = Math.max(...prices);
      const room = MARGIN * (high - low) || 0.01 * Math.abs(high);
      change["yaxis.range"] = [low - room, high + room];
    }
    this.button.hidden = false;
    window.Plotly.relayout(this.chart.canvas, change);
  }
}

/** Every price that is drawn between two positions of the axis. */
function pricesBetween(traces, low, high) {
  const found = [];
  for (const trace of traces) {
    if (trace.yaxis === "y2" || trace.meta.role === "as_of") continue;
    trace.x.forEach((x, place) => {
      if (x < low || x > high) return;
      if (trace.type === "candlestick") found.push(trace.low[place], trace.high[place]);
      else if (trace.base) found.push(trace.base[place], trace.base[place] + trace.y[place]);
      else found.push(trace.y[place]);
    });
  }
  return found;
}
