// Groups and calendars that the fields of the admin section suggest.

import { get } from "./api.js";
import { $, element, reuse, setAttribute } from "./dom.js";

const MOST = 500;

/** Names in use: those of the first symbols, and those seen since. */
export class Known {
  constructor() {
    this.groups = new Set();
    this.calendars = new Set();
    this.lists = { groups: $("known-groups"), calendars: $("known-calendars") };
    this.isRead = false;
  }

  /** Reads the symbols, once; throws ApiError. */
  async read() {
    if (this.isRead) return;
    this.add((await get("/v1/symbols", { active: true, limit: MOST })).items);
    this.isRead = true;
  }

  /** Adds the names of symbols or versions. */
  add(items) {
    for (const { group, calendar } of items) {
      if (group) this.groups.add(group);
      if (calendar) this.calendars.add(calendar);
    }
    for (const [name, list] of Object.entries(this.lists)) {
      reuse(list, [...this[name]].sort(), () => element("option"), (option, text) => setAttribute(option, "value", text));
    }
  }
}
