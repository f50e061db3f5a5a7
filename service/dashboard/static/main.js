// The page: the current view, and updates after changes.

import { get, invalidate, orNull, setLive } from "./api.js";
import { AdminTab } from "./admin_tab.js";
import { paintControls, startControls } from "./controls.js";
import { $ } from "./dom.js";
import { paintConnection, paintHeader } from "./header.js";
import { listen } from "./live.js";
import { Screen } from "./screen.js";
import { onSession, readSession, session } from "./session.js";
import { requireSignIn, startSignIn } from "./sign_in.js";
import { paintTabs, startTabs } from "./tabs.js";
import { startTheme } from "./theme.js";
import { readView, writeView } from "./view.js";
import { Watchlist } from "./watchlist.js";

const GATHER_MS = 250; // events arrive in bursts: one refresh for each burst
const RETRY_MS = 3000;
const FIRST_STEP = 1;
const HAS_CLOSED_READS = document.documentElement.dataset.reads === "closed";

const view = { ...readView(), step: FIRST_STEP };
const list = new Watchlist({ choose, prefetch: (symbol) => screen.prefetch(symbol) });
const screen = new Screen((symbol) => list.line(symbol), afterForecast);

const adminTab = new AdminTab(screen, () => {
  paintTabs(adminTab.shown(view.tab));
  return screen.showTab(adminTab.shown(view.tab)).catch(report);
});

const oneColumn = window.matchMedia("(max-width: 819px)");

let isStarted = false;
let refreshTimer = null;
let isRefreshing = false;
let wasDisconnected = false;

function show(isRedraw = false) {
  list.choose(view.symbol);
  const tab = adminTab.shown(view.tab);
  paintTabs(tab);
  const shown = screen.show({ ...view, tab }, isRedraw);
  paintControls(screen);
  return shown.catch(report);
}

function choose(symbol) {
  if (symbol === view.symbol && !screen.error) return;
  performance.mark("chosen");
  view.symbol = symbol;
  writeView(view);
  show(true);
  const title = $("title");
  if (oneColumn.matches && title.getBoundingClientRect().bottom < 0) title.scrollIntoView(); // the list is below it
}

function updateView(change) {
  Object.assign(view, change);
  writeView(view);
  show();
}

/** Called after a forecast or an error was read: retries a temporary error. */
function afterForecast(error) {
  paintControls(screen);
  if (error && error.status !== 404) refreshSoon(RETRY_MS);
}

function chooseFirst() {
  if (view.symbol || list.items.length === 0) return;
  view.symbol = list.items[0].symbol;
  writeView(view, true);
}

function refreshSoon(wait = GATHER_MS) {
  if (refreshTimer !== null) return;
  refreshTimer = setTimeout(refresh, wait);
}

/** Reads everything shown again; unchanged answers come back as 304. */
async function refresh() {
  refreshTimer = null;
  if (isRefreshing) {
    refreshSoon();
    return;
  }
  isRefreshing = true;
  invalidate();
  try {
    const listed = orNull(list.refresh());
    if (!view.symbol) await listed;
    chooseFirst();
    await Promise.all([listed, show()]);
  } finally {
    isRefreshing = false;
  }
}

function handleEvent(kind, document) {
  screen.admin?.handleEvent(kind, document);
  if (kind === "status") showStatus(document);
  else if (kind === "progress") showProgress(document);
  else if (kind === "fault") screen.setStatus(Object.assign(screen.status ?? {}, { fault: document.detail }));
  else refreshSoon();
}

function showStatus(status) {
  const before = screen.status;
  paintHeader(status);
  screen.setStatus(status);
  const isFilled = before !== null && before.edition === null && status.edition !== null;
  if (isFilled || (before?.notice_kind === "empty" && status.notice_kind !== "empty")) refreshSoon();
}

function showProgress({ progress, detail }) {
  const status = screen.status;
  if (!status?.training) return;
  Object.assign(status.training, { progress, detail }); // a copied status would begin its countdown again
  screen.setStatus(status);
}

function handleConnection(name, seconds) {
  setLive(name === "live");
  paintConnection(name, seconds);
  if (name === "lost" && !wasDisconnected) readSession(); // the stream also ends with the session
  if (name === "lost" || name === "paused") wasDisconnected = true;
  if (name === "live" && wasDisconnected) {
    wasDisconnected = false; // events were missed meanwhile
    refreshSoon();
  }
}

async function readStatus() {
  const status = await orNull(get("/v1/status"));
  if (status) showStatus(status);
}

function newest() {
  return list.line(view.symbol)?.as_of ?? screen.status?.edition?.as_of ?? null;
}

function report(error) {
  if (error.name !== "AbortError") throw error;
}

/** Reloads the page when the session ends that its data needs: nothing of it stays on the screen. */
function leaveWithSession() {
  onSession(() => {
    if (!session.scopes.includes("read")) location.reload();
  });
}

async function start() {
  startTheme(() => {
    if (isStarted) show();
  });
  startSignIn();
  adminTab.start();
  if (HAS_CLOSED_READS) {
    await requireSignIn();
    leaveWithSession();
  } else readSession();
  isStarted = true;
  startControls(screen, newest, {
    day: (asOf) => updateView({ asOf }),
    range: (range) => updateView({ range }),
    step(step) {
      view.step = step;
      screen.showStep(step).catch(report);
      paintControls(screen);
    },
  });
  startTabs((tab) => {
    view.tab = tab;
    writeView(view, true);
    paintTabs(tab);
    screen.showTab(tab).catch(report);
  });
  window.addEventListener("popstate", () => {
    Object.assign(view, readView());
    chooseFirst();
    show();
  });
  const listed = orNull(list.load());
  readStatus();
  if (!view.symbol) {
    await listed;
    chooseFirst();
  }
  listen({ event: handleEvent, state: handleConnection });
  await show();
}

start().catch(report);
