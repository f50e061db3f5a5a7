// The admin section: symbols, run requests, model versions, subscriptions and the audit.

import { $ } from "./dom.js";
import { ApiError, invalidate, orNull } from "./api.js";
import { Audit } from "./admin_audit.js";
import { Confirm } from "./admin_confirm.js";
import { Known } from "./admin_known.js";
import { Models } from "./admin_models.js";
import { Outcomes } from "./admin_outcomes.js";
import { Requests } from "./admin_requests.js";
import { Subscriptions } from "./admin_subscriptions.js";
import { Symbols } from "./admin_symbols.js";

/** The section: its tab, its panel and its dialog, made from the template of the page. */
export class Admin {
  constructor() {
    const made = $("admin-template").content.cloneNode(true);
    this.tab = made.querySelector("[role=tab]");
    this.panel = made.querySelector("[role=tabpanel]");
    this.dialog = made.querySelector("dialog");
    $("tabs").append(this.tab);
    $("tabs").parentElement.append(this.panel);
    document.body.append(this.dialog);
    this.known = new Known();
    this.confirm = new Confirm(this.dialog, () => this.#reload());
    const reload = () => this.show();
    const part = (Part, id) => new Part({ confirm: this.confirm, known: this.known, outcomes: new Outcomes($(`${id}-outcome`)), reload });
    this.requests = part(Requests, "requests");
    this.parts = [part(Symbols, "symbols"), this.requests, part(Models, "versions"), part(Subscriptions, "subscriptions")];
    for (const { outcomes } of this.parts) outcomes.words = (request) => this.requests.words(request);
    this.audit = new Audit(reload);
  }

  /** Reads and paints everything; a part that cannot be read keeps what it shows. */
  async show() {
    const held = this.panel.contains(document.activeElement) ? document.activeElement : null;
    const heading = held?.closest("section")?.querySelector("h2");
    await Promise.all([this.known, ...this.parts].map(readPart));
    await Promise.all(this.parts.map(({ outcomes }) => orNull(this.requests.follow(outcomes))));
    await orNull(this.audit.read(this.parts.map(({ outcomes }) => outcomes)));
    for (const part of this.parts) part.paint();
    const isLost = held !== null && (!held.isConnected || held.closest("[hidden]"));
    if (isLost && document.activeElement === document.body) heading?.focus({ preventScroll: true });
  }

  /** Takes an event of /v1/events; the page reads the section again after events other than progress. */
  handleEvent(kind, document) {
    if (kind !== "run" && kind !== "progress") return;
    this.requests.take(kind, document);
    for (const { outcomes } of this.parts) outcomes.paint();
  }

  /** Removes the section from the page. */
  close() {
    if (this.dialog.open) this.dialog.close();
    for (const node of [this.tab, this.panel, this.dialog]) node.remove();
  }

  /** Called after each write. */
  async #reload() {
    invalidate();
    await this.show();
  }
}

/** Reads a part; `fault` is the reason why it could not be read. */
async function readPart(part) {
  part.fault = null;
  try {
    await part.read();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    part.fault = error.sentence;
  }
}
