// Light, dark, or the system's theme; the choice is stored in this browser.

import { $, setAttribute, setText } from "./dom.js";

const KEY = "tplus-theme";
const NEXT = { auto: "light", light: "dark", dark: "auto" };
const WORDS = { auto: "as the system", light: "light", dark: "dark" };
const system = window.matchMedia("(prefers-color-scheme: dark)");

let chosen = read();

/** The current theme, "light" or "dark". */
export function theme() {
  if (chosen !== "auto") return chosen;
  return system.matches ? "dark" : "light";
}

/** Applies the stored theme and follows the button and the system; `changed` is called after a change. */
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
    // without storage the choice lasts until the page is closed
  }
}
