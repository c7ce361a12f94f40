// The presenter window, from the side of the lecture: it is opened, told where we are, and heard when it leads on.
/** @import { Lesson, Presented } from "./wire" */
import { make, token } from "./dom.js";
import * as lesson from "./lesson.js";
import { language, say } from "./words.js";

/** A name that another lecture in this browser does not have. */
const room = token();

/** @type {Lesson[]} */
let lessons = [];

/** Where we are, as the presenter window shows it. */
/** @returns {Presented} */
const presented = () => {
  const { lesson: at, step: number, revealed } = lesson.here();
  const { title, question, explanation, notes, right, choices } = lesson.step();
  const next = lesson.upcoming();
  return {
    lesson: lessons[at].title, title, question, explanation, notes, revealed, target: lesson.target(),
    right: right ? `${right}: ${choices[right - 1]}` : "", place: lesson.isSummary() ? "" : say("Step {number} of {count}", { number: number + 1, count: lessons[at].steps.length }),
    next: next && { title: next.title, question: next.question },
  };
};

/** {button, blocked, tell(lessons)}: what opens the window, the way on where the browser blocks it, and telling it where we are. */
export const presenter = () => {
  const channel = new BroadcastChannel(`lecture-${room}`);
  const address = new URL(`presenter.html#lang=${language()}&room=${room}`, import.meta.url).href;
  const link = make("a", { href: address, target: `presenter-${room}`, text: say("Open the presenter window") });
  const blocked = make("p", { class: "blocked", role: "alert", hidden: true }, say("The browser blocked the window."), " ", link);
  link.addEventListener("click", () => { blocked.hidden = true; });
  const open = () => {
    const opened = window.open(address, `presenter-${room}`, "popup,width=900,height=640");
    blocked.hidden = Boolean(opened);
    opened?.focus();
  };
  const button = make("button", { type: "button", class: "presenter", text: say("Presenter"), title: `${say("Next step, notes and clock in a window of your own")} (P)`, "aria-keyshortcuts": "P", onclick: open });
  channel.addEventListener("message", ({ data }) => {
    if (data === "here") channel.postMessage(presented());
    else if (data === "forward") lesson.forward();
    else if (data === "backward") lesson.backward();
  });
  addEventListener("pagehide", () => channel.postMessage("gone"));
  return { button, blocked, open, tell: (/** @type {Lesson[]} */ all) => {
    lessons = all;
    channel.postMessage(presented());
  } };
};
