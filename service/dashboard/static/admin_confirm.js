// The dialog before every write: one sentence, Cancel in focus, and one request for each confirmed click.

import { ApiError } from "./api.js";
import { setText } from "./dom.js";
import { send } from "./session.js";

const PART = (dialog, name) => dialog.querySelector(`#confirm-${name}`);

/** An id of 32 hex digits; `crypto.randomUUID` is missing on plain http. */
function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Whether the same request may succeed later. */
function isTemporary({ status }) {
  return status === 0 || status === 429 || status >= 500;
}

/** Confirms writes and sends them. */
export class Confirm {
  /** changed: called after each answer. */
  constructor(dialog, changed) {
    this.dialog = dialog;
    this.changed = changed;
    this.attempt = null;
    this.reason = PART(dialog, "reason");
    this.refused = PART(dialog, "refused");
    PART(dialog, "cancel").addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => this.#leave());
    dialog.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send(this.attempt);
    });
  }

  /**
   * Opens the dialog for a write.
   *
   * action: {title, what, verb, method, path, body, hasReason, isRepeatable, outcomes, row, accepted}: `what` says in one
   * sentence what will happen; `row` names what was clicked in a table; `accepted(document)` returns a sentence for an
   * answer that is no run request. A request that is not repeatable may be done twice if it is sent twice.
   */
  open(action) {
    this.attempt = { action, id: null, sent: null, error: null, isSending: false };
    setText(PART(this.dialog, "title"), action.title);
    setText(PART(this.dialog, "what"), action.what);
    setText(PART(this.dialog, "send"), action.verb);
    setText(this.refused, "");
    this.reason.value = "";
    this.reason.required = Boolean(action.hasReason);
    PART(this.dialog, "why").hidden = !action.hasReason;
    this.dialog.showModal();
    PART(this.dialog, "cancel").focus();
  }

  async #send(attempt) {
    if (attempt === null || attempt.isSending) return;
    const { action } = attempt;
    const body = action.hasReason ? { ...action.body, reason: this.reason.value.trim() } : (action.body ?? null);
    const text = JSON.stringify(body);
    if (attempt.sent !== text) Object.assign(attempt, { id: newId(), sent: text }); // the same key repeats the same request
    attempt.isSending = true;
    setText(this.refused, "");
    try {
      const headers = { "Idempotency-Key": attempt.id, "X-Request-ID": attempt.id };
      const { document, requestId } = await send(action.method, action.path, body, headers);
      attempt.error = null;
      const sentence = action.accepted?.(document) ?? null;
      action.outcomes.add({ row: action.row, request: sentence === null ? document : null, sentence, requestId });
      this.#close(attempt);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#refuse(attempt, error);
    } finally {
      attempt.isSending = false;
    }
    await this.changed();
  }

  #refuse(attempt, error) {
    const { action } = attempt;
    const isShown = this.attempt === attempt && this.dialog.open;
    if (isShown && action.isRepeatable !== false && isTemporary(error)) {
      attempt.error = error.sentence; // shown in the page if the dialog is left
      setText(this.refused, error.sentence);
      setText(PART(this.dialog, "send"), "Try again");
      return;
    }
    const hint = action.isRepeatable === false && isTemporary(error) ? " It may have been done: see the list before you repeat it." : "";
    attempt.error = null;
    this.#close(attempt);
    action.outcomes.add({ row: action.row, sentence: error.sentence + hint, isRefused: true });
  }

  #close(attempt) {
    if (this.attempt === attempt && this.dialog.open) this.dialog.close();
  }

  #leave() {
    const attempt = this.attempt;
    this.attempt = null;
    if (attempt?.error) attempt.action.outcomes.add({ row: attempt.action.row, sentence: attempt.error, isRefused: true });
  }
}
