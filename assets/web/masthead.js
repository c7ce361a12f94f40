// The head of the page: what to do here, and ways to take away what is on the screen.
/** @import { Handles, ProbeWanted } from "./modules" */
/** @import { CodeShown, MastheadOptions, OfferedFile, WrittenOptions } from "./wire" */
import { hear, tell } from "./bus.js";
import { copy, copyButton } from "./copy-button.js";
import { make, need, write } from "./dom.js";
import * as link from "./link.js";
import { offer } from "./offer.js";
import * as questions from "./question.js";
import { story } from "./story.js";
import * as ways from "./ways.js";
import { language, languageNames, say, setLanguage } from "./words.js";

/** English | 中文 */
const tongues = () => make("div", { class: "languages choice", role: "group", "aria-label": say("Language") },
  ...Object.entries(languageNames()).map(([code, name]) => make("button", { type: "button", lang: code, text: name,
    "aria-pressed": String(code === language()), onclick: () => setLanguage(code) })));

/** The probe of the bias that is open, null where there is none. */
const probeWanted = () => {
  /** @type {ProbeWanted[]} */
  const found = [];
  tell("code", (wanted) => { found.push(wanted); });
  return found[0] ?? null;
};

/** Draw the head of the page. */
/** @param {HTMLElement} element @param {Pick<Handles<null, MastheadOptions>, "options" | "trigger">} handles */
export const masthead = (element, { options, trigger }) => {
  const text = make("span");
  const said = make("p", { class: "notice", role: "status", hidden: true }, text,
    make("button", { type: "button", class: "quiet", text: say("Close"), onclick: () => { said.hidden = true; } }));
  const notice = (/** @type {string} */ words) => { write(text, words); said.hidden = !words; };
  hear("notice", notice);
  const share = make("button", { type: "button", id: "share", text: say("Copy link"), title: say("The address of exactly this view"), onclick: () => copy(link.address(), share) });
  const code = make("button", { type: "button", id: "code", text: say("Show the code"), title: say("The Python and the command line for what is on the screen"), onclick: () => {
    const probe = ways.current() === "biases" ? probeWanted() : null;
    questions.set({}, false);
    trigger("code", { probe, number: openCode() });
  } });
  const evidence = make("button", { type: "button", id: "evidence", text: say("Evidence"), title: say("A zip of what is on the screen: figures, numbers, models with their hashes, and a script and a notebook that give the same numbers"), onclick: () => {
    questions.set({}, false);
    evidence.disabled = true;
    write(evidence, say("Writing…"));
    trigger("evidence");
  } });
  hear("written", (what) => { if (what !== "evidence") return; evidence.disabled = false; write(evidence, say("Evidence")); });
  need(element, ".part").replaceChildren(make("header", {},
    make("h1", { text: "Attention Explorer" }),
    story(),
    make("div", { class: "actions" }, share, code, evidence, tongues())), said);
  notice(options.notice ? say(options.notice) : "");
};

// ---- the code of what is on the screen

let asked = 0;
let openCode = () => asked;

/** Shows code to copy: {python, command}. */
/** @param {HTMLElement} element @param {Pick<Handles, "props" | "watch">} handles */
export const code = (element, { props, watch }) => {
  const blocks = /** @type {const} */ (["python", "command"]).map((name) => {
    const text = make("pre", { tabindex: 0 });
    return { name, text, element: make("section", {}, make("header", {}, make("h3", { text: name === "python" ? "Python" : say("Command line") }), copyButton(() => text.textContent ?? "")), text) };
  });
  const dialog = make("dialog", { class: "part code", "aria-label": say("The code of what is on the screen") },
    ...blocks.map((one) => one.element), make("button", { type: "button", class: "main", text: say("Close"), onclick: () => dialog.close() }));
  need(element, ".part").append(dialog);
  // Waits for code; returns the number of the request, by which its reply is told from an earlier one's.
  openCode = () => {
    for (const { text } of blocks) write(text, say("Writing…"));
    if (!dialog.open) dialog.showModal();
    return ++asked;
  };
  watch("value", () => {
    if (typeof props.value !== "string" || !props.value) return;
    /** @type {CodeShown} */
    const found = JSON.parse(props.value);
    if (found.number !== asked) return;
    for (const { name, text } of blocks) write(text, found[name]);
  });
};

// ---- files that the server writes

/** The writing of a file is over, well or not. */
/** @param {HTMLElement} _element @param {Pick<Handles<unknown, WrittenOptions>, "watch" | "options">} handles */
export const written = (_element, { watch, options }) => watch("value", () => tell("written", options.what));

/** Save a file that gradio offers: {url, orig_name}. */
/** @param {OfferedFile | null} file */
export const save = (file) => {
  if (file?.url) offer(file.url, file.orig_name || "");
};
