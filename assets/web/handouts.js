// A lesson on paper: a button that offers its handout with answers and without, as PDF.
/** @import { Trigger } from "./modules" */
/** @import { HandoutAsked } from "./wire" */
import { hear } from "./bus.js";
import { make, need } from "./dom.js";
import * as lesson from "./lesson.js";
import { say } from "./words.js";

/** {button, menu}: what opens the choice, and the choice, which stands beside it in the page. */
/** @param {Node} sign @param {Trigger} trigger */
export const handouts = (sign, trigger) => {
  const write = (/** @type {boolean} */ answers) => {
    /** @type {HandoutAsked} */
    const asked = { lesson: lesson.here().lesson, answers };
    menu.hidePopover();
    button.disabled = true;
    button.replaceChildren(say("Writing…"));
    trigger("handout", asked);
  };
  const menu = make("div", { class: "takeaway", popover: "auto", role: "group", "aria-label": say("Handout of this lesson") },
    make("button", { type: "button", text: say("Handout (PDF)"), onclick: () => write(false) }),
    make("button", { type: "button", text: say("Handout with answers (PDF)"), onclick: () => write(true) }));
  const open = () => {
    menu.showPopover();
    const at = button.getBoundingClientRect();
    menu.style.left = `${Math.max(4, Math.min(at.left, innerWidth - menu.offsetWidth - 4))}px`;
    menu.style.top = `${at.bottom + 2}px`;
    need(menu, "button").focus();
  };
  const button = make("button", { type: "button", class: "further", "aria-label": say("Handout of this lesson"), title: say("This lesson on paper, with answers or without"), "aria-haspopup": "true", onclick: open }, sign);
  hear("written", (what) => {
    if (what !== "handout") return;
    button.disabled = false;
    button.replaceChildren(sign);
  });
  return { button, menu };
};
