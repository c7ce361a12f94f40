// What is shown now, and the numbers of its maps: rows of attention out of answers and banks.
"use strict";
(() => {
  const { explorer } = window;
  const { numbers } = explorer;

  /** The present answer and its bank, their blobs decoded, the pictures in it, and how they are looked at. */
  const now = {
    answer: null,
    bank: null,
    images: [],
    look: { attention: "after", attribution: "after", overlay: true, opacity: 0.7, smooth: false, token: false },
  };
  explorer.now = now;

  const clampShare = (value) => Math.min(Math.max(value, 0), 1 - 1e-9);
  const inside = ({ x, y }) => x >= 0 && x < 1 && y >= 0 && y < 1;

  /** Where a place of the picture is after the move, in shares of the frame; null once it has left it. */
  const forward = ({ linear, offset, cyclic }, { x, y }) => {
    const place = {
      x: linear[0][0] * x + linear[0][1] * y + offset[0],
      y: linear[1][0] * x + linear[1][1] * y + offset[1],
    };
    if (cyclic) { place.x -= Math.floor(place.x); place.y -= Math.floor(place.y); }
    return inside(place) ? place : null;
  };
  const backward = ({ linear: [[a, b], [c, d]], offset, cyclic }, place) => {
    const [x, y] = [place.x - offset[0], place.y - offset[1]];
    const determinant = a * d - b * c;
    const back = { x: (d * x - b * y) / determinant, y: (a * y - c * x) / determinant };
    if (cyclic) { back.x -= Math.floor(back.x); back.y -= Math.floor(back.y); }
    return inside(back) ? back : null;
  };

  const cell = ({ x, y }, [rows, columns]) =>
    Math.floor(clampShare(y) * rows) * columns + Math.floor(clampShare(x) * columns);

  const query = () => explorer.question.get().query;

  /** Name of the token that asks in this map: "point", or a prefix token where that is wanted and there. */
  const asker = (map) => (now.look.token && map.prefix.length ? map.prefix[0] : "point");

  /** Where a map is asked from, "before" or "after" the move; null where the place has left the picture. */
  const askedFrom = (row, when) => (when === "before" ? query() : forward(row.move, query()));

  /** The rows of every head of one map in one frame: {values, heads, prefix, mean}; null for none, undefined for not here. */
  const rowsOf = (row, number, when) => {
    const { answer, bank } = now;
    const map = row.maps[number];
    const name = asker(map);
    const index = when === "before" ? 0 : 1;
    const late = bank && bank.key === answer.key ? bank.rows[answer.rows.indexOf(row)].maps[number] : null;
    const here = query();
    const same = name !== "point" || !map.query_grid || cell(here, map.query_grid) === cell(answer.query, map.query_grid);
    if (same) {
      if (late && late.rows && late.rows[name]) {
        const reference = late.rows[name][index];
        if (reference) return { values: numbers(bank.blob, reference), heads: reference.s[0], prefix: reference.prefix };
      }
      const reference = map.rows[name] && map.rows[name][index];
      if (!reference) return null;
      return { values: numbers(answer.blob, reference), heads: reference.s[0], prefix: reference.prefix, mean: reference.s[0] < map.heads };
    }
    const place = askedFrom(row, when);
    if (!place) return null;
    if (!late || !late.weights || (when === "before" && !answer.identity)) return undefined;
    return banked(map, late, place);
  };

  const banked = (map, { weights, keys, queries }, place) => {
    const { bank } = now;
    const wanted = cell(place, map.query_grid);
    const [, heads, count, width] = weights.s;
    const table = numbers(bank.blob, queries);
    const keyGroups = keys.s[0];
    const cells = map.grid[0] * map.grid[1];
    const values = new Float32Array(heads * cells);
    let prefix = 0;
    let found = false;
    // A place that several groups ask from has the sum of their rows.
    for (let at = table.indexOf(wanted); at >= 0; at = table.indexOf(wanted, at + 1)) {
      found = true;
      const group = Math.floor(at / count);
      const position = at % count;
      const code = numbers(bank.blob, keys, keyGroups > 1 ? group * width : 0, width);
      for (let head = 0; head < heads; head++) {
        const row = numbers(bank.blob, weights, ((group * heads + head) * count + position) * width, width);
        for (let i = 0; i < width; i++) {
          if (code[i] >= 0) values[head * cells + code[i]] += row[i];
          else if (code[i] <= -2) prefix += row[i] / heads;
        }
      }
    }
    if (!found) return null;
    return { values, heads, prefix: map.prefix.length ? prefix : undefined };
  };

  /** One head, or the mean of all for head -1. */
  const headOf = ({ values, heads }, cells, head) => {
    if (head >= 0 && head < heads) return values.subarray(head * cells, (head + 1) * cells);
    const mean = new Float32Array(cells);
    for (let i = 0; i < values.length; i++) mean[i % cells] += values[i] / heads;
    return mean;
  };

  /** The maps of a row by the layer that made them: [{module, numbers}], several parts of one layer together. */
  const layersOf = (maps) => {
    const layers = [];
    maps.forEach((map, number) => {
      const last = layers[layers.length - 1];
      if (last && last.module === map.module && map.part) last.numbers.push(number);
      else layers.push({ module: map.module, numbers: [number] });
    });
    return layers;
  };

  /** Which cells an axial map speaks of, seen from a place: its row, its column, both. Null for all of them. */
  const reach = (map, place) => {
    if (map.kind !== "axial" || !place || !["row", "column", "cross"].includes(map.part)) return null;
    const [rows, columns] = map.grid;
    const [own, across] = [Math.floor(clampShare(place.y) * rows), Math.floor(clampShare(place.x) * columns)];
    const cells = new Uint8Array(rows * columns);
    for (let i = 0; i < cells.length; i++) {
      const inRow = Math.floor(i / columns) === own;
      const inColumn = i % columns === across;
      cells[i] = (inRow && map.part !== "column") || (inColumn && map.part !== "row");
    }
    return cells;
  };

  explorer.maps = { forward, backward, askedFrom, asker, rowsOf, headOf, layersOf, reach };
})();
