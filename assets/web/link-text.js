// A state as the part of an address behind the #, and back: tested in link-text.test.js.

//: Keys that others keep in the address.
export const FOREIGN = ["lang"];
//: Parts of a question that have a name of their own in the address; everything else is "KEY=name:value;name:value".
const ASKED = ["dx", "dy", "zoom", "angle", "flip", "border", "pins", "pin", "method", "picture"];

/** Percent signs only where an address needs them: what it says should be readable. */
/** @param {any} text @returns {string} */
const encode = (text) => encodeURIComponent(text).replace(/%(2F|40)/g, decodeURIComponent);
/** @param {Record<string, any>} fields */
const pack = (fields) => Object.entries(fields).map(([name, value]) => `${name}:${encode(typeof value === "object" ? JSON.stringify(value) : value)}`).join(";");
/** @param {string} text @returns {any} */
const parsed = (text) => { try { return JSON.parse(text); } catch { return text; } };
/** @param {string} text @returns {Record<string, any>} */
const unpack = (text) => Object.fromEntries(text.split(";").filter(Boolean).map((one) => {
  const at = one.indexOf(":");
  return [one.slice(0, at), parsed(decodeURIComponent(one.slice(at + 1)))];
}));
/** @param {{x: number, y: number}[]} pins */
const places = (pins) => pins.map(({ x, y }) => `${Number(x.toFixed(4))},${Number(y.toFixed(4))}`).join(";");
/** @param {string} text */
const unplaces = (text) => text.split(";").map((one) => { const [x, y] = one.split(",").map(Number); return { x, y }; });

/** A state as the part of an address behind the #. */
/** @param {Record<string, any>} state */
export const write = ({ models, question, ...rest }) => {
  const out = [["models", models.map(encode).join(",")]];
  for (const name of ASKED) if (name in question && !(name === "picture" && question.scene)) out.push([name, name === "pins" ? places(question.pins) : encode(question[name])]);
  if (question.scene) out.push(["scene", pack(question.scene)]);
  if (Object.keys(question.parameters).length) out.push(["parameters", pack(question.parameters)]);
  for (const [name, value] of Object.entries(rest)) {
    if (value === null || value === undefined || value === "" || (typeof value === "object" && !Object.keys(value).length)) continue;
    out.push([name, typeof value === "object" ? pack(value) : encode(value)]);
  }
  return out.map(([name, text]) => `${name}=${text}`).join("&");
};

/** The state in such a part of an address, and the names of what cannot be read, which is left out: {state, unread}. */
/** @param {string} hash */
export const read = (hash) => {
  /** @type {Record<string, any>} */
  const state = {};
  /** @type {string[]} */
  const unread = [];
  /** @type {Record<string, any>} */
  const question = {};
  for (const one of hash.replace(/^#/, "").split("&").filter(Boolean)) {
    const at = one.indexOf("=");
    const [name, text] = at < 0 ? [one, ""] : [one.slice(0, at), one.slice(at + 1)];
    if (FOREIGN.includes(name)) continue;
    try {
      if (name === "models") state.models = text.split(",").map(decodeURIComponent);
      else if (ASKED.includes(name)) question[name] = name === "pins" ? unplaces(text) : parsed(decodeURIComponent(text));
      else if (name === "scene" || name === "parameters") question[name] = unpack(text);
      else state[name] = text.includes(":") ? unpack(text) : parsed(decodeURIComponent(text));
    } catch {
      unread.push(name);
    }
  }
  if ("picture" in question && !question.scene) question.scene = null;
  if (Object.keys(question).length) state.question = question;
  return { state, unread };
};
