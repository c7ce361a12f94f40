// What a view shows of a map that was computed before and after a move, and on which scale.
/** @import { Decoded, Drawing, Range, View } from "./modules" */
/** @import { Answered, Move } from "./wire" */
import { range } from "./colours.js";
import { pullBack } from "./geometry.js";
import { now } from "./shown.js";
import { msg } from "./words.js";

//: The ways to look at a move.
/** @type {Record<View, string>} */
export const VIEWS = { after: msg("as the models see it"), before: msg("before the move"), pulled: msg("pulled back"), difference: msg("difference") };
//: States of weights that a map has to be marked with; others stand at the head of the row.
export const MARKED = ["random", "identity-init"];

/** What a view shows of a map's two sides: {values, valid, compared}, `compared` all that has to fit one scale. */
/**
 * @param {Float32Array | null} before @param {Float32Array | null} after @param {number} rows @param {number} columns
 * @param {Move} move
 */
export const viewed = (before, after, rows, columns, move) => {
  const { view } = now.look;
  if (view === "before") return before && { values: before, valid: null, compared: after ? [before, after] : [before] };
  if (!after) return null;
  if (view === "after") return { values: after, valid: null, compared: before ? [before, after] : [after] };
  const pulled = pullBack(after, rows, columns, move);
  if (view === "pulled") return { ...pulled, compared: before ? [before, after] : [after] };
  if (!before) return null;
  const values = pulled.values.map((value, at) => (pulled.valid[at] ? value - before[at] : 0));
  return { values, valid: pulled.valid, compared: [values] };
};

/** The range of values that may be negative, as differences. */
/** @param {Range} own */
const signed = (own) => (own.map === "sequential" ? { ...own, map: "diverging", low: -own.high } : own);

/** What of a picture lies under a map: the picture as it was, but for the map of the moved one. */
/** @param {Answered} data @param {Decoded[]} images */
export const under = (data, images) => images[data.images[now.look.view === "after" ? 1 : 0]];

/** Paint the maps of all rows, those of one kind on one scale where that is wanted: look.scale "kind", or "own". */
/** @param {Drawing[]} drawings @param {boolean} shared */
export const paintAll = (drawings, shared) => {
  /** @type {Map<string, Drawing[]>} */
  const groups = new Map();
  for (const one of drawings) groups.set(one.key, [...(groups.get(one.key) || []), one]);
  for (const group of groups.values()) {
    const arrays = group.flatMap((one) => one.arrays);
    for (const one of group) {
      const own = range(shared ? arrays : one.arrays, one.fixed);
      one.paint(one.signed ? signed(own) : own);
    }
  }
};
