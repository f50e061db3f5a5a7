// Requests to the public API: entity tags, abortable calls, errors as sentences.

const KEPT = 120;
const FRESH_MS = 60_000;

/** An error answer: `status` 0 without an answer, `sentence` for the page, `retryAfter` in seconds. */
export class Refusal extends Error {
  constructor(status, sentence, retryAfter = null) {
    super(sentence);
    this.status = status;
    this.sentence = sentence;
    this.retryAfter = retryAfter;
  }
}

const answers = new Map(); // address -> {tag, document, generation, at}
const underWay = new Map(); // address -> promise, so that hovering and clicking ask once
let generation = 0;
let isLive = false;

/** Something changed on the server: cached answers must be requested again. */
export function invalidate() {
  generation += 1;
}

/** Whether the event stream is live; if not, no cached answer counts as fresh. */
export function setLive(live) {
  isLive = live;
}

/** An address with its parameters; null and undefined ones are left out. */
export function address(path, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const query = new URLSearchParams(given).toString();
  return query === "" ? path : `${path}?${query}`;
}

/** The answer of a route as parsed JSON; throws Refusal, or AbortError if `signal` fired. */
export async function get(path, parameters = {}, signal = null) {
  const url = address(path, parameters);
  const held = answers.get(url);
  if (held && isLive && held.generation === generation && performance.now() - held.at < FRESH_MS) return held.document;
  const key = `${generation} ${url}`;
  if (!underWay.has(key)) {
    const request = send(url, held, generation).finally(() => underWay.delete(key));
    request.catch(() => {}); // reported to callers; a prefetch has none
    underWay.set(key, request);
  }
  return abortable(underWay.get(key), signal);
}

/** Prefetch an answer; an error is reported when the answer is needed. */
export function prefetch(path, parameters) {
  get(path, parameters).catch(() => {});
}

/** The answer, or null after an error or abort. */
export async function orNull(promise) {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof Refusal || error.name === "AbortError") return null;
    throw error;
  }
}

function abortable(promise, signal) {
  if (signal === null) return promise;
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(new DOMException("no longer wanted", "AbortError"));
    if (signal.aborted) giveUp();
    signal.addEventListener("abort", giveUp, { once: true });
    promise.then(resolve, reject);
  });
}

async function send(url, held, generation) {
  const headers = { Accept: "application/json" };
  if (held?.tag) headers["If-None-Match"] = held.tag;
  let answer;
  try {
    answer = await fetch(url, { headers, cache: "no-store", credentials: "same-origin" });
  } catch {
    throw new Refusal(0, "the service does not answer; retrying");
  }
  if (answer.status === 304 && held) {
    keep(url, { ...held, generation, at: performance.now() });
    return held.document;
  }
  if (!answer.ok) throw await refusal(answer);
  const document = await answer.json();
  keep(url, { tag: answer.headers.get("ETag"), document, generation, at: performance.now() });
  return document;
}

function keep(url, answer) {
  answers.delete(url);
  answers.set(url, answer);
  if (answers.size > KEPT) answers.delete(answers.keys().next().value);
}

async function refusal(answer) {
  const retryAfter = Number(answer.headers.get("Retry-After")) || null;
  try {
    const problem = await answer.json();
    return new Refusal(answer.status, String(problem.detail), retryAfter);
  } catch {
    return new Refusal(answer.status, `the service answered ${answer.status} without a reason`, retryAfter);
  }
}
