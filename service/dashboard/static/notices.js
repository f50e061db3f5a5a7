// Notices about problems, with what to do about each.

import { $, element, setAttribute } from "./dom.js";
import { capital, instant, machineInstant, word } from "./format.js";
import { zoneOf } from "./header.js";
import { skillText } from "./skill.js";

const MOST_CHARACTERS = 240; // of a sentence: a longer one would push the numbers off a phone's first screen

/** The notices, most important first: [{kind, sentence, advice, progress, reason}]; reason opens below. */
export function findNotices({ status, symbol, line, error, forecast, voids, asOf }) {
  const found = [
    emptyNotice(status, error),
    sourceNotice(status),
    errorNotice(status, symbol, line, error, asOf),
    quarantinedNotice(line, symbol),
    failedNotice(status),
    faultNotice(status),
    asOf ? null : staleNotice(status, forecast),
    missedNotice(line, symbol),
    voidNotice(voids, symbol),
    asOf ? null : losingNotice(forecast, symbol),
    trainingNotice(status),
    endedNotice(status),
  ];
  return found.filter(Boolean);
}

function noticeOf(kind, sentence, advice, progress = null, reason = null) {
  const whole = withFullStop(sentence);
  if (whole.length <= MOST_CHARACTERS || reason !== null) return { kind, sentence: whole, advice, progress, reason };
  const short = whole.slice(0, MOST_CHARACTERS).replace(/\s+\S*$/, "");
  return { kind, sentence: `${short} \u2026`, advice, progress, reason: whole };
}

