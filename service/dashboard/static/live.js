// The event stream: connects, reports, retries; closed while the page is hidden.

const FIRST_WAIT_S = 1;
const LONGEST_WAIT_S = 30;
const KINDS = ["status", "edition", "run", "progress", "change", "fault"];

/**
 * Connects to /v1/events.
 *
 * on: {event(kind, document), state(name, seconds)} where name is "connecting", "live", "lost" or "paused".
 */
export function listen(on) {
  let source = null;
  let wait = FIRST_WAIT_S;
  let timer = null;

  function open() {
    clearTimeout(timer);
    source = new EventSource("/v1/events");
    source.onopen = () => {
      wait = FIRST_WAIT_S;
      on.state("live", 0);
    };
    source.onerror = () => lose();
    for (const kind of KINDS) source.addEventListener(kind, (event) => hear(kind, event));
  }

  function hear(kind, event) {
    let document;
    try {
      document = JSON.parse(event.data);
    } catch {
      return; // half a message of a connection that is going down
    }
    on.event(kind, document);
  }

  function close() {
    clearTimeout(timer);
    source?.close();
    source = null;
  }

  function lose() {
    close();
    countDown(wait);
    wait = Math.min(wait * 2, LONGEST_WAIT_S);
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
      wait = FIRST_WAIT_S;
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
