// The numbers of the maps that are shown: rows of attention out of answers and banks.
import { cell, forward } from "./geometry.js";
import { numbers } from "./numbers.js";
import * as questions from "./question.js";
import { now } from "./shown.js";

const pins = () => questions.get().pins;
const stays = () => questions.get().pin === "place";

/** Name of the token that asks in this map: a pin's number, or a prefix token where that is wanted and there. */
export const asker = (map, pin) => (now.look.token && map.prefix.length ? map.prefix[0] : String(map.query_grid ? pin : 0));

/** Where a pin asks from, "before" or "after" a move; null where the place has left the picture. */
export const askedFrom = (move, pin, when) => {
  const place = pins()[pin] || pins()[0];
  return when === "before" || stays() ? place : forward(move, place);
};

/** The rows of every head of one map in one frame: {values, heads, prefix, mean}; null for none, undefined for not here. */
export const rowsOf = (row, number, when, pin) => {
  const { answer, bank } = now;
  const map = row.maps[number];
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
    if (late?.rows?.[name]) {
      const reference = late.rows[name][index];
      if (reference) return { values: numbers(bank.blob, reference), heads: reference.s[0], prefix: reference.prefix };
    }
    const reference = map.rows[name]?.[index];
    if (!reference) return null;
    return { values: numbers(answer.blob, reference), heads: reference.s[0], prefix: reference.prefix, mean: reference.s[0] < map.heads };
  }
  const place = askedFrom(row.move, pin, when);
  if (!place) return null;
  if (!late || !(late.weights || late.q) || (when === "before" && !answer.identity)) return undefined;
  return banked(map, late, place);
};

/** Whether two places ask from the same cell of the moved picture too. */
const sameCell = (move, one, two, grid) => {
  if (stays()) return true;
  const [a, b] = [forward(move, one), forward(move, two)];
  return a && b ? cell(a, grid) === cell(b, grid) : a === b;
};

/** One query's weights of one head: as they were computed, or the softmax of its product with every key. */
const weigh = (late, group, head, position) => {
  const { blob } = now.bank;
  if (late.weights) {
    const [, heads, count, width] = late.weights.s;
    return numbers(blob, late.weights, ((group * heads + head) * count + position) * width, width);
  }
  const [, heads, count, depth] = late.q.s;
  const [, keyHeads, width] = late.k.s;
  const query = numbers(blob, late.q, ((group * heads + head) * count + position) * depth, depth);
  const keys = numbers(blob, late.k, (group * keyHeads + (keyHeads > 1 ? head : 0)) * width * depth, width * depth);
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

const banked = (map, late, place) => {
  const { keys, queries } = late;
  const wanted = cell(place, map.query_grid);
  const [, heads, count] = (late.weights || late.q).s;
  const table = numbers(now.bank.blob, queries);
  const [keyGroups, width] = keys.s;
  const cells = map.grid[0] * map.grid[1];
  const values = new Float32Array(heads * cells);
  let prefix = 0;
  let found = false;
  // A place that several groups ask from has the sum of their rows.
  for (let at = table.indexOf(wanted); at >= 0; at = table.indexOf(wanted, at + 1)) {
    found = true;
    const group = Math.floor(at / count);
    const code = numbers(now.bank.blob, keys, keyGroups > 1 ? group * width : 0, width);
    for (let head = 0; head < heads; head++) {
      const row = weigh(late, group, head, at % count);
      for (let i = 0; i < width; i++) {
        if (code[i] >= 0) values[head * cells + code[i]] += row[i];
        else if (code[i] <= -2) prefix += row[i] / heads;
      }
    }
  }
  if (!found) return null;
  return { values, heads, prefix: map.prefix.length ? prefix : undefined };
};
