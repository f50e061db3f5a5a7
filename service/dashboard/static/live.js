// The event stream: connects, reports, retries; closed while the page is hidden.

import { address } from "./api.js";

const MIN_WAIT_S = 1;
const MAX_WAIT_S = 30;
const KINDS = ["status", "edition", "run", "progress", "run_request", "change", "fault"];

/**
 * Connects to /v1/events.
 *
 * on: {event(kind, document), state(name, seconds)} where name is "connecting", "live", "lost" or "paused".
 */
export function listen(on) {
  let source = null;
  let wait = MIN_WAIT_S;
  let timer = null;

  function open() {
    clearTimeout(timer);
    source = new EventSource(address("/v1/events"));
    source.onopen = () => {
      wait = MIN_WAIT_S;
      on.state("live", 0);
    };
    source.onerror = () => reconnect();
    for (const kind of KINDS) source.addEventListener(kind, (event) => receive(kind, event));
  }

  function receive(kind, event) {
    let document;
    try {
      document = JSON.parse(event.data);
    } catch {
      return; // an incomplete message of a closing connection
    }
    on.event(kind, document);
  }

  function close() {
    clearTimeout(timer);
    source?.close();
    source = null;
  }

  function reconnect() {
    close();
    countDown(wait);
    wait = Math.min(wait * 2, MAX_WAIT_S);
  }

  function countDown(seconds) {
    if (seconds <= 0) {
      on.state("connecting", 0);
      open();
      return;
    }
    on.state("lost", seconds);
    timer = setTimeout(() => countDown(seconds - 1), 1000);
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      close();
      on.state("paused", 0);
    } else if (source === null) {
      wait = MIN_WAIT_S;
      on.state("connecting", 0);
      open();
    }
  });
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => {
    if (event.persisted && source === null && !document.hidden) open();
  });
  if (!document.hidden) open();
}
