// The panel of a lesson: what a step asks, the bet, its reveal, two sentences and a formula.
/** @import { Handles, Trigger } from "./modules" */
/** @import { BlockCosts, BoxesServer, DrawnBoxes, LectureOptions, Lesson } from "./wire" */
import { beside } from "./boxes.js";
import { hear } from "./bus.js";
import { costChart } from "./cost-chart.js";
import { childrenOf, make, need, svg, write } from "./dom.js";
import { handouts } from "./handouts.js";
import * as lesson from "./lesson.js";
import { asking } from "./live.js";
import { presenter } from "./presenting.js";
import { isAnswered, now } from "./shown.js";
import * as sight from "./sight.js";
import { predicted, summary } from "./summary.js";
import { countsOf, follow, toggle, voting } from "./vote.js";
import { language, msg, say } from "./words.js";

const root = document.documentElement;
//: In the menu, the lessons that fill a lecture.
const COURSE = "course";
//: Three bars, a screen on a foot, and a written sheet.
const [VOTE, WINDOW, SHEET] = ["M3 14V9M8 14V2M13 14V6", "M2 3h12v8H2zM5 14h6M8 11v3", "M3 1.5h7l3 3v10H3zM5.5 7.5h5M5.5 10.5h5"];

/** @param {string} path @param {string} fill */
const sign = (path, fill = "none") => {
  const drawn = svg("svg", { viewBox: "0 0 16 16", width: "1em", height: "1em", "aria-hidden": "true" });
  drawn.append(svg("path", { d: path, fill: "none", stroke: "currentColor", "stroke-width": 1.6 }));
  if (fill !== "none") drawn.append(svg("path", { d: path.slice(path.indexOf("M", 1)), fill }));
  return drawn;
};
/** @param {string} label @param {string} title @param {string} keys @param {() => void} onclick @param {string} name */
const button = (label, title, keys, onclick, name) => make("button", { type: "button", class: name, text: say(label), title: `${say(title)} (${keys})`, "aria-keyshortcuts": keys, onclick });

/** The line of buttons: {element, show()}. */
/** @param {Lesson[]} lessons @param {LectureOptions["course"]} course @param {(HTMLElement | undefined)[]} further buttons */
const buttons = (lessons, course, ...further) => {
  const open = () => { if (menu.value === COURSE) lesson.openCourse(); else lesson.openLesson(Number(menu.value)); menu.blur(); };
  const menu = make("select", { "aria-label": say("Lesson"), onchange: open },
    ...lessons.map(({ title }, at) => make("option", { value: at, text: title })),
    make("option", { value: COURSE, text: say("Course: {count} lessons, {minutes} minutes", { count: course.lessons.length, minutes: course.minutes }) }));
  const progress = make("span", { class: "progress", role: "status" });
  const title = make("h2", { class: "step" });
  const previous = button("←", msg("Take the reveal back, then the step before"), "ArrowLeft", lesson.backward, "turn");
  const next = button("→", msg("Reveal, then the next step"), "ArrowRight", lesson.forward, "turn");
  const uncover = button(msg("Reveal"), msg("Show what happens"), "Enter", lesson.reveal, "main uncover");
  const tried = button(msg("Try it yourself"), msg("Open this under Compare"), "T", lesson.tryIt, "try");
  const dark = button("", msg("Light or dark"), "D", lesson.theme, "sign");
  const full = button("", msg("Full screen"), "F", lesson.fullscreen, "sign");
  dark.append(sign("M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13M8 1.5v13a6.5 6.5 0 0 0 0-13", "currentColor"));
  full.append(sign("M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4"));
  const named = { [msg("Back")]: previous, [msg("Next")]: next, [msg("Light or dark")]: dark, [msg("Full screen")]: full };
  for (const [name, one] of Object.entries(named)) one.setAttribute("aria-label", say(name));
  return {
    element: make("div", { class: "bar" }, menu, progress, title, previous, uncover, next, ...further, tried, dark, full),
    show: () => {
      const { lesson: at, step: number, revealed } = lesson.here();
      const count = lessons[at].steps.length;
      menu.value = lesson.here().course && !number && !revealed ? COURSE : String(at);
      write(progress, lesson.isSummary() ? "" : say("Step {number} of {count}", { number: number + 1, count }));
      write(title, lesson.step().title);
      uncover.disabled = revealed;
      tried.hidden = !lesson.step().after;
      uncover.hidden = lesson.isSummary();
      tried.disabled = !revealed;
      previous.disabled = !revealed && !at && !number;
      next.disabled = lesson.isOver();
    },
  };
};

