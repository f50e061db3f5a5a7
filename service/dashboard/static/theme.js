// Light, dark, or as the system has it; the choice is kept in this browser.

import { $, setAttribute, setText } from "./dom.js";

const KEY = "tplus-theme";
const NEXT = { auto: "light", light: "dark", dark: "auto" };
const WORDS = { auto: "as the system", light: "light", dark: "dark" };
const system = window.matchMedia("(prefers-color-scheme: dark)");

let chosen = read();

/** "light" or "dark": what is shown now. */
export function theme() {
  if (chosen !== "auto") return chosen;
  return system.matches ? "dark" : "light";
}

/** Show the kept theme and follow the button and the system; `changed` is called when what is shown alters. */
export function startTheme(changed) {
  let shown = theme();
  const show = () => {
    setAttribute(document.documentElement, "data-theme", chosen === "auto" ? null : chosen);
    setText($("theme"), `Theme: ${chosen}`);
    setAttribute($("theme"), "aria-label", `Theme: ${chosen}, ${WORDS[chosen]}; press for ${NEXT[chosen]}`);
    if (theme() !== shown) {
      shown = theme();
      changed(shown);
    }
  };
  $("theme").addEventListener("click", () => {
    chosen = NEXT[chosen];
    write(chosen);
    show();
  });
  system.addEventListener("change", show);
  show();
}

function read() {
  try {
    const kept = localStorage.getItem(KEY);
    return kept in NEXT ? kept : "auto";
  } catch {
    return "auto"; // storage is switched off
  }
}

function write(value) {
  try {
    localStorage.setItem(KEY, value);
  } catch {
    // storage is switched off: the choice holds until the page is left
  }
}
