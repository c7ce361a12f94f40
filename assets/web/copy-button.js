// Text that is taken along by the clipboard.
import { tell } from "./bus.js";
import { make, write } from "./dom.js";
import { say } from "./words.js";

/** Copy a text; the button that was pressed says so.
 * @param {string} text @param {HTMLElement} button */
export const copy = async (text, button) => {
  const before = button.textContent ?? "";
  try {
    await navigator.clipboard.writeText(text);
    write(button, say("Copied"));
  } catch {
    // Without leave to write to the clipboard the text stands there to be copied by hand.
    tell("notice", text);
  }
  setTimeout(() => write(button, before), 1600);
};

/** A button that copies what `text()` gives.
 * @param {() => string} text @returns {HTMLButtonElement} */
export const copyButton = (text) => {
  const button = make("button", { type: "button", text: say("Copy"), onclick: () => copy(text(), button) });
  return button;
};
