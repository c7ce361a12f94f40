// Which models are chosen: 1 to 6 texts such as "random/resnet18+mhsa@3#1", the first of which says in whose pixels a move is.
/** @import { ModelsOptions } from "./wire" */
import { tell } from "./bus.js";
import * as state from "./state.js";
import { say } from "./words.js";

let most = 0;
/** @type {string[]} */
let texts = [];
/** @type {(texts: string[]) => void} */
let publish = () => {};

/** The texts of the chosen models. */
export const models = () => texts;
export const mostModels = () => most;

/** Choose models, and ask them. */
/** @param {string[]} chosen */
export const set = (chosen) => {
  if (JSON.stringify(chosen) === JSON.stringify(texts)) return;
  texts = chosen.slice(0, most);
  publish([...texts]);
  tell("models", texts);
  state.did();
};
/** Put another model in a place. */
/** @param {number} index @param {string} text */
export const replace = (index, text) => set(texts.map((one, at) => (at === index ? text : one)));

/** Begin with these models; `out` hands them on to gradio. */
/** @param {{first: string[], options: ModelsOptions, out: (texts: string[]) => void}} start */
export const begin = ({ first, options, out }) => {
  ({ most } = options);
  texts = [...first];
  publish = out;
  state.keep("models", () => [...texts], (given) => {
    if (!Array.isArray(given) || !given.length || given.length > most) return say("1 to {most} models can be shown.", { most });
    set(given.map((text) => String(text).trim()));
    return "";
  });
};
