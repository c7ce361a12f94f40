// What stands open where there is room, and is folded on a phone.
import { make } from "./dom.js";

const phone = matchMedia("(max-width: 600px)");

/** A part under a heading; `name`: its class, for the styles. */
/** @param {string} name @param {string | Node} heading @param {...Node} children */
export const folding = (name, heading, ...children) => make("details", { class: `folding ${name}`, open: !phone.matches }, make("summary", {}, heading), ...children);

phone.addEventListener("change", () => {
  for (const one of /** @type {NodeListOf<HTMLDetailsElement>} */ (document.querySelectorAll("details.folding"))) one.open = !phone.matches;
});
