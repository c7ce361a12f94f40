// A map by the rank of its values within it: arithmetic alone, tested in percentile.test.js.
/** @import { PaintedMap } from "./modules" */

/** The percentile of each value among the valid ones: equal values have the middle of their ranks, 0 to 100; NaN elsewhere. */
/** @param {ArrayLike<number>} values @param {ArrayLike<number> | null} valid */
export const percentiles = (values, valid = null) => {
  const out = new Float32Array(values.length).fill(NaN);
  const order = Array.from(values, (_, at) => at).filter((at) => !Number.isNaN(values[at]) && (!valid || valid[at])).sort((a, b) => values[a] - values[b]);
  const last = Math.max(order.length - 1, 1);
  for (let start = 0; start < order.length;) {
    let end = start;
    while (end + 1 < order.length && values[order[end + 1]] === values[order[start]]) end += 1;
    // One value alone, or one in all cells, is neither high nor low.
    const rank = order.length === 1 ? 50 : (100 * (start + end)) / 2 / last;
    for (let at = start; at <= end; at++) out[order[at]] = rank;
    start = end + 1;
  }
  return out;
};

/** A map as it is coloured by percentiles; of one about zero, those of the values' sizes, each with its sign. */
/** @param {PaintedMap} map @returns {PaintedMap} */
export const ranked = (map) => {
  if (map.range.map !== "diverging") return { ...map, values: percentiles(map.values, map.valid), range: { ...map.range, low: 0, high: 100 } };
  const sizes = percentiles(Array.from(map.values, Math.abs), map.valid);
  return { ...map, values: sizes.map((size, at) => Math.sign(map.values[at]) * size), range: { ...map.range, low: -100, high: 100 } };
};
