// Who is signed in, and requests that write. Other modules use `session`, `onSession` and `write`.

import { address, ApiError, forgetAnswers, onRefused, readError } from "./api.js";

const SIGNED_OUT = { signedIn: false, name: null, scopes: [], expiresAt: null, renewAt: null };
const MAX_TIMER_MS = 6 * 3600 * 1000;
const MARGIN_MS = 1000;

/** The current session: {signedIn, name, scopes, expiresAt, renewAt}; scopes are also those without a key. */
export const session = { ...SIGNED_OUT };

const changes = new EventTarget();
let reading = null;
let timer = null;

/** Calls `callback(session)` whenever name or scopes change. */
export function onSession(callback) {
  changes.addEventListener("change", () => callback(session));
}

/** Whether a scope is permitted: "read", "run" or "admin". */
export function permits(scope) {
  return session.scopes.includes(scope);
}

/** Reads who is signed in, which also renews an old session; an error leaves the state as it is. */
export function readSession() {
  reading ??= write("GET", "/v1/session")
    .then(take, () => {})
    .finally(() => {
      reading = null;
    });
  return reading;
}

/** Signs in with a key; throws ApiError with the reason if it is refused. */
export async function signIn(key) {
  take(await write("POST", "/v1/session", { key }));
}

/** Signs out; throws ApiError. */
export async function signOut() {
  try {
    await write("DELETE", "/v1/session");
  } catch (error) {
    if (error.status !== 401) throw error; // the session had ended before
  }
  await readSession();
}

/**
 * Sends a request that writes and returns its answer as parsed JSON, null without one; throws ApiError.
 *
 * The browser adds the cookie and Origin. `headers` may hold an Idempotency-Key.
 */
export async function write(method, path, body = null, headers = {}) {
  return (await send(method, path, body, headers)).document;
}

/** Sends a request as `write` does, and returns {document, requestId}; rows of the audit have the same id. */
export async function send(method, path, body = null, headers = {}) {
  const given = { Accept: "application/json", ...headers };
  if (body !== null) given["Content-Type"] = "application/json";
  let answer;
  try {
    // Mode "cors", the default: in mode "same-origin" browsers leave Origin out where no referrer is sent.
    answer = await fetch(address(path), {
      method,
      headers: given,
      body: body === null ? undefined : JSON.stringify(body),
      cache: "no-store",
      credentials: "same-origin",
    });
  } catch {
    throw new ApiError(0, "the service does not answer; try again");
  }
  if (answer.status === 401 && path !== "/v1/session") readSession();
  if (!answer.ok) throw await readError(answer);
  const requestId = answer.headers.get("X-Request-ID");
  return { document: answer.status === 204 ? null : await answer.json(), requestId };
}

function take(document) {
  const before = key(session);
  Object.assign(session, {
    signedIn: document.signed_in,
    name: document.name,
    scopes: document.scopes,
    expiresAt: document.expires_at,
    renewAt: document.renew_at,
  });
  clearTimeout(timer);
  if (session.signedIn && (session.renewAt || session.expiresAt)) timer = setTimeout(readSession, untilNext());
  if (key(session) === before) return;
  forgetAnswers();
  changes.dispatchEvent(new Event("change"));
}

function key({ signedIn, name, scopes }) {
  return JSON.stringify([signedIn, name, scopes]);
}

/** Milliseconds until the session is renewed or ends; machine time may differ from this browser's clock. */
function untilNext() {
  const times = [session.renewAt, session.expiresAt].filter(Boolean).map((text) => Date.parse(text) - Date.now());
  const ahead = times.filter((ms) => ms > 0);
  const next = ahead.length > 0 ? Math.min(...ahead) + MARGIN_MS : MAX_TIMER_MS;
  return Math.min(next, MAX_TIMER_MS);
}

onRefused(readSession);
