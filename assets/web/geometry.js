// Places and maps under a move: arithmetic alone, tested in geometry.test.js.
// A place is {x, y} in shares of the frame; a move is {linear, offset, cyclic} on such places.

/** @typedef {{x: number, y: number}} Place */
/** @typedef {[[number, number], [number, number]]} Matrix */
/** @typedef {{linear: Matrix, offset: [number, number], cyclic: boolean}} Move */
/** @typedef {[number, number]} Grid rows, columns */

const EXACT = 1e-6;

/** A share that lies inside the frame: 0 <= share < 1. */
/** @param {number} value */
export const clampShare = (value) => Math.min(Math.max(value, 0), 1 - 1e-9);
/** @param {number} value @param {number} low @param {number} high */
export const between = (value, low, high) => Math.min(Math.max(value, low), high);
/** @param {Place} place */
const inside = ({ x, y }) => x >= 0 && x < 1 && y >= 0 && y < 1;
/** @param {number} value */
const wrap = (value) => value - Math.floor(value);

/** Where a place of the picture is after the move, in shares of the frame, inside it or not. */
/** @param {Move} move @param {Place} place @returns {Place} */
export const carried = ({ linear, offset, cyclic }, { x, y }) => {
  const place = {
    x: linear[0][0] * x + linear[0][1] * y + offset[0],
    y: linear[1][0] * x + linear[1][1] * y + offset[1],
  };
  return cyclic ? { x: wrap(place.x), y: wrap(place.y) } : place;
};

/** The same; null once it has left the frame. */
/** @param {Move} move @param {Place} place */
export const forward = (move, place) => {
  const to = carried(move, place);
  return inside(to) ? to : null;
};

/** Where a place of the moved picture was before the move; null where it was outside the frame. */
/** @param {Move} move @param {Place} place */
export const backward = ({ linear: [[a, b], [c, d]], offset, cyclic }, place) => {
  const [x, y] = [place.x - offset[0], place.y - offset[1]];
  const determinant = a * d - b * c;
  const back = { x: (d * x - b * y) / determinant, y: (a * y - c * x) / determinant };
  if (cyclic) { back.x = wrap(back.x); back.y = wrap(back.y); }
  return inside(back) ? back : null;
};

/** A move backwards, on places that stay inside. */
/** @param {Move} move @returns {Move} */
export const inverse = ({ linear: [[a, b], [c, d]], offset }) => {
  const determinant = a * d - b * c;
  return {
    linear: [[d / determinant, -b / determinant], [-c / determinant, a / determinant]],
    offset: [-(d * offset[0] - b * offset[1]) / determinant, -(a * offset[1] - c * offset[0]) / determinant],
    cyclic: false,
  };
};

/** The number of the cell of a grid (rows, columns) that a place lies in, row by row. */
/** @param {Place} place @param {Grid} grid */
export const cell = ({ x, y }, [rows, columns]) =>
  Math.floor(clampShare(y) * rows) * columns + Math.floor(clampShare(x) * columns);

/** The largest factor by which a matrix lengthens anything. */
/** @param {Matrix} matrix */
const stretch = ([[a, b], [c, d]]) => {
  const [sum, difference] = [a * a + b * b + c * c + d * d, a * d - b * c];
  return Math.sqrt((sum + Math.sqrt(Math.max(sum * sum - 4 * difference * difference, 0))) / 2);
};

/** A map of the moved picture in the frame of the picture as it was, as Transform.pull_back reads it: {values, valid}. */
/** @param {ArrayLike<number>} values @param {number} rows @param {number} columns @param {Move} move */
export const pullBack = (values, rows, columns, move) => {
  const [[a, b], [c, d]] = move.linear;
  /** @type {Matrix} */
  const linear = [[a, (b * columns) / rows], [(c * rows) / columns, d]];
  const out = new Float32Array(rows * columns);
  const valid = new Uint8Array(rows * columns);
  const samples = Math.max(1, Math.ceil(stretch(linear) - EXACT));
  const fold = (/** @type {number} */ index, /** @type {number} */ size) => (move.cyclic ? ((index % size) + size) % size : between(index, 0, size - 1));
  const read = (/** @type {number} */ x, /** @type {number} */ y) => {
    const [left, top] = [Math.floor(x - 0.5), Math.floor(y - 0.5)];
    const [right, low] = [x - 0.5 - left, y - 0.5 - top];
    const at = (/** @type {number} */ row, /** @type {number} */ column) => values[fold(row, rows) * columns + fold(column, columns)];
    // What has no weight is not read: it may be a cell that is hidden, which is not a number.
    const part = (/** @type {number} */ weight, /** @type {number} */ row, /** @type {number} */ column) => (weight ? weight * at(row, column) : 0);
    return part((1 - low) * (1 - right), top, left) + part((1 - low) * right, top, left + 1)
      + part(low * (1 - right), top + 1, left) + part(low * right, top + 1, left + 1);
  };
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const place = carried({ ...move, cyclic: false }, { x: (column + 0.5) / columns, y: (row + 0.5) / rows });
      const [x, y] = [place.x * columns, place.y * rows];
      if (!move.cyclic && !(x > -EXACT && x < columns + EXACT && y > -EXACT && y < rows + EXACT)) continue;
      valid[row * columns + column] = 1;
      let total = 0;
      for (let i = 0; i < samples; i++) {
        for (let j = 0; j < samples; j++) {
          const [across, down] = [(i + 0.5) / samples - 0.5, (j + 0.5) / samples - 0.5];
          const [sx, sy] = [x + linear[0][0] * across + linear[0][1] * down, y + linear[1][0] * across + linear[1][1] * down];
          total += move.cyclic ? read(sx, sy) : read(between(sx, 0.5, columns - 0.5), between(sy, 0.5, rows - 0.5));
        }
      }
      out[row * columns + column] = total / samples ** 2;
    }
  }
  return { values: out, valid };
};

