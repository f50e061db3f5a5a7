// Sparklines: the last closes of a symbol as one line, without axes; the row's text has the numbers.

import { setAttribute } from "./dom.js";

const NAMESPACE = "http://www.w3.org/2000/svg";
const WIDTH = 72;
const HEIGHT = 24;
const MARGIN = 2;

/** An empty sparkline. */
export function makeSparkline() {
  const picture = document.createElementNS(NAMESPACE, "svg");
  for (const [name, value] of [["viewBox", `0 0 ${WIDTH} ${HEIGHT}`], ["class", "sparkline"], ["aria-hidden", "true"], ["focusable", "false"]]) {
    picture.setAttribute(name, value);
  }
  picture.append(document.createElementNS(NAMESPACE, "polyline"));
  return picture;
}

/** Draws closes, oldest first; fewer than two draw nothing. */
export function paintSparkline(picture, closes) {
  setAttribute(picture.firstElementChild, "points", closes.length < 2 ? "" : points(closes));
}

function points(closes) {
  const low = Math.min(...closes);
  const span = Math.max(...closes) - low;
  const x = (place) => (MARGIN + (place * (WIDTH - 2 * MARGIN)) / (closes.length - 1)).toFixed(1);
  const y = (close) => (span === 0 ? HEIGHT / 2 : HEIGHT - MARGIN - ((close - low) * (HEIGHT - 2 * MARGIN)) / span).toFixed(1);
  return closes.map((close, place) => `${x(place)},${y(close)}`).join(" ");
}
