// Signing in and out: a button in the footer, and a dialog with one field for the key.

import { $, setText } from "./dom.js";
import { onSession, permits, readSession, session, signIn, signOut } from "./session.js";

const HOW = "This command, run where the service runs, creates one:";
const CLOSED = `This service shows its data only with a key. ${HOW}`;
const OPEN = `Reading needs no key here; requests and changes do. ${HOW}`;

let isRequired = false;
let isSending = false;

/** Handles the button and the dialog. */
export function startSignIn() {
  onSession(paint);
  paint();
  $("account").addEventListener("click", () => (session.signedIn ? leave() : open()));
  $("sign-in-form").addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  $("sign-in-close").addEventListener("click", () => $("sign-in").close());
  $("sign-in").addEventListener("cancel", (event) => {
    if (isRequired) event.preventDefault(); // there is nothing behind it
  });
  $("sign-in").addEventListener("close", () => {
    $("key").value = "";
    if (isRequired) open();
  });
}

/** Resolves when reads are permitted; until then the dialog is open. */
export async function requireSignIn() {
  await readSession();
  if (!permits("read")) {
    isRequired = true;
    paint();
    open();
    if (session.signedIn) refuse(lacksRead());
    await new Promise((resolve) => onSession(() => permits("read") && resolve()));
    isRequired = false;
    $("sign-in").close();
  }
  document.documentElement.dataset.signedIn = "";
}

function open() {
  setText($("sign-in-why"), isRequired ? CLOSED : OPEN);
  setText($("sign-in-refused"), "");
  $("sign-in-close").hidden = isRequired;
  if (!$("sign-in").open) $("sign-in").showModal();
  $("key").focus();
}

async function send() {
  const key = $("key").value.trim();
  if (key === "" || isSending) return;
  isSending = true;
  $("sign-in-send").disabled = true;
  setText($("sign-in-refused"), "");
  try {
    await signIn(key);
    if (isRequired && !permits("read")) refuse(lacksRead());
    else if ($("sign-in").open) $("sign-in").close();
  } catch (error) {
    refuse(`Not signed in: ${error.sentence ?? error.message}`);
  } finally {
    isSending = false;
    $("sign-in-send").disabled = false;
  }
}

async function leave() {
  try {
    await signOut();
  } catch (error) {
    setText($("who"), `Not signed out: ${error.sentence ?? error.message}`);
  }
}

function refuse(sentence) {
  setText($("sign-in-refused"), sentence);
  $("key").select();
}

function lacksRead() {
  return `The key ${session.name} lacks the scope read; sign in with another key.`;
}

function paint() {
  setText($("who"), session.signedIn ? `Signed in as ${session.name} (${session.scopes.join(", ")})` : "");
  setText($("account"), session.signedIn ? "Sign out" : "Sign in");
}
