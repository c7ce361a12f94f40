// The ways about the page: which tab is open, and opening one where a link leads there. Gradio is asked to open it.
import { tell } from "./bus.js";
import * as state from "./state.js";
import { say } from "./words.js";

const root = document.documentElement;

let tabNames = [];
let blockNames = [];
let biasCount = 0;
let tab = "";
let bias = 1;
let block = "";
let trigger = null; // asks gradio; null until it hears
const early = []; // what was wanted before

/** The name of the tab that is open. */
export const current = () => tab;
/** The block that is chosen in its tab, "" before that was opened. */
export const chosenBlock = () => block;

const ask = (event, data) => {
  if (trigger) trigger(event, data);
  else early.push([event, data]);
};
/** Open a tab by its name. */
export const open = (name) => { if (name !== tab) ask("tab", { name }); };

/** A tab is open now. */
export const opened = (name) => {
  if (name === tab) return;
  tab = name;
  // Stands at the root, so that styles can show what belongs to it.
  root.dataset.tab = name;
  tell("tab", name);
};
/** A bias's tab is open now. */
export const openedBias = (number) => { bias = number; tell("state"); };
/** A block is chosen now. */
export const chose = (name) => { block = name; tell("chose", name); tell("state"); };

const noTab = (name) => say("There is no tab “{name}”.", { name: String(name) });

/** Begin with what the page opens with. */
export const begin = (options) => {
  ({ tabs: tabNames, blocks: blockNames, biases: biasCount } = options);
  tab = options.opens;
  root.dataset.tab = tab;
  state.keep("tab", current, (name) => {
    if (!tabNames.includes(name)) return noTab(name);
    open(name);
    return "";
  });
  state.keep("bias", () => (tab === "biases" ? bias : ""), (number) => {
    if (!Number.isInteger(number) || number < 1 || number > biasCount) return noTab(number);
    ask("bias", { number });
    return "";
  });
  state.keep("block", () => (tab === "blocks" ? block : ""), (name) => {
    if (!blockNames.includes(name)) return say("There is no block “{name}”.", { name: String(name) });
    ask("block", { name });
    return "";
  });
};

/** Gradio hears its parts from now on. */
export const heard = (ways) => {
  trigger = ways;
  for (const [event, data] of early.splice(0)) trigger(event, data);
};
