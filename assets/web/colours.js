// Numbers to colours: perceptually uniform maps only, so that equal steps of a value look equally large.
/** @import { Range, Values } from "./modules" */
import { penOf } from "./dom.js";
import { now } from "./shown.js";

/** @type {Record<string, Uint8Array>} */
const tables = {};
/** The table of a range's map; which one unsigned maps are drawn in is the visitor's choice. */
/** @param {string} map */
const tableOf = (map) => tables[map === "sequential" ? now.look.map : map];

/** Learn the maps: {name: anchors "#rrggbb", evenly spaced}. They come from the library, so that every face agrees. */
/** @param {Record<string, string[]>} maps */
export const learnPalettes = (maps) => {
  for (const [name, anchors] of Object.entries(maps)) {
    const rgb = anchors.map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
    const table = new Uint8Array(768);
    for (let i = 0; i < 256; i++) {
      const place = (i / 255) * (rgb.length - 1);
      const left = Math.min(Math.floor(place), rgb.length - 2);
      for (let c = 0; c < 3; c++) table[3 * i + c] = Math.round(rgb[left][c] + (place - left) * (rgb[left + 1][c] - rgb[left][c]));
    }
    tables[name] = table;
  }
};

// Every answer has a few dozen maps: a canvas for each would be made, drawn once and thrown away.
/** @type {HTMLCanvasElement | null} */
let cells = null;

/**
 * A picture of rows x columns values, one pixel a cell; `valid` 0 and not-a-number are left transparent. The canvas is
 * the same each time: draw it before the next map is coloured.
 */
/**
 * @param {ArrayLike<number>} values @param {number} rows @param {number} columns @param {Range} range
 * @param {ArrayLike<number> | null} valid
 */
export const coloured = (values, rows, columns, { map, low, high }, valid = null) => {
  cells ??= document.createElement("canvas");
  if (cells.width !== columns || cells.height !== rows) {
    cells.width = columns;
    cells.height = rows;
  }
  const context = penOf(cells);
  const image = context.createImageData(columns, rows);
  const table = tableOf(map);
  const scale = high > low ? 255 / (high - low) : 0;
  for (let i = 0; i < rows * columns; i++) {
    const value = values[i];
    if (Number.isNaN(value) || (valid && !valid[i])) continue;
    const at = 3 * Math.max(0, Math.min(255, Math.round((value - low) * scale)));
    image.data[4 * i] = table[at];
    image.data[4 * i + 1] = table[at + 1];
    image.data[4 * i + 2] = table[at + 2];
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return cells;
};

/** A map's colours at 17 places from its low end, 0, to its high one, 1: [{at, colour}]. */
/** @param {string} map */
export const stopsOf = (map) => {
  const table = tableOf(map);
  return Array.from({ length: 17 }, (_, i) => {
    const at = 3 * Math.round((i / 16) * 255);
    return { at: i / 16, colour: `rgb(${table[at]}, ${table[at + 1]}, ${table[at + 2]})` };
  });
};
/** The same as a CSS gradient, left to right. */
/** @param {string} map */
export const gradient = (map) => `linear-gradient(to right, ${stopsOf(map).map(({ colour }) => colour).join(", ")})`;

/** The range of a map: signed values about zero, others from zero or from `fixed`. */
/** @param {Values[]} arrays @param {[number, number] | null} fixed @returns {Range} */
export const range = (arrays, fixed = null) => {
  if (fixed) return { map: "sequential", low: fixed[0], high: fixed[1] };
  let low = Infinity;
  let high = -Infinity;
  for (const array of arrays) {
    for (const value of array) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  if (!(high >= low)) return { map: "sequential", low: 0, high: 1 };
  if (low < 0) {
    const far = Math.max(-low, high);
    return { map: "diverging", low: -far, high: far };
  }
  return { map: "sequential", low: 0, high: high || 1 };
};
