// In which language is the page, and what is a text in it? English texts are the keys; explorer/ui/words.py does the same
// on the server, step by step.

// ---- which language

let own = "en";
let names = { en: "English" }; // language code -> its name in that language

/** The code of the page's language. */
export const language = () => own;
export const languageNames = () => names;

const asked = () => location.hash.slice(1).split("&").filter((one) => one.startsWith("lang=")).map((one) => one.slice(5)).pop();
/** A language code of the page for a browser's "zh-CN", or undefined. */
const known = (tag) => Object.keys(names).find((code) => String(tag).toLowerCase().split("-")[0] === code);

/** The language that gradio shows its own texts in: it goes by the browser's, and knows Chinese by its region only. */
export const gradiosLanguage = () => {
  const [code, region] = String(navigator.language || "").toLowerCase().split("-");
  return known(code) && (code === "en" || region) ? code : "en";
};

/** Choose the language, the address's or the browser's, and learn its texts from beside this file. */
export const begin = async (languages) => {
  names = languages;
  own = known(asked()) || [...navigator.languages, navigator.language].map(known).find(Boolean) || "en";
  document.documentElement.lang = own;
  addEventListener("hashchange", () => { if (known(asked()) && known(asked()) !== own) location.reload(); });
  if (own === "en") return;
  const answer = await fetch(new URL(`texts-${own}.json`, import.meta.url));
  const told = await answer.json();
  learn(told.texts, told.names);
  watchMarked();
};

/** Take a table: English text -> translation, and the classes of scenes, whose names are translated. */
export const learn = (texts, classNames) => {
  table = new Map(Object.entries(texts));
  classes = new Set(classNames);
};

/** Show the page in another language; everything else in its address stays. */
export const setLanguage = (code) => {
  if (!known(code) || known(code) === own) return;
  const kept = location.hash.slice(1).split("&").filter((one) => one && !one.startsWith("lang="));
  history.replaceState(history.state, "", `#${[...kept, `lang=${known(code)}`].join("&")}`);
  location.reload();
};

// ---- what a text is in it

