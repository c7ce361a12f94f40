// The ways about the page: which tab is open, and opening one where a link leads there. Gradio is asked to open it.
/** @import { Trigger } from "./modules" */
/** @import { WaysOptions } from "./wire" */
import { tell } from "./bus.js";
import { isThere } from "./live.js";
import * as state from "./state.js";
import { say } from "./words.js";

const root = document.documentElement;

/** @type {string[]} */
let tabNames = [];
/** @type {string[]} */
let blockNames = [];
/** @type {string[]} */
let foldNames = [];
/** @type {string[]} */
let probeNames = [];
let biasCount = 0;
let tab = "";
let bias = 1;
let probe = "";
let block = "";
let fold = "";
let wanted = ""; // the fold that a link leads to
let wantedProbe = ""; // the probe, whose tab may be drawn later
/** @type {Trigger | null} asks gradio; null until it hears */
let trigger = null;
/** @type {[string, unknown][]} what was wanted before */
const early = [];

/** The name of the tab that is open. */
export const current = () => tab;
/** The block that is chosen in its tab, "" before that was opened. */
export const chosenBlock = () => block;

/** @param {string} event @param {unknown} data */
const ask = (event, data) => {
  if (trigger) trigger(event, data);
  else early.push([event, data]);
};
/** Open a tab by its name. */
/** @param {string} name */
export const open = (name) => { if (name !== tab) ask("tab", { name }); };

/** A tab is open now. */
/** @param {string} name */
export const opened = (name) => {
  if (name === tab) return;
  tab = name;
  // Stands at the root, so that styles can show what belongs to it.
  root.dataset.tab = name;
  tell("tab", name);
};
/** A bias's tab is open now. */
/** @param {number} number */
export const openedBias = (number) => { bias = number; tell("state"); };
/** The probe that a link leads to, or "". */
export const leadsTo = () => wantedProbe;
/** A bias that is seen shows this probe, "" where nobody chose one. */
/** @param {string} name */
export const showsProbe = (name) => { if (name !== probe) { probe = name; tell("state"); } };
/** A block is chosen now. */
/** @param {string} name */
export const chose = (name) => { block = name; tell("chose", name); tell("state"); };

/** A fold of the laboratory is open, or closed. */
/** @param {string} name @param {boolean} isOpen */
export const folded = (name, isOpen) => {
  if (isOpen) fold = name;
  else if (fold === name) fold = "";
  tell("state");
};

/** @param {unknown} name */
const noTab = (name) => say("There is no tab “{name}”.", { name: String(name) });

/** Bring what a link leads to to the top of the screen: whenever something above it is drawn, until the visitor acts. */
export const arrived = () => {
  if (wanted) document.getElementById(`lab-${wanted}`)?.scrollIntoView({ block: "start" });
};
const stay = () => { wanted = ""; };
for (const act of ["wheel", "touchmove", "pointerdown", "keydown"]) addEventListener(act, stay, { capture: true, passive: true });

/** Begin with what the page opens with. */
/** @param {WaysOptions} options */
export const begin = (options) => {
  ({ tabs: tabNames, blocks: blockNames, biases: biasCount, probes: probeNames, folds: foldNames } = options);
  tab = options.opens;
  root.dataset.tab = tab;
  state.keep("tab", current, (name) => {
    if (typeof name !== "string" || !tabNames.includes(name)) return noTab(name);
    open(name);
    return "";
  });
  state.keep("bias", () => (tab === "biases" ? bias : ""), (number) => {
    if (typeof number !== "number" || !Number.isInteger(number) || number < 1 || number > biasCount) return noTab(number);
    ask("bias", { number });
    return "";
  });
  state.keep("probe", () => (tab === "biases" ? probe : ""), (name) => {
    if (typeof name !== "string" || !probeNames.includes(name)) return say("There is no probe “{name}”.", { name: String(name) });
    probe = wantedProbe = name;
    tell("probe", name);
    return "";
  });
  state.keep("block", () => (tab === "blocks" ? block : ""), (name) => {
    if (typeof name !== "string" || !blockNames.includes(name)) return say("There is no block “{name}”.", { name: String(name) });
    ask("block", { name });
    return "";
  });
  state.keep("fold", () => (tab === "lab" ? fold : ""), (name) => {
    if (typeof name !== "string" || !foldNames.includes(name)) return say("There is no part “{name}” of the laboratory.", { name: String(name) });
    fold = wanted = name;
    ask("fold", { name });
    return "";
  });
};

//: So long nobody has touched the page, then what draws figures is brought: evaluating it takes a while.
const REST_MS = 4000;
//: Who goes for a tab will see figures: what draws them takes longer to come than a hand to press.
const GOING = ["pointerover", "focusin"];
const TOUCHING = ["pointermove", "pointerdown", "keydown", "wheel", "touchmove"];
/** @type {ReturnType<typeof setTimeout> | undefined} */
let rest;
let brought = false;
const bring = async () => {
  clearTimeout(rest);
  // Gradio loads the page anew where it has asked a server that was away: whoever touches the page next tries again.
  if (!(await isThere()) || brought) return;
  brought = true;
  for (const act of GOING) removeEventListener(act, near);
  for (const act of TOUCHING) removeEventListener(act, restAnew, true);
  trigger?.("figures");
};
/** @param {Event} event */
const near = ({ target }) => { if (target instanceof Element && target.closest("[role=tab]")) bring(); };
const restAnew = () => {
  clearTimeout(rest);
  rest = setTimeout(bring, REST_MS);
};

/** Whether the visitor pays for what comes, or is on a phone. */
const isSparing = () => Boolean(/** @type {Navigator & {connection?: {saveData?: boolean}}} */ (navigator).connection?.saveData)
  || matchMedia("(pointer: coarse)").matches;

/** Gradio hears its parts from now on. */
/** @param {Trigger} ways */
export const heard = (ways) => {
  trigger = ways;
  for (const [event, data] of early.splice(0)) trigger(event, data);
  for (const act of GOING) addEventListener(act, near, { passive: true });
  // Megabytes that may never be needed are not brought ahead for those who count them.
  if (isSparing()) return;
  for (const act of TOUCHING) addEventListener(act, restAnew, { capture: true, passive: true });
  restAnew();
};
