// Requests to the public API: entity tags, abortable calls, errors as sentences.

// This file is at ROOT/static/dashboard/HASH/api.js: a proxy may publish the service below a path of its own.
const ROOT = new URL("../../../", import.meta.url).pathname.replace(/\/$/, "");
const MAX_CACHED = 120;
const MAX_AGE_MS = 60_000;

/** An error answer: `status` 0 without an answer, `sentence` for the page, `retryAfter` in seconds. */
export class ApiError extends Error {
  constructor(status, sentence, retryAfter = null) {
    super(sentence);
    this.status = status;
    this.sentence = sentence;
    this.retryAfter = retryAfter;
  }
}

const answers = new Map(); // address -> {tag, document, generation, at}
const pending = new Map(); // address -> promise, so that hover and click send one request
let generation = 0;
let isStreamLive = false;

/** Marks cached answers as old, after a change on the server. */
export function invalidate() {
  generation += 1;
}

let refused = () => {};

/** Calls `callback` when a request is refused because the session ended. */
export function onRefused(callback) {
  refused = callback;
}

/** Forgets every answer: somebody else may be signed in now. */
export function forgetAnswers() {
  answers.clear();
  generation += 1;
}

/** Sets whether the event stream is live; if not, no cached answer is used without a request. */
export function setLive(live) {
  isStreamLive = live;
}

/** The address of a route with its parameters, below the proxy's path; null and undefined ones are left out. */
export function address(path, parameters = {}) {
  const set = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const query = new URLSearchParams(set).toString();
  return ROOT + (query === "" ? path : `${path}?${query}`);
}

/** The answer of a route as parsed JSON; throws ApiError, or AbortError if `signal` fired. */
export async function get(path, parameters = {}, signal = null) {
  const url = address(path, parameters);
  const cached = answers.get(url);
  if (cached && isStreamLive && cached.generation === generation && performance.now() - cached.at < MAX_AGE_MS) return cached.document;
  const key = `${generation} ${url}`;
  if (!pending.has(key)) {
    const request = send(url, cached, generation).finally(() => pending.delete(key));
    request.catch(() => {}); // reported to callers; a prefetch has none
    pending.set(key, request);
  }
  return abortable(pending.get(key), signal);
}

/** Prefetches an answer; an error is reported when the answer is needed. */
export function prefetch(path, parameters) {
  get(path, parameters).catch(() => {});
}

/** The answer, or null after an error or abort. */
export async function orNull(promise) {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof ApiError || error.name === "AbortError") return null;
    throw error;
  }
}

function abortable(promise, signal) {
  if (signal === null) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(new DOMException("replaced by a newer request", "AbortError"));
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject);
  });
}

async function send(url, cached, generation) {
  const headers = { Accept: "application/json" };
  if (cached?.tag) headers["If-None-Match"] = cached.tag;
  let answer;
  try {
    answer = await fetch(url, { headers, cache: "no-store", credentials: "same-origin" });
  } catch {
    throw new ApiError(0, "the service does not answer; retrying");
  }
  if (answer.status === 304 && cached) {
    store(url, { ...cached, generation, at: performance.now() });
    return cached.document;
  }
  if (answer.status === 401) refused();
  if (!answer.ok) throw await readError(answer);
  const document = await answer.json();
  store(url, { tag: answer.headers.get("ETag"), document, generation, at: performance.now() });
  return document;
}

function store(url, answer) {
  answers.delete(url);
  answers.set(url, answer);
  if (answers.size > MAX_CACHED) answers.delete(answers.keys().next().value);
}

/** The error of an answer that is not OK, with the sentence of its problem document. */
export async function readError(answer) {
  const retryAfter = Number(answer.headers.get("Retry-After")) || null;
  try {
    const problem = await answer.json();
    return new ApiError(answer.status, String(problem.detail), retryAfter);
  } catch {
    return new ApiError(answer.status, `the service answered ${answer.status} without a reason`, retryAfter);
  }
}
