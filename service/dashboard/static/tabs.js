// Tabs below the chart: one panel is shown; arrow keys move between the tabs.

import { $, setAttribute } from "./dom.js";

/** Handles the tabs; `choose(name)` is called when another one is selected. */
export function startTabs(choose) {
  $("tabs").addEventListener("click", (event) => {
    if (event.target.dataset.tab) choose(event.target.dataset.tab);
  });
  $("tabs").addEventListener("keydown", (event) => {
    const tabs = [...$("tabs").children]; // signing in and out changes them
    const at = tabs.indexOf(event.target);
    const last = tabs.length - 1;
    const to = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last }[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    tabs[to].focus();
    choose(tabs[to].dataset.tab);
  });
}

/** Shows the panel of a tab. */
export function paintTabs(name) {
  for (const tab of $("tabs").children) {
    const isSelected = tab.dataset.tab === name;
    setAttribute(tab, "aria-selected", String(isSelected));
    setAttribute(tab, "tabindex", isSelected ? null : "-1");
    $(`panel-${tab.dataset.tab}`).hidden = !isSelected;
  }
}
