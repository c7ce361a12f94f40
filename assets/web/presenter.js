// The presenter window: where the lecture is, what to say, what comes next, and the time.
/** @import { Presented } from "./wire" */
import { make, write } from "./dom.js";
import { begin, language, say } from "./words.js";

const asked = new URLSearchParams(location.hash.slice(1));
const code = asked.get("lang") ?? "en";
await begin({ en: "English", [code]: code });

const channel = new BroadcastChannel(`lecture-${asked.get("room") ?? ""}`);
/** @type {Presented | null} */
let shown = null;
let since = Date.now();

const clock = make("span", { class: "time", role: "timer" });
const passed = make("span", { role: "status" });
const where = make("p", {});
const now = make("section", {});
const next = make("section", { class: "next" });
const again = make("button", { type: "button", text: say("Start the clock again"), onclick: () => { since = Date.now(); tick(); } });
const [back, on] = [make("button", { type: "button", onclick: () => channel.postMessage("backward") }), make("button", { type: "button", onclick: () => channel.postMessage("forward") })];
document.title = say("Presenter");
document.body.replaceChildren(make("header", {}, clock, passed), where, make("main", {}, now, next), make("footer", {}, back, on, again));
write(back, `← ${say("Back")}`);

/** @param {number} minutes */
const written = (minutes) => `${Math.floor(minutes)}:${String(Math.floor((minutes * 60) % 60)).padStart(2, "0")}`;
const tick = () => {
  write(clock, new Date().toLocaleTimeString(language(), { hour: "2-digit", minute: "2-digit" }));
  if (!shown) return;
  const minutes = (Date.now() - since) / 60_000;
  const { now: target, all } = shown.target;
  write(passed, say("{passed} of {all} passed; this step should end at {target}", { passed: written(minutes), all: written(all), target: written(target) }));
  passed.classList.toggle("late", minutes > target);
};
/** A heading and a text, nothing where there is no text. */
/** @param {string} heading @param {string} text */
const part = (heading, text) => (text ? [make("h2", { text: heading }), make("p", { text })] : []);

/** @param {Presented} told */
const show = (told) => {
  shown = told;
  write(where, [told.lesson, told.place, told.revealed ? say("revealed") : say("not revealed yet")].filter(Boolean).join(" · "));
  now.replaceChildren(make("h1", { text: told.title }), ...part(say("Question"), told.question), ...part(say("Right answer"), told.right),
    ...part(say("Explanation"), told.explanation), ...part(say("Notes"), told.notes));
  next.replaceChildren(...(told.next ? [make("h2", { text: say("Next") }), make("h1", { text: told.next.title }), make("p", { text: told.next.question })] : [make("h2", { text: say("This is the end.") })]));
  write(on, told.revealed ? `${say("Next")} →` : say("Reveal"));
  tick();
};
const gone = () => {
  shown = null;
  write(where, say("The lecture is not open. Open this window from its page."));
  write(passed, "");
  for (const one of [now, next]) one.replaceChildren();
};

channel.addEventListener("message", ({ data }) => { if (data === "gone") gone(); else if (typeof data === "object") show(data); });
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || (event.target instanceof HTMLButtonElement && [" ", "Enter"].includes(event.key))) return;
  const act = { ArrowRight: "forward", PageDown: "forward", " ": "forward", ArrowLeft: "backward", PageUp: "backward" }[event.key];
  if (!act) return;
  event.preventDefault();
  channel.postMessage(act);
});
gone();
tick();
setInterval(tick, 1000);
channel.postMessage("here");