/** The cells of a place's row, of its column, or of both ("cross"). */
/** @param {string} part @param {Grid} grid @param {Place} place */
export const lines = (part, [rows, columns], place) => {
  const [own, across] = [Math.floor(clampShare(place.y) * rows), Math.floor(clampShare(place.x) * columns)];
  const cells = new Uint8Array(rows * columns);
  for (let i = 0; i < cells.length; i++) {
    const inRow = Math.floor(i / columns) === own;
    const inColumn = i % columns === across;
    cells[i] = (inRow && part !== "column") || (inColumn && part !== "row") ? 1 : 0;
  }
  return cells;
};

/** Which cells an axial map speaks of, seen from a place: its row, its column, both. Null for all of them. */
/** @param {{kind: string, part: string, grid: Grid}} map @param {Place | null} place */
export const reach = (map, place) => {
  if (map.kind !== "axial" || !place || !["row", "column", "cross"].includes(map.part)) return null;
  return lines(map.part, map.grid, place);
};

/** One head of rows {values, heads}, or the mean of all for head -1. */
/** @param {{values: Float32Array, heads: number}} rows @param {number} cells @param {number} head */
export const headOf = ({ values, heads }, cells, head) => {
  if (head >= 0 && head < heads) return values.subarray(head * cells, (head + 1) * cells);
  const mean = new Float32Array(cells);
  for (let i = 0; i < values.length; i++) mean[i % cells] += values[i] / heads;
  return mean;
};

/** The maps of a row by the layer that made them: [{module, numbers}], several parts of one layer together. */
/** @param {{module: string, part: string}[]} maps */
export const layersOf = (maps) => {
  /** @type {{module: string, numbers: number[]}[]} */
  const layers = [];
  maps.forEach((map, number) => {
    const last = layers[layers.length - 1];
    if (last && last.module === map.module && map.part) last.numbers.push(number);
    else layers.push({ module: map.module, numbers: [number] });
  });
  return layers;
};

/** What becomes of places by a question's move: {linear, offset} on shares of a frame (rows, columns), about an object or the middle. */
/**
 * @param {{scene: any, dx: number, dy: number, zoom: number, angle: number, flip: boolean, border: string}} question
 * @param {Grid} frame
 * @returns {Move}
 */
export const moveIn = ({ scene, dx, dy, zoom, angle, flip, border }, [rows, columns]) => {
  const [cos, sin] = [zoom * Math.cos((angle * Math.PI) / 180), zoom * Math.sin((angle * Math.PI) / 180)];
  const [x, y] = [0.5 + (scene ? scene.dx || 0 : 0), 0.5 + (scene ? scene.dy || 0 : 0)];
  const tall = rows / columns;
  /** @type {Matrix} */
  let linear = [[cos, sin * tall], [-sin / tall, cos]];
  /** @type {[number, number]} */
  let offset = [x - linear[0][0] * x - linear[0][1] * y, y - linear[1][0] * x - linear[1][1] * y];
  if (flip && !scene) {
    linear = [[-linear[0][0], -linear[0][1]], linear[1]];
    offset = [1 - offset[0], offset[1]];
  }
  return {
    linear,
    offset: [offset[0] + dx / columns, offset[1] + dy / rows],
    cyclic: !scene && border === "wrap" && zoom === 1 && (angle % 180 === 0 || (rows === columns && angle % 90 === 0)),
  };
};
