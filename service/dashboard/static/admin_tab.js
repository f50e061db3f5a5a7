// The admin tab: in the page only while a key with scope admin is signed in. Its modules are loaded then.

import { onSession, permits, session } from "./session.js";

/** Adds and removes the tab with the session. */
export class AdminTab {
  /** screen: gets the section as `screen.admin`. changed: called when the tab has appeared or disappeared. */
  constructor(screen, changed) {
    this.screen = screen;
    this.changed = changed;
  }

  /** Follows the session from now on. */
  start() {
    onSession(() => this.#follow());
    this.#follow();
  }

  /** The tab that is shown for a chosen one: the first while there is no admin tab. */
  shown(tab) {
    return tab === "admin" && this.screen.admin === null ? "forecast" : tab;
  }

  async #follow() {
    const isOpen = this.screen.admin !== null;
    this.screen.admin?.close(); // another key may be signed in
    this.screen.admin = null;
    if (isOpen) this.changed();
    if (!session.signedIn || !permits("admin")) return;
    const { name } = session;
    const { Admin } = await import("./admin.js");
    if (session.name !== name || !permits("admin") || this.screen.admin !== null) return; // signed out meanwhile
    this.screen.admin = new Admin();
    this.changed();
  }
}