/** What is bet on: {element, show(anew), bet(number)}. */
const bets = () => {
  const element = make("div", { class: "choices", role: "group", "aria-label": say("Your bet") });
  let taken = 0;
  const marks = () => {
    const { revealed } = lesson.here();
    const counts = revealed ? countsOf(lesson.here()) : null;
    const all = counts ? counts.reduce((sum, one) => sum + one, 0) : 0;
    childrenOf(element, HTMLButtonElement).forEach((one, at) => {
      one.setAttribute("aria-pressed", String(taken === at + 1));
      one.classList.toggle("right", revealed && lesson.step().right === at + 1);
      one.disabled = revealed;
      one.querySelector(".bets")?.remove();
      if (counts && all) one.append(make("span", { class: "bets", style: `--share: ${counts[at] / all}`, text: say("{count} of {all}", { count: counts[at], all }) }));
    });
  };
  const bet = (/** @type {number} */ number) => {
    if (lesson.here().revealed || number > lesson.step().choices.length) return;
    taken = number;
    predicted(number);
    marks();
  };
  return { element, bet, show: (/** @type {boolean} */ anew) => {
    if (anew) {
      taken = 0;
      element.replaceChildren(...lesson.step().choices.map((choice, at) => make("button", { type: "button", onclick: () => bet(at + 1) },
        make("kbd", { text: at + 1 }), make("span", { text: choice }))));
    }
    marks();
  } };
};

/** The formula of a step: {element, show()}. Formulas are set by gradio, unseen, in the order of lessons and steps. */
/** @param {Lesson[]} lessons */
const formulas = (lessons) => {
  const element = make("div", { class: "formula" });
  let count = 0;
  const numbers = lessons.map(({ steps }) => steps.map(({ formula }) => (formula ? count++ : -1)));
  /** A formula that is wider than its place is set smaller. */
  const fit = () => {
    const inner = element.querySelector(".katex");
    if (!(inner instanceof HTMLElement)) return;
    inner.style.fontSize = "";
    const wide = need(inner, ".katex-html").scrollWidth;
    if (element.clientWidth && wide > element.clientWidth) inner.style.fontSize = `${Math.max(0.55, element.clientWidth / wide)}em`;
  };
  const show = () => {
    const { lesson: at, step } = lesson.here();
    const number = numbers[at][step];
    const set = document.querySelectorAll("#lecture-formulas .katex-display")[number];
    if (number < 0) element.replaceChildren();
    else if (set) {
      element.replaceChildren(set.cloneNode(true));
      fit();
    }
    element.hidden = number < 0;
  };
  // They are set a moment after the tab is first opened.
  const seen = new MutationObserver(() => { if (lesson.isInside()) show(); });
  const look = () => {
    const place = document.querySelector("#lecture-formulas");
    if (place) { seen.observe(place, { childList: true, subtree: true }); if (lesson.isInside()) show(); } else setTimeout(look, 50);
  };
  look();
  return { element, show, fit };
};

