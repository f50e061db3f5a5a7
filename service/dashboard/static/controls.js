// Buttons of the charts: day, range, and step of "Forecast vs actual".

import { get, orNull } from "./api.js";
import { $, setAttribute, setText } from "./dom.js";

const DAY_MS = 86_400_000;

/**
 * Handles the buttons.
 *
 * on: {day(asOf or null), range(name), step(number)}; `screen` has the current view, `newest()` returns the newest as_of.
 */
export function startControls(screen, newest, on) {
  $("ranges").addEventListener("click", (event) => {
    if (event.target.dataset.range) on.range(event.target.dataset.range);
  });
  $("versus-steps").addEventListener("click", (event) => {
    if (event.target.dataset.step) on.step(Number(event.target.dataset.step));
  });
  $("now").addEventListener("click", () => {
    on.day(null);
    $("title").focus({ preventScroll: true }); // the button is hidden; the focus must not be lost with it
  });
  $("earlier").addEventListener("click", async () => {
    const before = await orNull(sessionBefore(screen.view.symbol, shownDay(screen)));
    if (before) on.day(before);
  });
  $("later").addEventListener("click", () => on.day(sessionAfter(screen.forecast, newest())));
}

/** Shows the selected range, step and day. */
export function paintControls(screen) {
  const { asOf, range, step } = screen.view;
  for (const button of $("ranges").children) setAttribute(button, "aria-pressed", String(button.dataset.range === range));
  for (const button of $("versus-steps").children) {
    setAttribute(button, "aria-pressed", String(Number(button.dataset.step) === step));
  }
  setText($("day-label"), asOf ?? shownDay(screen) ?? "");
  $("now").hidden = asOf === null;
  $("later").disabled = asOf === null;
  $("earlier").disabled = shownDay(screen) === null;
}

function shownDay(screen) {
  return screen.view.asOf ?? screen.forecast?.as_of ?? null;
}

async function sessionBefore(symbol, day) {
  const last = new Date(Date.parse(`${day}T00:00:00Z`) - DAY_MS).toISOString().slice(0, 10);
  const page = await get(`/v1/prices/${encodeURIComponent(symbol)}`, { last, limit: 1 });
  return page.items[0]?.session ?? null;
}

/** The session after the one shown; null (the latest) if that is the newest or unknown. */
function sessionAfter(forecast, newest) {
  const next = (forecast?.multi_step ?? forecast?.one_step)?.steps[0].target_session ?? null;
  return next !== null && newest !== null && next < newest ? next : null;
}
