// Texts of models in their parts, and finding names: tested in model-names.test.js.
import { msg } from "./words.js";

const SHOWN = 12;

/** "random/resnet18+mhsa@3#1" in its parts; the text stays the truth, the selects only edit it. */
/** @param {string} text */
export const split = (text) => {
  const match = /^(random\/|lab\/)?(.*?)(?:\+([A-Za-z0-9_]+)(?:@(\d*))?)?(#\d+)?$/.exec(text.trim());
  const [, origin = "", backbone = "", block = "", stage = "", seed = ""] = match || [];
  return { origin, backbone, block, stage, seed };
};

/** The text of such parts. */
/** @param {ReturnType<typeof split>} parts */
export const join = ({ origin, backbone, block, stage, seed }) =>
  origin + backbone + (block ? `+${block}${stage ? `@${stage}` : ""}` : "") + seed;

/** Set-ups of the laboratory's models, by how their names are spelled. */
const SETUPS = new Map([["", msg("centred")], ["-aug", msg("any place and size")], ["-cue", msg("two cues agree")], ["detect+", msg("detection")]]);

/** "lab/mhsa-aug#1" in its parts; null for what is none of the laboratory's. */
/** @param {string} text */
export const splitLab = (text) => {
  const match = /^lab\/(detect\+)?([A-Za-z0-9_]+)(?:\(([^()]*)\))?(-aug|-cue)?(?:#(\d+))?$/.exec(text.trim());
  return match && { setup: match[3] || SETUPS.get(match[1] || match[4] || "") || "", block: match[2], seed: match[5] || "0" };
};

/** Names that hold every word typed; those that begin with it first, then the shorter ones; `short` for none typed. */
/** @param {string} text @param {string[]} names @param {string[]} short */
export const search = (text, names, short) => {
  const { origin, backbone } = split(text);
  const laboratory = origin === "lab/";
  const words = (laboratory ? text : backbone).toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return short;
  const own = short.filter((name) => words.every((word) => name.toLowerCase().includes(word)));
  const found = names.filter((name) => words.every((word) => name.includes(word)));
  found.sort((a, b) => Number(b.startsWith(words[0])) - Number(a.startsWith(words[0])) || a.length - b.length || (a < b ? -1 : 1));
  return [...new Set([...own, ...found.slice(0, SHOWN).map((name) => (laboratory || name.startsWith("lab/") ? name : origin + name))])].slice(0, SHOWN);
};
