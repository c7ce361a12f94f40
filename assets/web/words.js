// In which language is the page, and what is a text in it? A text is a template, looked up as it stands in the page's
// table, and then filled in: nothing is parsed. explorer/messages.py does the same on the server.

// ---- which language

let own = "en";
/** @type {Record<string, string>} */
let names = { en: "English" }; // language code -> its name in that language

/** The code of the page's language. */
export const language = () => own;
export const languageNames = () => names;

const asked = () => location.hash.slice(1).split("&").filter((one) => one.startsWith("lang=")).map((one) => one.slice(5)).pop();
/** A language code of the page for a browser's "zh-CN", or undefined.
 * @param {unknown} tag */
const known = (tag) => Object.keys(names).find((code) => String(tag).toLowerCase().split("-")[0] === code);

/** The language that gradio shows its own texts in: it goes by the browser's, and knows Chinese by its region only. */
export const gradiosLanguage = () => {
  const [code, region] = String(navigator.language || "").toLowerCase().split("-");
  return known(code) && (code === "en" || region) ? code : "en";
};

/** Choose the language, the address's or the browser's, and learn its texts from beside this file.
 * @param {Record<string, string>} languages code -> its name in that language */
export const begin = async (languages) => {
  names = languages;
  own = known(asked()) || [...navigator.languages, navigator.language].map(known).find(Boolean) || "en";
  document.documentElement.lang = own;
  addEventListener("hashchange", () => {
    const other = known(asked());
    if (other && other !== own) location.reload();
  });
  if (own === "en") return;
  const answer = await fetch(new URL(`texts-${own}.json`, import.meta.url));
  const told = await answer.json();
  learn(told);
};

/** Take a table, as `table` of explorer/ui/words.py makes it.
 * @param {{texts: Record<string, string | string[]>, plurals: number[], names: string[]}} told */
export const learn = (told) => {
  table = new Map(Object.entries(told.texts));
  forms = told.plurals;
  classes = new Set(told.names);
};

/** Show the page in another language; everything else in its address stays.
 * @param {string} code */
export const setLanguage = (code) => {
  const chosen = known(code);
  if (!chosen || chosen === own) return;
  const kept = location.hash.slice(1).split("&").filter((one) => one && !one.startsWith("lang="));
  history.replaceState(history.state, "", `#${[...kept, `lang=${chosen}`].join("&")}`);
  location.reload();
};

// ---- what a text is in it

/**
 * A text of the server's that was filled in: its template, and what stands in its places. A message among these is said
 * too; a string is a name and stays. One that counts has a plural and its number.
 * @typedef {{template: string, values: Record<string, string | number | Message>, plural?: string, number?: number}} Message
 */

/** @type {Map<string, string | string[]>} */
let table = new Map(); // English template -> its translation, or those of its plural forms
/** @type {number[]} */
let forms = []; // which form a number takes; beyond the list they repeat every hundred
/** @type {Set<string>} */
let classes = new Set(); // of scenes: names that are translated

const PLACE = /\{(\w+)\}/g;

/** Mark a text that is said later: `msg("Scale")` is "Scale", and is found by those who gather texts.
 * @param {string} text */
export const msg = (text) => text;

/** @param {number} count */
const form = (count) => (Number.isInteger(count) ? forms[count < forms.length ? count : 100 + (count % 100)] : forms[2]) ?? 0;

/** @param {string} template @param {string | undefined} plural @param {number} count */
const found = (template, plural, count) => {
  const known = table.get(template);
  if (typeof known === "string") return known;
  if (known) return known[form(count)];
  return plural && count !== 1 ? plural : template;
};

/** @param {string} template @param {Record<string, unknown>} values */
const fill = (template, values) => template.replace(PLACE, (whole, name) => (Object.hasOwn(values, name) ? written(values[name]) : whole));
/** @param {unknown} value */
const written = (value) => (value !== null && typeof value === "object" ? say(/** @type {Message} */ (value)) : String(value));

/**
 * A text in the language of the page: a template of this page's own with its values, or a message of the server's.
 * @param {string | Message} text
 * @param {Record<string, unknown>} [values]
 * @returns {string}
 */
export const say = (text, values) => {
  if (typeof text === "string") {
    const template = found(text, undefined, 1);
    return values ? fill(template, values) : template;
  }
  return fill(found(text.template, text.plural, text.number ?? 1), text.values);
};

const NUMBERED = /^(.*?)( \(\d+\))?$/s;
/** The name of a class: those of scenes in the language of the page, others as they are.
 * @param {string} label */
export const sayClass = (label) => {
  const [, name, number = ""] = NUMBERED.exec(label) ?? [label, label];
  return classes.has(name) ? say(name) + number : label;
};

/** A text as a sentence: errors begin with a small letter, for a terminal.
 * @param {string | Message} text */
export const sentence = (text) => {
  const said = say(text).trim();
  return said.slice(0, 1).toUpperCase() + said.slice(1);
};

/** Say the names that nobody sees in markup that came with the page, each as it stands.
 * @param {Element} element */
export const sayLabels = (element) => {
  for (const one of element.querySelectorAll("[aria-label]")) {
    // What was filled in goes along beside it.
    const told = one.getAttribute("data-label");
    one.setAttribute("aria-label", say(told ? JSON.parse(told) : one.getAttribute("aria-label") ?? ""));
  }
};
