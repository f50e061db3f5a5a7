// The cards at the top: forecast, width, measured trust, maker, next edition.

import { $, setAttribute, setText } from "./dom.js";
import { age, capital, change, countdown, direction, instant, percent, priceStyle, session, word } from "./format.js";
import { MIN_SESSIONS, skillText } from "./skill.js";

const LEVEL = 80;
const TICK_MS = 1000;
const Z_95 = 1.96;
const BASELINES = ["random_walk", "drift", "historical_quantiles", "garch"];
const readAt = new WeakMap(); // status -> when it was painted first: its seconds count from then on
let next = null; // paints the countdown again

/** Paints all cards; forecast: null if there is none; actual: Map(session -> close) of a past day, or null. */
export function paintCards({ forecast, status, actual, isLoading }) {
  const step = (forecast?.multi_step ?? forecast?.one_step)?.steps[0] ?? null;
  for (const id of ["width", "trust", "maker"]) $(`card-${id}`).hidden = step === null && !isLoading;
  if (step === null) paint("forecast", "Forecast", isLoading ? "\u2026" : "No forecast yet", "");
  else {
    const style = priceStyle(forecast.currency, forecast.group, forecast.last_close);
    paintForecast(forecast, step, style, actual);
    paintWidth(forecast, step, style);
    paintTrust(step);
    paintMaker(forecast, status);
  }
  paintNext(forecast, status);
}

function paint(id, label, big, sub, date = "") {
  const [term, value, note] = $(`card-${id}`).children;
  setText(term.firstElementChild, date === "" ? label : `${label} `);
  setText(term.lastElementChild, date);
  setText(value, big);
  setText(note, sub);
}

function paintForecast(forecast, step, style, actual) {
  const share = step.point / forecast.last_close - 1;
  const close = actual?.get(step.target_session);
  const { lower, upper } = intervalOf(step);
  const outcome = close === undefined ? "" : `. Actual ${style.bare(close)}, ${close >= lower && close <= upper ? "inside" : "outside"} ${LEVEL} %`;
  const from = `from ${style.bare(forecast.last_close)} on ${session(forecast.as_of)}`;
  paint("forecast", "Forecast for", style.full(step.point), `${change(share)} ${from}${outcome}`, session(step.target_session));
  setAttribute($("card-forecast").lastElementChild, "data-direction", direction(share));
}

function paintWidth(forecast, step, style) {
  const { lower, upper } = intervalOf(step);
  const share = (price) => change(price / forecast.last_close - 1);
  paint("width", `${LEVEL} % interval`, style.range(lower, upper), `${share(lower)} to ${share(upper)}`);
}

function intervalOf(step) {
  return step.intervals.find((each) => each.level === LEVEL);
}

/** Measured coverage and skill of T in words; nothing is claimed that chance explains. */
function paintTrust(step) {
  const measured = step.coverage.levels.find((each) => each.level === LEVEL)?.measured ?? null;
  const n = step.coverage.n;
  if (measured === null || n < MIN_SESSIONS) {
    paint("trust", "Measured trust", "Not measured yet", `${n} of ${MIN_SESSIONS} sessions scored`);
    return;
  }
  const inside = Math.round(measured * n);
  const words = `${percent(measured)} inside the ${LEVEL} % interval, ${coverageWords(measured, n)}. ${skillWords(step.skill)}`;
  paint("trust", "Measured trust", `${inside} of ${n} inside`, words);
}

/** Measured coverage in words: a normal test at 5 % of n closes that are inside with the stated probability. */
export function coverageWords(measured, n) {
  const nominal = LEVEL / 100;
  const chance = Z_95 * Math.sqrt((nominal * (1 - nominal)) / n);
  if (Math.abs(measured - nominal) <= chance) return "about as often as stated";
  return measured < nominal ? "less often than stated" : "more often than stated";
}

function skillWords(skill) {
  const { mark, text } = skillText(skill);
  const words = {
    none: "",
    even: "No better than a random walk.",
    open: `Not proven better than a random walk (${text}).`,
    better: `Better than a random walk by ${text.slice(1)}.`,
    worse: `Worse than a random walk by ${text.slice(1)}.`,
  };
  return words[mark];
}

function paintMaker(forecast, status) {
  const served = (forecast.multi_step ?? forecast.one_step).served_by;
  const name = capital(word(served.forecaster));
  if (BASELINES.includes(served.forecaster)) {
    // The card names the random walk already.
    const reason = served.reason.replace(/^the random walk serves: /, "");
    paint("maker", "Made by", name, `Baseline, version ${served.model_version_id}: ${reason}`);
    return;
  }
  const old = served.trained_at && status?.now ? `, ${age(served.trained_at, status.now)} old` : "";
  const trained = served.trained_at ? `. Trained ${instant(served.trained_at).slice(0, 10)}` : "";
  paint("maker", "Made by", name, `Version ${served.model_version_id}${old}${trained}`);
}

/** When the next edition of the symbol's calendar comes; without a forecast, that of any calendar. */
function paintNext(forecast, status) {
  next = null;
  const show = (big, sub) => paint("next", "Next edition", big, sub);
  if (!status) return show("\u2026", "");
  if (status.record_ended) return show("None", "The replay has ended");
  const calendar = status.calendars?.find((each) => each.calendar === forecast?.calendar);
  const { next_edition_at: at, next_edition_in_seconds: seconds } = calendar ?? status;
  if (!readAt.has(status)) readAt.set(status, performance.now());
  const when = at ? instant(at, (calendar ?? forecast)?.time_zone ?? null) : "";
  const stopped = status.scheduler?.alive === false;
  if (at && typeof seconds === "number" && !stopped) {
    next = () => {
      const left = seconds - (performance.now() - readAt.get(status)) / 1000;
      show(left > 0 ? `in ${countdown(left)}` : "Due now", when);
    };
    return next();
  }
  const share = status.training?.progress;
  if (status.training && status.clock === "replay") return show(`Waiting for training${share ? `, ${percent(share)}` : ""}`, when);
  if (!at) return status.source_fault ? show("Waiting for prices", "The price source fails") : show("Not scheduled yet", "It follows the next close");
  if (!stopped) return show("Waiting for a run", when);
  const [day, time, ...rest] = when.split(" ");
  return show(`${day} ${time}`, `${rest.join(" ")}. The scheduler is not running`);
}

setInterval(() => {
  if (!document.hidden) next?.();
}, TICK_MS);
