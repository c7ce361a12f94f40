// The board of a sweep: a page of its own in a frame, with its own code and style. Its links open views on this page.
/** @import { Handles } from "./modules" */
/** @import { BoardOptions } from "./wire" */
import { make, need } from "./dom.js";
import { say } from "./words.js";

/** It may run its own script, save a table and lead this page to a view, and nothing else. */
const ALLOWED = "allow-scripts allow-downloads allow-top-navigation-by-user-activation";

/** @param {HTMLElement} element @param {Pick<Handles<unknown, BoardOptions>, "options">} handles */
export const board = (element, { options }) => {
  const frame = make("iframe", { title: say("The board of a sweep: models and measures") });
  frame.setAttribute("sandbox", ALLOWED);
  frame.src = new URL(options.file, import.meta.url).href;
  need(element, ".part").replaceChildren(frame);
};
