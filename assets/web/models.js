// Editors of the models that are chosen; they live in the heads of the answers' rows.
/** @import { ModelsOptions } from "./wire" */
import { hear } from "./bus.js";
import * as chosen from "./chosen.js";
import { combobox } from "./combobox.js";
import { make, write } from "./dom.js";
import { join, search, split, splitLab } from "./model-names.js";
import { msg, say } from "./words.js";

/** @typedef {NonNullable<ReturnType<typeof splitLab>>} Parts */
const TITLES = { block: msg("Block"), setup: msg("Set-up"), seed: msg("Seed") };
/** @type {(keyof Parts)[]} */
const PARTS = ["block", "setup", "seed"];

/** @type {string[]} */
let names = [];
/** @type {string[]} */
let short = [];
/** @type {[string, string, string][]} name, question, what it is called */
let blocks = [];
/** @type {(Parts & {text: string})[]} the laboratory's models */
let trained = [];
/** @type {ReturnType<typeof editor>[]} */
const editors = [];

/** What a block is called. */
/** @param {string} name */
export const called = (name) => say(blocks.find(([block]) => block === name)?.[2] ?? name);
/** What a model is called: one of the laboratory's by its block, any other by its name. */
/** @param {string} text */
export const nameOf = (text) => { const own = splitLab(text); return own ? called(own.block) : text; };

/** The same, with how it was trained where that is not as usual. */
/** @param {string} text */
export const titleOf = (text) => { const own = splitLab(text); return own && own.setup !== "centred" ? `${nameOf(text)} (${say(own.setup)})` : nameOf(text); };

/** Selects for the parts of a model of the laboratory: {element, show(parts)}. */
/** @param {number} index @param {() => string} current @param {(text: string) => void} commit */
const laboratory = (index, current, commit) => {
  /** The trained model with one property changed, and as many others kept as there are models for. */
  /** @param {keyof Parts} name @param {string} value */
  const relabel = (name, value) => {
    const own = splitLab(current());
    const rest = PARTS.filter((other) => other !== name);
    const likeness = (/** @type {Parts} */ one) => rest.reduce((sum, other, rank) => sum + Number(one[other] === own?.[other]) * (4 >> rank), 0);
    const found = trained.filter((one) => one[name] === value).sort((a, b) => likeness(b) - likeness(a));
    if (found.length) commit(found[0].text);
  };
  const choices = PARTS.map((name) => {
    const select = make("select", {
      "aria-label": say("{property} of model {number}", { property: say(TITLES[name]), number: index + 1 }), title: say(TITLES[name]),
      onchange: () => relabel(name, select.value),
    });
    return select;
  });
  const show = (/** @type {Parts} */ own) => PARTS.forEach((name, at) => {
    const values = [...new Set(trained.map((one) => one[name]))];
    const select = choices[at];
    if (select.dataset.values !== values.join()) {
      select.dataset.values = values.join();
      select.replaceChildren(...values.map((value) => make("option", { value, text: name === "seed" ? `#${value}` : name === "block" ? called(value) : say(value) })));
    }
    select.value = own[name];
    // A narrow select may cut its text.
    select.title = `${say(TITLES[name])}: ${name === "block" ? `${called(own.block)} (${own.block})` : say(own[name])}`;
  });
  return { element: make("div", { class: "laboratory" }, ...choices), show };
};

/** @param {number} index */
const editor = (index) => {
  const number = index + 1;
  const current = () => chosen.models()[index];
  const commit = (/** @type {string} */ text) => {
    chosen.replace(index, text);
    show();
  };
  const edit = (/** @type {Partial<ReturnType<typeof split>>} */ change) => commit(join({ ...split(current()), ...change }));
  const field = combobox(index, { search: (/** @type {string} */ text) => search(text, names, short), commit, current });
  const lab = laboratory(index, current, commit);
  const weights = make("select", { "aria-label": say("Weights of model {number}", { number }), onchange: () => edit({ origin: weights.value }) },
    make("option", { value: "", text: say("pretrained") }), make("option", { value: "random/", text: say("random") }));
  const block = make("select", { "aria-label": say("Block inserted into model {number}", { number }), title: say("attention block to insert"),
    onchange: () => edit({ block: block.value, stage: block.value ? split(current()).stage || "3" : "" }) },
  make("option", { value: "", text: say("no block") }),
  ...blocks.map(([name, title]) => make("option", { value: name, text: `+ ${name}`, title: say(title) })));
  const stage = make("input", { type: "number", min: 1, max: 99, class: "stage", "aria-label": say("Stage after which the block of model {number} stands", { number }),
    onchange: () => { if (stage.value) edit({ stage: String(Math.max(1, Math.floor(Number(stage.value)))) }); } });
  const after = make("label", { class: "after" }, make("span", { text: say("after stage") }), stage);
  // A lecture says what a model is called, and has nothing to set.
  const title = make("span", { class: "called" });
  const remove = make("button", { type: "button", class: "remove", title: say("Remove this model"), "aria-label": say("Remove model {number}", { number }), text: "×",
    onclick: () => chosen.set(chosen.models().filter((_, at) => at !== index)) });

  const show = () => {
    const text = current();
    const parts = split(text);
    field.show(text);
    write(title, titleOf(text));
    const own = trained.some((one) => one.text === text) ? splitLab(text) : null;
    lab.element.hidden = !own;
    if (own) lab.show(own);
    const fixed = parts.origin === "lab/" || / file:[0-9a-f]+$/.test(text);
    weights.hidden = block.hidden = fixed;
    weights.value = parts.origin;
    block.value = parts.block;
    stage.value = parts.stage;
    after.hidden = !parts.block || fixed;
    remove.hidden = chosen.models().length < 2;
  };
  return { show, input: field.input, remove, element: make("div", { class: "editor" },
    make("span", { class: "dot", "aria-hidden": "true" }), title, field.element, weights, block, after, lab.element) };
};

/** The editor of the model in a place: {element, remove}. */
/** @param {number} index */
export const editorOf = (index) => editors[index];

const add = make("button", { type: "button", class: "add" });
/** The button for one more model. */
export const addButton = () => add;

const draw = () => {
  const texts = chosen.models();
  while (editors.length < texts.length) editors.push(editor(editors.length));
  for (const one of editors.slice(0, texts.length)) one.show();
  add.hidden = texts.length >= chosen.mostModels();
};

/** Make the editors of what is chosen. */
/** @param {ModelsOptions} options */
export const begin = (options) => {
  ({ short, blocks } = options);
  names = options.names.split("\n");
  trained = options.lab.flatMap((text) => { const parts = splitLab(text); return parts ? [{ text, ...parts }] : []; });
  add.textContent = say("+ Add a model");
  add.addEventListener("click", () => {
    const texts = chosen.models();
    if (texts.length >= chosen.mostModels()) return;
    chosen.set([...texts, short.find((name) => !texts.includes(name)) || short[0]]);
    editors[texts.length].input.focus();
  });
  hear("models", draw);
  draw();
};
