// The numbers of the maps that are shown: rows of attention out of answers and banks.
/** @import { AttentionMap, Answered, MapOnPicture, Move, RowsOfQueries, Sinks, Size, Weights } from "./wire" */
/** @import { Blob, Row } from "./modules" */
/** @import { Place } from "./view" */
import { cell, forward } from "./geometry.js";
import { floats, numbers } from "./numbers.js";
import * as questions from "./question.js";
import { isAnswered, now } from "./shown.js";

/** @typedef {"before" | "after"} When */
/** @typedef {{values: Float32Array, heads: number, prefix?: number, mean?: boolean}} Rows */

const pins = () => questions.get().pins;
const stays = () => questions.get().pin === "place";

/** Name of the token that asks in this map: a pin's number, or a prefix token where that is wanted and there. */
/** @param {AttentionMap} map @param {number} pin */
export const asker = (map, pin) => (now.look.token && map.prefix.length ? map.prefix[0] : String(map.query_grid ? pin : 0));

/** @type {Sinks} */
const NONE = { cells: [], share: 0 };
/** The sinks of a head of a map, -1 for the mean, before (0) or after (1) a move. */
/** @param {AttentionMap} map @param {number} head @param {number} side @returns {Sinks} */
export const sinksOf = (map, head, side) => map.sinks[side]?.[head + 1] ?? NONE;
/** Whether it is not known which cells of the map that a row shows are sinks. */
/** @param {Row} row */
export const lacksSinks = ({ data, map }) => isAnswered(data) && map !== null && Boolean(data.maps[map]?.sinks.includes(null));
/** A map's values with nothing where its sinks are. */
/** @param {Float32Array} values @param {Sinks} sinks */
export const withoutSinks = (values, { cells }) => {
  const left = Float32Array.from(values);
  for (const cell of cells) left[cell] = NaN;
  return left;
};

/** Where a pin asks from, "before" or "after" a move; null where the place has left the picture. */
/** @param {Move} move @param {number} pin @param {When} when @returns {Place | null} */
export const askedFrom = (move, pin, when) => {
  const place = pins()[pin] || pins()[0];
  return when === "before" || stays() ? place : forward(move, place);
};

/** The rows of every head of one map in one frame: {values, heads, prefix, mean}; null for none, undefined for not here. */
/** @param {Answered} row @param {number} number @param {When} when @param {number} pin @returns {Rows | null | undefined} */
export const rowsOf = (row, number, when, pin) => {
  const { answer, bank } = now;
  const map = row.maps[number];
  // The numbers of a row of an earlier answer went with that answer.
  if (!answer?.rows.includes(row) || !map.grid) return undefined;
  const name = asker(map, pin);
  const index = when === "before" ? 0 : 1;
  const late = bank && bank.key === answer.key ? bank.rows[answer.rows.indexOf(row)].maps[number] : null;
  const token = map.prefix.includes(name);
  const asked = answer.pins[pin];
  const here = pins()[pin] || pins()[0];
  const same = token || !map.query_grid
    || (asked && answer.pin === questions.get().pin && cell(here, map.query_grid) === cell(asked, map.query_grid)
      && (when === "before" || sameCell(row.move, here, asked, map.query_grid)));
  if (same) {
    const banked = late?.rows && /** @type {RowsOfQueries} */ (late.rows)[name]?.[index];
    if (bank && banked) return { values: floats(bank.blob, banked), heads: banked.s[0], prefix: banked.prefix };
    const reference = map.rows[name]?.[index];
    if (!reference) return null;
    return { values: floats(answer.blob, reference), heads: reference.s[0], prefix: reference.prefix, mean: reference.s[0] < map.heads };
  }
  const place = askedFrom(row.move, pin, when);
  if (!place) return null;
  if (!bank || !map.query_grid || !late?.keys || (when === "before" && !answer.identity)) return undefined;
  return everyRow(map, map.query_grid, late, bank.blob, place);
};

/** Whether two places ask from the same cell of the moved picture too. */
/** @param {Move} move @param {Place} one @param {Place} two @param {Size} grid */
const sameCell = (move, one, two, grid) => {
  if (stays()) return true;
  const [a, b] = [forward(move, one), forward(move, two)];
  return a && b ? cell(a, grid) === cell(b, grid) : a === b;
};

/** One query's weights of one head: as they were computed, or the softmax of its product with every key. */
/** @param {Weights} late @param {Blob} blob @param {number} group @param {number} head @param {number} position */
const weigh = (late, blob, group, head, position) => {
  if (late.weights) {
    const [, heads, count, width] = late.weights.s;
    return floats(blob, late.weights, ((group * heads + head) * count + position) * width, width);
  }
  const [, heads, count, depth] = late.q.s;
  const [, keyHeads, width] = late.k.s;
  const query = floats(blob, late.q, ((group * heads + head) * count + position) * depth, depth);
  const keys = floats(blob, late.k, (group * keyHeads + (keyHeads > 1 ? head : 0)) * width * depth, width * depth);
  const row = new Float32Array(width);
  let most = -Infinity;
  for (let i = 0, at = 0; i < width; i++) {
    let product = 0;
    for (let j = 0; j < depth; j++, at++) product += query[j] * keys[at];
    row[i] = product * late.scale;
    if (row[i] > most) most = row[i];
  }
  let sum = 0;
  for (let i = 0; i < width; i++) sum += (row[i] = Math.exp(row[i] - most));
  for (let i = 0; i < width; i++) row[i] /= sum;
  return row;
};

/** Every head's row of a place out of a bank. */
/** @param {MapOnPicture} map @param {Size} grid @param {Weights} late @param {Blob} blob @param {Place} place */
const everyRow = (map, grid, late, blob, place) => {
  const { keys, queries } = late;
  const wanted = cell(place, grid);
  const [, heads, count] = (late.weights || late.q).s;
  const table = numbers(blob, queries);
  const [keyGroups, width] = keys.s;
  const cells = map.grid[0] * map.grid[1];
  const values = new Float32Array(heads * cells);
  let prefix = 0;
  let found = false;
  // A place that several groups ask from has the sum of their rows.
  for (let at = table.indexOf(wanted); at >= 0; at = table.indexOf(wanted, at + 1)) {
    found = true;
    const group = Math.floor(at / count);
    const code = numbers(blob, keys, keyGroups > 1 ? group * width : 0, width);
    for (let head = 0; head < heads; head++) {
      const row = weigh(late, blob, group, head, at % count);
      for (let i = 0; i < width; i++) {
        if (code[i] >= 0) values[head * cells + code[i]] += row[i];
        else if (code[i] <= -2) prefix += row[i] / heads;
      }
    }
  }
  if (!found) return null;
  return { values, heads, prefix: map.prefix.length ? prefix : undefined };
};