/** A sentence with exactly one full stop at its end. */
function withFullStop(sentence) {
  const text = capital(sentence.trim());
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

function emptyNotice(status, error) {
  const isEmpty = status?.notice_kind === "empty" || (status && !status.edition && (status.watchlist?.active ?? 0) === 0);
  if (!isEmpty || error?.status === 404) return null;
  if (status.notice) return noticeOf("empty", status.notice, "This page updates automatically.");
  return noticeOf("empty", "No symbols and no forecasts yet.",
    "Start the service with `tplus up`, or add symbols with `tplus symbols add AAPL`; this page updates automatically.");
}

function errorNotice(status, symbol, line, error, asOf) {
  if (!error || status?.notice_kind === "empty") return null;
  if (error.status === 0) return noticeOf("offline", error.sentence, "The figures below are from the last answer.");
  const isKnown = line !== null;
  if (error.status === 404 && !asOf && !isKnown) {
    return noticeOf("unknown-symbol", `Unknown symbol: ${symbol}.`, `Choose one from the watchlist, or add it with \`tplus symbols add ${symbol}\`.`);
  }
  if (line?.state === "unknown") return null; // quarantinedNotice shows it
  const advice = asOf ? "Choose another session, or show the latest forecast." : "It appears here as soon as it is made.";
  return noticeOf("no-forecast", error.sentence, advice);
}

function quarantinedNotice(line, symbol) {
  if (!line || !["suspect", "failing", "unknown"].includes(line.state)) return null;
  const reason = line.state_reason ? withFullStop(line.state_reason) : "Suspect prices.";
  const words = {
    suspect: [`Prices of ${symbol} are in quarantine. ${reason}`, "List them with `tplus quarantine list`; accept them with `tplus quarantine clear`."],
    failing: [`Prices of ${symbol} cannot be fetched. ${reason}`, "The next pull tries again. Older forecasts are unchanged."],
    unknown: [`The price source does not know ${symbol}. ${reason}`, "Check the name, or remove it with `tplus symbols remove`."],
  };
  return noticeOf(line.state === "unknown" ? "unknown-symbol" : "quarantined", ...words[line.state]);
}

function sourceNotice(status) {
  const fault = status?.source_fault;
  if (!fault) return null;
  const name = status.source === "yahoo" ? "Yahoo" : "The price source";
  const words = { unreachable: "cannot be reached", rate_limited: "limits the rate of requests", partial: "does not answer for every symbol" };
  const since = fault.since ? ` since ${machineInstant(fault.since, status.clock)}` : "";
  const next = fault.next_try_at ? `Next try at ${machineInstant(fault.next_try_at, status.clock)}.` : "The service retries automatically.";
  const last = status.edition ? " This page shows the last forecast." : "";
  return noticeOf("source-down", `${name} ${words[fault.kind] ?? "fails"}${since}.`, next + last, null, withFullStop(fault.sentence));
}

function failedNotice(status) {
  const run = status?.last_failure;
  if (!run) return null;
  const of = run.session ? ` of ${run.session}` : "";
  return noticeOf("failed-run", `Run ${run.run_id}, ${run.job} ${run.scope}${of}, failed: ${run.error ?? "no reason recorded"}`,
    "See the tab Runs and the log.");
}

function faultNotice(status) {
  return status?.fault ? noticeOf("fault", status.fault, "The page keeps its data and retries.") : null;
}

/** Whether market time has passed an instant; both are ISO texts, either may be missing. */
function isPast(instantText, now) {
  return Boolean(instantText && now) && new Date(now) > new Date(instantText);
}

function staleNotice(status, forecast) {
  const isStale = forecast ? isPast(forecast.stale_after, status?.now) : status?.stale;
  const due = forecast?.stale_after ?? status?.stale_after;
  if (!isStale || status?.record_ended) return null;
  const zone = forecast?.time_zone ?? zoneOf(status, status?.edition?.calendar);
  const when = due ? ` A newer one was due by ${instant(due, zone)}.` : "";
  const advice = status?.scheduler && !status.scheduler.alive ? "The scheduler is not running: start it with `tplus up` or `tplus schedule`." : "It is valid for its own session only. See the tab Runs for the cause.";
  return noticeOf("stale", `This forecast is stale.${when}`, advice);
}

function missedNotice(line, symbol) {
  if (!line?.missed) return null;
  return noticeOf("missed", `${symbol}: ${line.missed}`, "A missed forecast is never back-dated. The next session is forecast as usual.");
}

function voidNotice(voids, symbol) {
  if (!voids || voids.length === 0) return null;
  const newest = voids[0];
  const others = voids.length > 1 ? ` and ${voids.length - 1} more` : "";
  const reason = newest.outcome.reason ? `: ${newest.outcome.reason}` : "";
  return noticeOf("void", `The forecast of ${symbol} for ${newest.target_session}${others} is void${reason}.`,
    "A void forecast is not part of the track record.");
}

function trainingNotice(status) {
  const training = status?.training;
  if (!training?.first) return null; // a later one is shown in the table of models
  const sentence = `The first networks of group ${training.group} are being trained. Baseline until validated.`;
  return noticeOf("training", sentence, training.detail ? `${capital(word(training.detail))}.` : "", training.progress);
}

function endedNotice(status) {
  if (!status?.record_ended) return null;
  return noticeOf("record-ended", `The replay ended at ${status.record_end}, the last session of the data.`,
    "Everything stays readable. To replay again, start the service with another TPLUS_DATA_DIR.");
}

function losingNotice(forecast, symbol) {
  const named = (steps, prefix) => (steps ?? []).map(({ label, skill }) => ({ label: prefix + label, n: skill.n, ...skillText(skill) }));
  const all = [...named(forecast?.multi_step?.steps, ""), ...named(forecast?.one_step?.steps, "one-step ")];
  const lost = all.filter(({ mark }) => mark === "worse");
  if (lost.length === 0) return null;
  const words = lost.map(({ label, text }) => `${label} by ${text.slice(1)}`);
  return noticeOf("losing", `On the last ${lost[0].n} sessions, the published forecast of ${symbol} was significantly worse than the random walk at ${words.join(", ")}.`,
    "Use the random walk's interval in the tab Forecast instead.");
}

/** Paints the notices: the first in full, the others behind a button. */
export function paintNotices(notices) {
  const place = $("notice");
  const key = JSON.stringify(notices.map(({ kind, sentence, advice, reason }) => [kind, sentence, advice, reason]));
  place.hidden = notices.length === 0;
  setAttribute(place, "data-notice", notices[0]?.kind);
  setAttribute(place, "data-notices", notices.length > 0 ? notices.map((each) => each.kind).join(" ") : null);
  if (place.dataset.key !== key) {
    const wasOpen = place.querySelector("details.others")?.open ?? false;
    place.dataset.key = key;
    place.replaceChildren(...notices.slice(0, 1).map(paintNotice), ...paintOthers(notices.slice(1), wasOpen));
  }
  const bar = place.querySelector("progress");
  const training = notices.find((each) => each.kind === "training");
  if (bar && training && training.progress !== null) bar.value = training.progress;
}

function paintNotice({ kind, sentence, advice, progress, reason }) {
  const bar = kind === "training" ? element("progress", { max: "1", "aria-label": "Training", value: progress }) : null;
  const text = element("p", { "data-kind": kind }, element("strong", {}, ...withCode(sentence)), " ", ...withCode(advice), bar);
  if (reason === null) return text;
  return element("div", {}, text, element("details", { class: "reason" }, element("summary", {}, "Reason"), element("p", {}, reason)));
}

/** The parts of a sentence, with `commands` as code elements. */
function withCode(text) {
  return text.split("`").map((part, index) => (index % 2 === 1 ? element("code", {}, part) : part));
}

function paintOthers(others, isOpen) {
  if (others.length === 0) return [];
  const summary = element("summary", {}, `${others.length} more: ${others.map((each) => each.kind.replaceAll("-", " ")).join(", ")}`);
  return [element("details", { class: "others", open: isOpen }, summary, ...others.map(paintNotice))];
}