let table = new Map();
const PLACE = /\{(\w+)\}/g;
const SENTENCE = /(?<=[.!?])\s+(?=[A-Z“(])/;
const PROSE = /\b[a-z]{2,} [a-z]{2,} [a-z]{2,}\b/;
const CUTS = ["\n", ". ", "; ", ": ", " · ", ", "];
//: Places that hold names, of which only those of scenes' classes, and what is no single word, are translated.
const NAMES = new Set(["label", "before", "after", "target", "model", "layer", "path", "spec", "block", "blocks", "mode"]);
let classes = new Set();
const SIGN = /^(.*\S) ([-+↑↓])$/s;
const NUMBERED = /^(.*?)( \(\d+\))?$/s;
const ASIDE = /^([^()]*[^() ]) \(([^()]*[a-z]{2}[^()]*)\)$/;
const FIXED_LETTERS = 4;
const LONG = 9;
const [NOTHING, SEVERAL, LISTED] = [/(?!)/, /; /, /\n|\. |; |: | · |, /];
const VALUE = /^([-+]?\d[\d.e+-]*(?: %)?(?: \([^()]*\))?) ([A-Za-z].*)$/s;
const RANGE = /(\d) to (?=[-+]?\d)/g;
const KEPT = 4096;

const fill = (text, values) => text.replace(PLACE, (whole, name) => (Object.hasOwn(values, name) ? values[name] : whole));

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
let compiled = null;
/** Patterns of the keys that have places, those with the most fixed text first. */
const templates = () => {
  if (compiled) return compiled;
  const fixed = (key) => [...key.replace(PLACE, "")].length;
  const letters = (key) => (key.replace(PLACE, "").match(/[A-Za-z]/g) || []).length;
  const keys = [...table.keys()].filter((key) => key.search(PLACE) >= 0 && letters(key) >= FIXED_LETTERS);
  keys.sort((a, b) => fixed(b) - fixed(a) || (a < b ? -1 : 1));
  compiled = keys.map((key) => ({
    pattern: new RegExp(`^${key.split(/\{\w+\}/).map(escaped).join("(.*?)")}$`, "s"),
    names: [...key.matchAll(PLACE)].map((found) => found[1]),
    translation: table.get(key),
    refused: !key.startsWith("{") ? NOTHING : letters(key) < LONG ? LISTED : SEVERAL,
  }));
  return compiled;
};

/** Ways in which a text may stand in the table, and the end that was taken off: errors are made sentences of. */
const variants = (text) => {
  const small = text.slice(0, 1).toLowerCase() + text.slice(1);
  const found = [[text, ""]];
  if (small !== text) found.push([small, ""]);
  if (text.endsWith(".") && text.length > 1) {
    found.push([text.slice(0, -1), "."]);
    if (small !== text) found.push([small.slice(0, -1), "."]);
  }
  return found;
};
const ended = (text, end) => (end ? text + (table.get(end) ?? end) : text);
/** Sentences one behind the other; after a full-width stop there is no space. */
const joined = (sentences) => sentences.reduce((said, one) => said + (!said || "。！？）".includes(said.at(-1)) ? one : ` ${one}`), "");

/** A composed text: as a whole, by a template, sentence by sentence, or in pieces. */
const composed = (text) => {
  for (const [one, end] of variants(text)) if (table.has(one)) return ended(table.get(one), end);
  for (const [one, end] of variants(text)) {
    for (const { pattern, names, translation, refused } of templates()) {
      const found = pattern.exec(one);
      if (!found || found.slice(1).some((part) => SENTENCE.test(part) || refused.test(part))) continue;
      return ended(fill(translation, Object.fromEntries(names.map((name, at) => [name, said(name, found[at + 1])]))), end);
    }
  }
  const signed = SIGN.exec(text);
  if (signed) return `${translate(signed[1])} ${signed[2]}`;
  const sentences = text.split(SENTENCE);
  if (sentences.length > 1) return joined(sentences.map(translate));
  for (const cut of CUTS) {
    if (!text.includes(cut)) continue;
    const parts = cut === ": " ? [text.slice(0, text.indexOf(cut)), text.slice(text.indexOf(cut) + cut.length)] : text.split(cut);
    const said = parts.map(translate);
    // Of a list that has names in it nothing is translated; otherwise no prose may stay English beside Chinese.
    const left = parts.filter((one, at) => one === said[at]);
    if (left.length < parts.length && !left.some((one) => cut === ", " || PROSE.test(one))) return said.join(table.get(cut) ?? cut);
  }
  const aside = ASIDE.exec(text);
  // One word is a name: of a block, of a layer.
  if (aside) return `${aside[1].includes(" ") ? translate(aside[1]) : aside[1]} (${translate(aside[2])})`;
  const measured = VALUE.exec(text);
  return measured ? `${measured[1]} ${translate(measured[2])}` : text;
};
const cache = new Map();
const translate = (text) => {
  if (!table.size) return text;
  let found = cache.get(text);
  if (found === undefined) {
    if (cache.size >= KEPT) cache.clear();
    const inner = text.trim();
    const lead = text.length - text.trimStart().length;
    if (inner !== text) found = inner ? text.slice(0, lead) + translate(inner) + text.slice(lead + inner.length) : text;
    else found = composed(text).replace(RANGE, `$1${table.get(" to ") ?? " to "}`);
    cache.set(text, found);
  }
  return found;
};

/** The name of a class: those of scenes in the language of the page, others as they are. */
export const sayClass = (label) => {
  const [, name, number = ""] = NUMBERED.exec(label);
  return classes.has(name) ? translate(name) + number : label;
};
/** What stands in a place. */
const said = (name, value) => {
  if (typeof value !== "string") return String(value);
  if (!NAMES.has(name)) return translate(value);
  const found = sayClass(value);
  return found === value && value.includes(" ") ? table.get(value) ?? value : found;
};

/** An English text, its {names} filled in, in the language of the page; texts that are filled in are said themselves. */
export const say = (text, values = {}) => {
  const names = Object.keys(values);
  const found = table.get(text) ?? (names.length ? text : translate(text));
  return fill(found, Object.fromEntries(names.map((name) => [name, said(name, values[name])])));
};

/** Say what stands in markup that the server wrote: texts, and the names that nobody sees. */
export const sayWithin = (element) => {
  if (!table.size) return;
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const said = translate(node.data);
    if (said !== node.data) node.data = said;
  }
  for (const name of ["aria-label", "title", "placeholder", "alt"]) {
    for (const one of element.querySelectorAll(`[${name}]`)) {
      const said = translate(one.getAttribute(name));
      if (said !== one.getAttribute(name)) one.setAttribute(name, said);
    }
  }
};

// Gradio's own components with texts of the server in them, which it draws as they come: those marked "say", and its alerts.
const MARKED = ".say, [role=alert]";
const watchMarked = () => {
  for (const one of document.querySelectorAll(MARKED)) sayWithin(one);
  new MutationObserver((changes) => {
    const touched = new Set();
    for (const { target, addedNodes } of changes) {
      const marked = (target.nodeType === 1 ? target : target.parentElement)?.closest(MARKED);
      if (marked) touched.add(marked);
      for (const node of addedNodes) if (node.nodeType === 1) for (const one of [node, ...node.querySelectorAll(MARKED)]) if (one.matches(MARKED)) touched.add(one);
    }
    touched.forEach(sayWithin);
  }).observe(document.body, { childList: true, subtree: true, characterData: true });
};
