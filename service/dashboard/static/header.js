// The header of the page: age of the data, edition, clock, and state of the connection.

import { $, setAttribute, setText } from "./dom.js";
import { instant } from "./format.js";

/** The time zone of a calendar with an edition; null if it is unknown. */
export function zoneOf(status, calendar) {
  return status?.calendars?.find((each) => each.calendar === calendar)?.time_zone ?? null;
}

/** Paints the header from the /v1/status document. */
export function paintHeader(status) {
  const edition = status.edition;
  const zone = zoneOf(status, edition?.calendar);
  setText($("data-as-of"), edition ? `Data as of ${edition.as_of}` : "No data yet");
  setAttribute($("data-as-of"), "title", status.data_as_of ? `final at ${instant(status.data_as_of, zone)}` : null);
  setText($("edition"), edition ? `Edition ${edition.number}, ${edition.calendar}` : "");
  setAttribute($("edition"), "title", edition ? `issued ${instant(edition.issued_at, zone)}` : null);
  const isReplay = status.clock === "replay";
  setText($("mode"), edition ? edition.mode : isReplay ? "replay" : "live");
  setAttribute($("mode"), "title", isReplay ? "replayed history: market time is not today" : null);
  const [label, time] = $("market-time").children;
  setText(label, isReplay && status.now ? "market time " : "");
  setText(time, isReplay && status.now ? instant(status.now, zone) : "");
  $("stale").hidden = !status.stale;
  setAttribute($("stale"), "title", status.stale_after ? `a newer forecast was due by ${instant(status.stale_after, zone)}` : null);
}

/** Shows the state of the event stream; screen readers skip the countdown. */
export function paintConnection(state, seconds) {
  const place = $("connection");
  setAttribute(place, "data-state", state);
  if (state !== "lost") {
    const labels = { live: "live", paused: "paused", connecting: "connecting" };
    if (place.textContent !== labels[state]) place.replaceChildren(labels[state]);
    return;
  }
  if (!place.querySelector("span")) {
    const count = document.createElement("span");
    count.setAttribute("aria-hidden", "true");
    place.replaceChildren("connection lost, retrying", count);
  }
  setText(place.querySelector("span"), ` in ${seconds} s`);
}
