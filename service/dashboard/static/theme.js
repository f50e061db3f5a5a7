// Light, dark, or the system's theme; the choice is stored in this browser.

import { $, setAttribute, setText } from "./dom.js";

const KEY = "tplus-theme";
const NEXT = { auto: "light", light: "dark", dark: "auto" };
const WORDS = { auto: "as the system", light: "light", dark: "dark" };
const system = window.matchMedia("(prefers-color-scheme: dark)");

let selected = read();

/** The current theme, "light" or "dark". */
export function theme() {
  if (selected !== "auto") return selected;
  return system.matches ? "dark" : "light";
}

/** Applies the stored theme and follows the button and the system; `changed` is called after a change. */
export function startTheme(changed) {
  let shown = theme();
  const show = () => {
    setAttribute(document.documentElement, "data-theme", selected === "auto" ? null : selected);
    setText($("theme"), `Theme: ${selected}`);
    setAttribute($("theme"), "aria-label", `Theme: ${selected}, ${WORDS[selected]}; press for ${NEXT[selected]}`);
    if (theme() !== shown) {
      shown = theme();
      changed(shown);
    }
  };
  $("theme").addEventListener("click", () => {
    selected = NEXT[selected];
    write(selected);
    show();
  });
  system.addEventListener("change", show);
  show();
}

function read() {
  try {
    const stored = localStorage.getItem(KEY);
    return stored in NEXT ? stored : "auto";
  } catch {
    return "auto"; // storage is disabled
  }
}

function write(value) {
  try {
    localStorage.setItem(KEY, value);
  } catch {
    // without storage the choice lasts until the page is closed
  }
}
