// One map minus another, each as shares of its own weight: arithmetic alone, tested in minus.test.js.
/** @import { Cells } from "./modules" */
import { percentiles } from "./percentile.js";

/** @typedef {{values: ArrayLike<number>, rows: number, columns: number}} Cover how much of each cell something covers, 0 to 255 */

/** A map's positive values as shares of their sum; what is not valid has none, and a map without any is null. */
/** @param {Cells} map */
export const shares = ({ values, valid }) => {
  const out = Float64Array.from(values, (value, at) => ((valid && !valid[at]) || !(value > 0) ? 0 : value));
  const sum = out.reduce((total, one) => total + one, 0);
  return sum > 0 ? out.map((one) => one / sum) : null;
};

/** How much of each of `fine` parts of a length each of `coarse` parts of it covers, as a share of the coarse one. */
/** @param {number} coarse @param {number} fine */
const overlaps = (coarse, fine) => Array.from({ length: fine }, (_, to) => Array.from({ length: coarse }, (__, from) =>
  Math.max(0, Math.min((to + 1) / fine, (from + 1) / coarse) - Math.max(to / fine, from / coarse)) * coarse));

/** Shares on another grid, each spread evenly over the area of its cell, so that their sum stays. */
/** @param {Float64Array} values @param {[number, number]} from @param {[number, number]} to */
export const regrid = (values, from, to) => {
  if (from[0] === to[0] && from[1] === to[1]) return values;
  const [down, across] = [overlaps(from[0], to[0]), overlaps(from[1], to[1])];
  return Float64Array.from({ length: to[0] * to[1] }, (_, at) => {
    let total = 0;
    down[Math.floor(at / to[1])].forEach((height, row) => {
      if (height) across[at % to[1]].forEach((width, column) => { total += height * width * values[row * from[1] + column]; });
    });
    return total;
  });
};

/** The number of the cell of one grid that the middle of a cell of another lies in. */
/** @param {number} at @param {[number, number]} grid @param {[number, number]} other */
const beneath = (at, [rows, columns], [below, beside]) => Math.floor(((Math.floor(at / columns) + 0.5) / rows) * below) * beside + Math.floor((((at % columns) + 0.5) / columns) * beside);

/**
 * One map minus another on the finer of their grids, in percentage points of each map's own weight, and how alike the
 * two order their cells; null where one has no weight.
 */
/** @param {Cells} one @param {Cells} two */
export const minus = (one, two) => {
  const [a, b] = [shares(one), shares(two)];
  if (!a || !b) return null;
  /** @type {[number, number][]} */
  const [first, second, grid] = [[one.rows, one.columns], [two.rows, two.columns], [Math.max(one.rows, two.rows), Math.max(one.columns, two.columns)]];
  const [left, right] = [regrid(a, first, grid), regrid(b, second, grid)];
  const valid = Uint8Array.from(left, (_, at) => ([[one, first], [two, second]].every(([map, own]) => {
    const within = /** @type {Cells} */ (map).valid;
    return !within || within[beneath(at, grid, /** @type {[number, number]} */ (own))];
  }) ? 1 : 0));
  return {
    values: Float32Array.from(left, (share, at) => (valid[at] ? 100 * (share - right[at]) : 0)),
    rows: grid[0], columns: grid[1], valid: valid.includes(0) ? valid : null,
    resampled: first.join() !== second.join(), alike: correlation(left, right, valid),
  };
};

/** Spearman's rank correlation of two maps over their valid cells; null where one of them is even. */
/** @param {ArrayLike<number>} one @param {ArrayLike<number>} two @param {ArrayLike<number>} valid */
const correlation = (one, two, valid) => {
  const [a, b] = [percentiles(one, valid), percentiles(two, valid)];
  let [ab, aa, bb] = [0, 0, 0];
  for (let at = 0; at < a.length; at++) {
    if (Number.isNaN(a[at])) continue;
    const [x, y] = [a[at] - 50, b[at] - 50]; // ranks have this mean, ties or none
    ab += x * y; aa += x * x; bb += y * y;
  }
  return aa > 0 && bb > 0 ? ab / Math.sqrt(aa * bb) : null;
};

/** The share of a map's positive weight that lies on what covers a part of the frame; null without weight. */
/** @param {Cells} map @param {Cover} cover */
export const shareOn = (map, cover) => {
  const own = shares(map);
  if (!own) return null;
  const covered = Float64Array.from(cover.values, (value) => value / 255 / (cover.rows * cover.columns));
  const area = regrid(covered, [cover.rows, cover.columns], [map.rows, map.columns]);
  return own.reduce((total, share, at) => total + share * area[at] * map.rows * map.columns, 0);
};
