// What is shown now, and the numbers of its maps: rows of attention out of answers and banks, pulled back where wanted.
"use strict";
(() => {
  const { explorer } = window;
  const { numbers } = explorer;
  const EXACT = 1e-6;

  /** The present answer and its bank, their blobs decoded, the pictures in it, and how they are looked at. */
  const now = {
    answer: null,
    bank: null,
    images: [],
    pin: 0,
    look: {
      view: "after", overlay: true, opacity: 0.7, smooth: false, threshold: 0, map: "cividis", scale: "kind", token: false, layout: "",
    },
  };
  explorer.now = now;

  const clampShare = (value) => Math.min(Math.max(value, 0), 1 - 1e-9);
  const inside = ({ x, y }) => x >= 0 && x < 1 && y >= 0 && y < 1;
  const wrap = (value) => value - Math.floor(value);

  /** Where a place of the picture is after the move, in shares of the frame, inside it or not. */
  const carried = ({ linear, offset, cyclic }, { x, y }) => {
    const place = {
      x: linear[0][0] * x + linear[0][1] * y + offset[0],
      y: linear[1][0] * x + linear[1][1] * y + offset[1],
    };
    return cyclic ? { x: wrap(place.x), y: wrap(place.y) } : place;
  };
  /** The same; null once it has left the frame. */
  const forward = (move, place) => {
    const to = carried(move, place);
    return inside(to) ? to : null;
  };
  const backward = ({ linear: [[a, b], [c, d]], offset, cyclic }, place) => {
    const [x, y] = [place.x - offset[0], place.y - offset[1]];
    const determinant = a * d - b * c;
    const back = { x: (d * x - b * y) / determinant, y: (a * y - c * x) / determinant };
    if (cyclic) { back.x = wrap(back.x); back.y = wrap(back.y); }
    return inside(back) ? back : null;
  };

  const cell = ({ x, y }, [rows, columns]) =>
    Math.floor(clampShare(y) * rows) * columns + Math.floor(clampShare(x) * columns);

  const pins = () => explorer.question.get().pins;
  const stays = () => explorer.question.get().pin === "place";

  /** Name of the token that asks in this map: a pin's number, or a prefix token where that is wanted and there. */
  const asker = (map, pin) => (now.look.token && map.prefix.length ? map.prefix[0] : String(map.query_grid ? pin : 0));

  /** Where a pin asks from, "before" or "after" a move; null where the place has left the picture. */
  const askedFrom = (move, pin, when) => {
    const place = pins()[pin] || pins()[0];
    return when === "before" || stays() ? place : forward(move, place);
  };

  /** The rows of every head of one map in one frame: {values, heads, prefix, mean}; null for none, undefined for not here. */
  const rowsOf = (row, number, when, pin) => {
    const { answer, bank } = now;
    const map = row.maps[number];
    const name = asker(map, pin);
    const index = when === "before" ? 0 : 1;
    const late = bank && bank.key === answer.key ? bank.rows[answer.rows.indexOf(row)].maps[number] : null;
    const token = map.prefix.includes(name);
    const asked = answer.pins[pin];
    const here = pins()[pin] || pins()[0];
    const same = token || !map.query_grid
      || (asked && answer.pin === explorer.question.get().pin && cell(here, map.query_grid) === cell(asked, map.query_grid)
        && (when === "before" || sameCell(row.move, here, asked, map.query_grid)));
    if (same) {
      if (late && late.rows && late.rows[name]) {
        const reference = late.rows[name][index];
        if (reference) return { values: numbers(bank.blob, reference), heads: reference.s[0], prefix: reference.prefix };
      }
      const reference = map.rows[name] && map.rows[name][index];
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

  /** One head, or the mean of all for head -1. */
  const headOf = ({ values, heads }, cells, head) => {
    if (head >= 0 && head < heads) return values.subarray(head * cells, (head + 1) * cells);
    const mean = new Float32Array(cells);
    for (let i = 0; i < values.length; i++) mean[i % cells] += values[i] / heads;
    return mean;
  };

  /** A map of the moved picture in the frame of the picture as it was, as Transform.pull_back reads it: {values, valid}. */
  const pullBack = (values, rows, columns, move) => {
    const [[a, b], [c, d]] = move.linear;
    const linear = [[a, (b * columns) / rows], [(c * rows) / columns, d]];
    const out = new Float32Array(rows * columns);
    const valid = new Uint8Array(rows * columns);
    const samples = Math.max(1, Math.ceil(stretch(linear) - EXACT));
    const fold = (index, size) => (move.cyclic ? ((index % size) + size) % size : Math.min(Math.max(index, 0), size - 1));
    const read = (x, y) => {
      const [left, top] = [Math.floor(x - 0.5), Math.floor(y - 0.5)];
      const [right, low] = [x - 0.5 - left, y - 0.5 - top];
      const at = (row, column) => values[fold(row, rows) * columns + fold(column, columns)];
      return (1 - low) * ((1 - right) * at(top, left) + right * at(top, left + 1)) + low * ((1 - right) * at(top + 1, left) + right * at(top + 1, left + 1));
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
            total += move.cyclic ? read(sx, sy) : read(Math.min(Math.max(sx, 0.5), columns - 0.5), Math.min(Math.max(sy, 0.5), rows - 0.5));
          }
        }
        out[row * columns + column] = total / samples ** 2;
      }
    }
    return { values: out, valid };
  };

  /** The largest factor by which a matrix lengthens anything. */
  const stretch = ([[a, b], [c, d]]) => {
    const [sum, difference] = [a * a + b * b + c * c + d * d, a * d - b * c];
    return Math.sqrt((sum + Math.sqrt(Math.max(sum * sum - 4 * difference * difference, 0))) / 2);
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
    return lines(map.part, map.grid, place);
  };
  /** The cells of a place's row, of its column, or of both ("cross"). */
  const lines = (part, [rows, columns], place) => {
    const [own, across] = [Math.floor(clampShare(place.y) * rows), Math.floor(clampShare(place.x) * columns)];
    const cells = new Uint8Array(rows * columns);
    for (let i = 0; i < cells.length; i++) {
      const inRow = Math.floor(i / columns) === own;
      const inColumn = i % columns === across;
      cells[i] = (inRow && part !== "column") || (inColumn && part !== "row");
    }
    return cells;
  };

  explorer.maps = { carried, forward, backward, askedFrom, asker, rowsOf, headOf, pullBack, layersOf, reach, lines };
})();