/** The chart of a step that has one: {element, show(), learn(costs)}. */
/** @param {Record<string, string>} colours @param {Element} letters @param {Trigger} trigger */
const charts = (colours, letters, trigger) => {
  const element = make("div", { class: "chart" });
  /** @type {Record<string, BlockCosts> | null} */
  let costs = null;
  let asking = false;
  const show = () => {
    const { cost } = lesson.step();
    element.hidden = !cost;
    if (!cost) { element.replaceChildren(); return; }
    if (!costs) {
      element.replaceChildren(make("p", { class: "wait", text: say("Counting…") }));
      if (!asking) { asking = true; trigger("costs"); }
      return;
    }
    const tall = root.dataset.lecture === "chart" && matchMedia("(min-width: 900px) and (min-height: 520px)").matches;
    const height = tall ? Math.max(220, sight.bottom() - element.getBoundingClientRect().top - 14) : 340;
    const size = parseFloat(getComputedStyle(letters).fontSize) * 0.72;
    element.replaceChildren(costChart(cost, costs, colours, lesson.here().revealed, { width: element.clientWidth, height, size }));
  };
  return { element, show, learn: (/** @type {unknown} */ text) => {
    if (typeof text !== "string" || !text) return;
    costs = JSON.parse(text);
    if (lesson.isInside()) show();
  } };
};

/** The boxes of a step that has some: {element, show()}. The models answer when the first such step is looked at. */
/** @param {BoxesServer} server */
const found = (server) => {
  const element = make("div", { class: "boxes" });
  /** @type {DrawnBoxes | null} */
  let drawn = null;
  let [asked, problem] = [false, ""];
  const ask = asking(server.boxes, {
    deliver: (/** @type {string} */ text) => { drawn = JSON.parse(text); show(); },
    failed: (why) => { [asked, problem] = [false, why]; show(); },
    told: true,
  });
  const show = () => {
    const { boxes } = lesson.isInside() ? lesson.step() : { boxes: null };
    element.hidden = !boxes;
    if (!boxes) { element.replaceChildren(); return; }
    if (!drawn) {
      element.replaceChildren(make("p", { class: "wait", text: problem || say("Looking for objects…") }));
      if (!asked && !problem) { asked = true; ask(() => ({})); }
      problem = "";
      return;
    }
    element.replaceChildren(beside(drawn, boxes.scene - 1, boxes.blocks, !lesson.here().revealed));
    // As large as the window leaves room for.
    element.style.setProperty("--side", `${Math.max(180, sight.bottom() - element.getBoundingClientRect().top - 14)}px`);
  };
  return { element, show };
};

/** What is said of a lesson whose models are not on the server yet: {element, show()}. */
/** @param {Lesson[]} lessons @param {LectureOptions["missing"]} missing */
const needs = (lessons, missing) => {
  const element = make("p", { class: "needs", role: "status", hidden: true });
  /** @type {Set<string>} that have answered since */
  const here = new Set();
  const show = () => {
    const left = (missing[lessons[lesson.here().lesson].name] ?? []).filter((one) => !here.has(one));
    element.hidden = !left.length;
    write(element, left.length ? say("The weights of {models} are not on this server yet. They are fetched once, when a step shows them; for a lecture without network run “explorer fetch --lessons” before.", { models: left.join(", ") }) : "");
  };
  hear("answered", () => {
    for (const { asked } of (now.answer?.rows ?? []).filter(isAnswered)) here.add(asked);
    if (lesson.isInside()) show();
  });
  return { element, show };
};

/** The lessons in the language of the page, from beside this file.
 * @param {Record<string, string>} files @returns {Promise<Lesson[]>} */
const fetched = async (files) => {
  const answer = await fetch(new URL(files[language()] ?? files.en, import.meta.url));
  if (!answer.ok) throw new Error(`lessons: ${answer.status}`);
  return answer.json();
};

