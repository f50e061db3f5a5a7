// Alert subscriptions: added with a secret that is shown once, tested, removed.

import { get } from "./api.js";
import { fillActions } from "./admin_outcomes.js";
import { Newest } from "./collapsible.js";
import { $, setAttribute, setText } from "./dom.js";
import { instant, word } from "./format.js";
import { permits } from "./session.js";

const COLUMNS = [
  { label: "Subscription", kind: "wide" },
  { label: "Events", kind: "reason" },
  { label: "Target", kind: "reason" },
  { label: "Deliveries", kind: "text" },
];

/** The form, the secret of a new subscription, and the table. */
export class Subscriptions {
  constructor({ confirm, outcomes, reload }) {
    Object.assign(this, { confirm, outcomes, page: null, fault: null });
    this.table = $("subscriptions");
    this.form = $("add-subscription");
    this.kinds = $("subscription-kinds");
    this.scope = $("subscription-scope");
    this.scopeKind = $("subscription-scope-kind");
    this.newest = new Newest("subscriptions", reload);
    this.secret = $("secret");
    this.box = $("secret-box");
    this.kinds.addEventListener("click", (event) => toggle(event.target));
    this.scopeKind.addEventListener("change", () => this.#paintScope());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#add();
    });
    $("secret-copy").addEventListener("click", () => this.#copy());
    $("secret-done").addEventListener("click", () => this.#hideSecret());
    this.#paintScope();
  }

  /** Reads the subscriptions; throws ApiError. */
  async read() {
    this.page = await get("/v1/subscriptions", { limit: this.newest.limit });
  }

  /** Paints the table. */
  paint() {
    if (this.page === null) {
      if (this.fault) fillActions(this.table, { caption: "Not read", columns: COLUMNS, rows: [], none: this.fault }, this.outcomes);
      return;
    }
    const rows = this.page.items.map((item) => ({
      key: item.id,
      cells: [
        { text: `${item.id} ${item.name}`, note: `${item.created_by}, ${instant(item.created_at)}` },
        { text: item.kinds.map(word).join(", "), note: coverWords(item) },
        item.target_shown,
        { text: `${item.delivered} delivered, ${item.pending} pending, ${item.dead} dead`, note: item.last_error ?? "", mark: item.dead > 0 ? "failed" : null },
      ],
      actions: [
        { label: "Test", name: `Send a test to ${item.name}`, run: () => this.#test(item), isDisabled: !permits("run") },
        { label: "Remove", name: `Remove the subscription ${item.name}`, run: () => this.#remove(item) },
      ],
    }));
    const none = "No subscription yet.";
    fillActions(this.table, { caption: "Newest first; a test needs the scope run", columns: COLUMNS, rows, none }, this.outcomes);
    this.newest.paint(this.page);
    this.outcomes.paint();
  }

  #paintScope() {
    const kind = this.scopeKind.value;
    $("subscription-scope-field").hidden = kind === "all";
    setText($("subscription-scope-label"), kind === "group" ? "Group" : "Symbol");
    setAttribute(this.scope, "list", kind === "group" ? "known-groups" : null);
    this.scope.required = kind !== "all";
    if (kind === "all") this.scope.value = "";
  }

  #add() {
    const kinds = [...this.kinds.querySelectorAll("[aria-pressed=true]")].map((button) => button.dataset.event);
    if (kinds.length === 0) {
      this.outcomes.add({ row: null, sentence: "Choose at least one kind of event.", isRefused: true });
      return;
    }
    const name = $("subscription-name").value.trim();
    const body = { name, kinds, interval: Number($("subscription-interval").value), target: $("subscription-target").value.trim() };
    const kind = this.scopeKind.value;
    if (kind !== "all") body[kind] = this.scope.value.trim();
    const covered = kind === "all" ? "all symbols" : `the ${kind} ${body[kind]}`;
    this.confirm.open({
      title: `Add ${name}`,
      what: `Alerts about ${covered} (${kinds.map(word).join(", ")}) are sent to the target from now on.`,
      verb: "Add",
      method: "POST",
      path: "/v1/subscriptions",
      body,
      isRepeatable: false,
      outcomes: this.outcomes,
      row: null,
      accepted: (document) => this.#added(document),
    });
  }

  #added(document) {
    this.form.reset();
    for (const button of this.kinds.querySelectorAll("button")) setAttribute(button, "aria-pressed", "false");
    this.#paintScope();
    this.secret.value = document.secret ?? "";
    this.box.hidden = !document.secret;
    setText($("secret-copied"), "");
    return `Subscription ${document.id} ${document.name} was added.`;
  }

  #remove(item) {
    this.confirm.open({
      title: `Remove ${item.name}`,
      what: `The subscription ${item.name} and its target are deleted, and its ${item.pending} pending deliveries are dropped.`,
      verb: "Remove",
      method: "DELETE",
      path: `/v1/subscriptions/${item.id}`,
      outcomes: this.outcomes,
      row: item.id,
      accepted: () => `Subscription ${item.id} ${item.name} was removed.`,
    });
  }

  #test(item) {
    this.confirm.open({
      title: `Test ${item.name}`,
      what: `A test message is sent to ${item.target_shown} by the scheduler.`,
      verb: "Send",
      method: "POST",
      path: `/v1/subscriptions/${item.id}/test`,
      isRepeatable: false,
      outcomes: this.outcomes,
      row: item.id,
      accepted: (document) => `A test was queued as ${document.message_id}; the counts of the subscription show its delivery.`,
    });
  }

  async #copy() {
    this.secret.select();
    try {
      await navigator.clipboard.writeText(this.secret.value);
      setText($("secret-copied"), "Copied.");
    } catch {
      setText($("secret-copied"), "Press Ctrl+C: the browser permits no copy by a button here."); // plain http, or refused
    }
  }

  #hideSecret() {
    this.secret.value = "";
    this.box.hidden = true;
    $("subscriptions-heading").focus({ preventScroll: true });
  }
}

function toggle(button) {
  if (button.dataset.event) setAttribute(button, "aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
}

function coverWords(item) {
  const covered = item.scope_kind === "all" ? "all symbols" : `${item.scope_kind} ${item.scope}`;
  return item.kinds.includes("close_left_interval") ? `${covered}, ${item.interval} % interval` : covered;
}
