// A visitor's own set of pictures: which layout is expected, and what came of what was brought.
/** @import { Handles } from "./modules" */
/** @import { BroughtOptions, BroughtSet } from "./wire" */
import { tell } from "./bus.js";
import { make, need } from "./dom.js";
import { say } from "./words.js";

/** @param {HTMLElement} element @param {Pick<Handles<unknown, BroughtOptions>, "options" | "props" | "watch">} handles */
export const brought = (element, { options: { bias, layout }, props, watch }) => {
  const status = make("p", { role: "status", class: "came" });
  need(element, ".part").replaceChildren(make("p", { class: "hint", text: say(layout) }), status);
  watch("value", () => {
    if (typeof props.value !== "string" || !props.value) return;
    /** @type {BroughtSet} */
    const set = JSON.parse(props.value);
    status.textContent = [say("Read: {words}. Press Measure.", { words: say(set.words) }), ...set.notes.map((one) => say(one))].join(" ");
    tell(`brought-${bias}`, set);
    // The same set brought once more is an event too.
    props.value = "";
  });
};