/** Draw the panel. */
/** @param {HTMLElement} element @param {Pick<Handles<unknown, LectureOptions, BoxesServer>, "options" | "trigger" | "props" | "watch" | "server">} handles */
export const lecture = async (element, { options, trigger, props, watch, server }) => {
  const panel = need(element, ".part");
  const { files, colours, vote, course, missing } = options;
  const lessons = await fetched(files).catch(() => null);
  if (!lessons) {
    panel.append(make("p", { class: "wait", text: say("The lessons could not be fetched. Load the page again when the server can be reached.") }));
    return;
  }
  const choices = bets();
  const votes = vote ? voting(() => choices.show(false)) : null;
  const present = presenter();
  // Their names are said and shown on hovering: the title of a step needs the room.
  for (const [one, path] of /** @type {[HTMLElement | undefined, string][]} */ ([[votes?.button, VOTE], [present.button, WINDOW]])) {
    if (!one) continue;
    one.setAttribute("aria-label", one.textContent ?? "");
    one.classList.add("further");
    one.replaceChildren(sign(path));
  }
  const paper = handouts(sign(SHEET), trigger);
  const line = buttons(lessons, course, votes?.button, present.button, paper.button, paper.menu);
  const summed = summary(lessons);
  const formula = formulas(lessons);
  const done = make("span", { class: "done" });
  const question = make("p", { class: "question" });
  const chart = charts(colours, question, trigger);
  const boxes = found(server);
  const needed = needs(lessons, missing);
  const waiting = make("p", { class: "wait", text: say("Predict first, then reveal.") });
  const explanation = make("p", { class: "explanation" });
  const sources = make("p", { class: "sources", translate: "no" });
  const answer = make("div", { class: "answer", "aria-live": "polite" }, make("div", { class: "said" }, explanation, sources), formula.element);
  const problem = make("p", { class: "problem", role: "alert", hidden: true });
  panel.replaceChildren(line.element, make("div", { class: "line" }, done), question, make("div", { class: "betting" }, choices.element, votes?.strip),
    make("div", { class: "slot" }, waiting, answer), present.blocked, problem, needed.element, chart.element, boxes.element, summed.element);
  if (votes) document.body.append(votes.card);
  // Who clicks goes on with the keys: Enter reveals, whatever was clicked last.
  panel.addEventListener("click", (event) => { if (event.detail > 0 && document.activeElement instanceof HTMLButtonElement) document.activeElement.blur(); });
  root.style.setProperty("--predict", JSON.stringify(say("Predict first")));

  let drawn = "";
  let told = { at: "", words: "" }; // what was said of this step's link
  const update = (/** @type {string[]} */ problems = []) => {
    const { lesson: at, step: number, revealed } = lesson.here();
    const one = lesson.step();
    const key = `${at} ${number}`;
    line.show();
    choices.show(drawn !== key);
    drawn = key;
    done.style.width = `${(100 * Math.min(number + 1, lessons[at].steps.length)) / lessons[at].steps.length}%`;
    write(question, one.question);
    write(explanation, one.explanation);
    write(sources, one.sources.join(" · "));
    panel.classList.toggle("revealed", revealed);
    answer.setAttribute("aria-hidden", String(!revealed));
    write(problem, [...(told.at === key ? [told.words] : []), ...problems].join(" "));
    problem.hidden = !problem.textContent;
    formula.show();
    chart.show();
    boxes.show();
    needed.show();
    summed.show();
    follow();
    present.tell(lessons);
  };
  // The head of the page, which tells such things elsewhere, is not shown here.
  hear("notice", (words) => {
    if (!lesson.isInside() || !words) return;
    const { lesson: at, step: number } = lesson.here();
    told = { at: `${at} ${number}`, words };
    update();
  });

  watch("value", () => chart.learn(props.value));
  chart.learn(props.value);
  let resized = 0;
  const again = () => { cancelAnimationFrame(resized); resized = requestAnimationFrame(() => { if (lesson.isInside()) { chart.show(); boxes.show(); formula.fit(); } }); };
  new ResizeObserver(again).observe(panel);
  addEventListener("resize", again);
  lesson.begin(lessons, course.lessons, { update, bet: choices.bet, vote: vote ? toggle : () => {}, present: present.open });
};
