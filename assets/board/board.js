// The board of a sweep: models in rows, measures in columns, two measures against each other. It stands in one file with
// its numbers, and asks for nothing.

/** @typedef {{ name: string, title: string, colour: string, weights: string }} Model */
/** @typedef {{ id: string, measure: string, probe: string, parameters: string, data: string, unit: string,
 *   better: "higher" | "lower" | "none", headline: boolean, question: string }} Measure */
/** @typedef {{ value: number, low: number | null, high: number | null, n: number, interval: string, link: string }} Cell */
/** @typedef {{ models: Model[], measures: Measure[], cells: Record<string, Record<string, Cell>>, missing: Record<string,
 *   Record<string, string>>, target: string }} Board */
/** @typedef {{ by: string, down: boolean, text: string, shown: Set<string>, x: string, y: string }} State */

const SVG = "http://www.w3.org/2000/svg";
/** The room for the scatter's axes, px, and its widest. */
const PLOT = { left: 56, right: 16, top: 34, bottom: 48, widest: 900 };

/** @typedef {{ width: number, height: number, x: (value: number) => number, y: (value: number) => number }} Frame */

/** @param {Model} one */
const byName = (one) => `${one.title} ${one.name}`;
/** What a model is called where there is one word for it: its title, its name where others have that title too.
 * @param {Board} board @param {Model} model @returns {string} */
export const called = (board, model) => (board.models.some((one) => one !== model && one.title === model.title) ? model.name : model.title);

/** Rows in their order: models whose name has the text, those without a number of the measure last.
 * @param {Board} board @param {State} state @returns {Model[]} */
export const ordered = (board, state) => {
  const wanted = state.text.trim().toLowerCase().split(/\s+/);
  const some = board.models.filter((one) => wanted.every((word) => `${one.title} ${one.name}`.toLowerCase().includes(word)));
  const turn = state.down ? -1 : 1;
  return some
    .map((model, place) => ({ model, place, value: board.cells[model.name]?.[state.by]?.value }))
    .sort((a, b) => {
      if (state.by === "model") return turn * byName(a.model).localeCompare(byName(b.model), "en", { numeric: true });
      if (a.value === undefined || b.value === undefined) {
        return Number(a.value === undefined) - Number(b.value === undefined) || a.place - b.place;
      }
      return turn * (a.value - b.value) || a.place - b.place;
    })
    .map((one) => one.model);
};

/** From the least to the largest end of a measure's intervals; null where it has no number.
 * @param {Board} board @param {string} id @returns {[number, number] | null} */
export const extent = (board, id) => {
  const cells = board.models.flatMap((one) => board.cells[one.name]?.[id] ?? []);
  if (!cells.length) return null;
  const low = Math.min(...cells.map((one) => one.low ?? one.value));
  const high = Math.max(...cells.map((one) => one.high ?? one.value));
  return low < high ? [low, high] : [low - 0.5, high + 0.5];
};

/** Round places of an axis, about as many as asked for.
 * @param {number} low @param {number} high @param {number} count @returns {number[]} */
export const ticks = (low, high, count) => {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough) ?? 10 * power;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, place) => Number(((first + place) * step).toPrecision(12)));
};

/** A number with three digits that count. @param {number} value @returns {string} */
export const said = (value) => {
  const text = Math.abs(value) >= 1000 || (value && Math.abs(value) < 1e-3) ? value.toExponential(1) : value.toPrecision(3);
  return text.replace("-", "\u2212");
};

/** Texts as a table that spreadsheets read. @param {(string | number | null)[][]} lines @returns {string} */
export const csv = (lines) => {
  const quoted = (/** @type {string | number | null} */ one) => {
    const text = one === null ? "" : String(one);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return lines.map((line) => `${line.map(quoted).join(",")}\r\n`).join("");
};

/** What a measure is called where there is one line for it. @param {Measure} one @returns {string} */
const titled = (one) => `${one.probe}: ${one.measure}${one.parameters ? ` (${one.parameters})` : ""}, ${one.data}`;

/** @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag @param {Record<string, string>} attributes @param {(Node | string)[]} inside
 * @returns {HTMLElementTagNameMap[T]} */
const made = (tag, attributes = {}, ...inside) => {
  const one = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) one.setAttribute(name, value);
  one.append(...inside);
  return one;
};

/** @param {string} tag @param {Record<string, string | number>} attributes @param {(Node | string)[]} inside */
const drawn = (tag, attributes, ...inside) => {
  const one = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) one.setAttribute(name, String(value));
  one.append(...inside);
  return one;
};

/** @param {string} id @template {HTMLElement} T @returns {T} */
const found = (id) => /** @type {any} */ (document.getElementById(id));

/** The interval as words. @param {Cell} cell @param {Measure} measure @returns {string} */
const inWords = (cell, measure) => {
  const unit = measure.unit ? ` ${measure.unit}` : "";
  const ends = cell.low === null || cell.high === null ? "" : `, 95 % interval ${said(cell.low)} to ${said(cell.high)}`;
  return `${said(cell.value)}${unit}${ends}, n = ${cell.n}${cell.interval ? ` (${cell.interval})` : ""}`;
};

/** A number and its interval on the column's own scale.
 * @param {Cell} cell @param {[number, number]} ends @param {Measure} measure @param {Model} model @param {string} target */
const cellOf = (cell, ends, measure, model, target) => {
  const at = (/** @type {number} */ value) => (100 * (value - ends[0])) / (ends[1] - ends[0]);
  const line = made("span", { class: "interval", "aria-hidden": "true" });
  const bar = made("i");
  const [low, high] = [at(cell.low ?? cell.value), at(cell.high ?? cell.value)];
  bar.style.left = `${low}%`;
  bar.style.width = `${high - low}%`;
  const dot = made("b");
  dot.style.left = `${at(cell.value)}%`;
  line.append(bar, dot);
  const words = inWords(cell, measure);
  const number = cell.link
    ? made("a", { href: cell.link, target, rel: "noopener", title: `${words}. Open the view that shows it.` }, said(cell.value))
    : made("span", { title: words }, said(cell.value));
  if (cell.link) number.setAttribute("aria-label", `${said(cell.value)}, ${model.name}: open the view that shows it`);
  return made("td", {}, number, line);
};

/** The table's head: a button a column, which sorts.
 * @param {Measure[]} measures @param {State} state @param {(id: string) => void} sort */
const headOf = (measures, state, sort) => {
  const several = new Set(measures.map((one) => one.data)).size > 1;
  const sorted = (/** @type {string} */ id) => (state.by === id ? (state.down ? "descending" : "ascending") : "none");
  const button = (/** @type {string} */ id, /** @type {(Node | string)[]} */ ...inside) => {
    const one = made("button", { type: "button", "data-id": id }, ...inside);
    one.addEventListener("click", () => sort(id));
    return one;
  };
  const better = { higher: "higher is better \u2191", lower: "lower is better \u2193", none: "" };
  return made(
    "tr",
    {},
    made("th", { scope: "col", "aria-sort": sorted("model") }, button("model", made("span", { class: "name" }, "model"))),
    ...measures.map((one) =>
      made(
        "th",
        { scope: "col", "aria-sort": sorted(one.id), title: `${one.question} ${titled(one)}` },
        button(
          one.id,
          made("small", {}, one.parameters ? `${one.probe}, ${one.parameters}` : one.probe),
          made("span", { class: "name" }, one.measure),
          made("small", {}, [one.unit, better[one.better], several ? one.data : ""].filter(Boolean).join(", ")),
        ),
      ),
    ),
  );
};

/** @param {Board} board @param {State} state @param {(id: string) => void} sort */
const showTable = (board, state, sort) => {
  const measures = board.measures.filter((one) => state.shown.has(one.id));
  const ends = new Map(measures.map((one) => [one.id, extent(board, one.id) ?? [0, 1]]));
  const models = ordered(board, state);
  const rows = models.map((model) => {
    const swatch = made("i", { class: "swatch", "aria-hidden": "true" });
    swatch.style.background = model.colour;
    const head = made("th", { scope: "row" }, swatch, made("span", {}, model.title), made("small", {}, model.title === model.name ? model.weights : `${model.name}, ${model.weights}`));
    const cells = measures.map((one) => {
      const cell = board.cells[model.name]?.[one.id];
      if (cell) return cellOf(cell, /** @type {[number, number]} */ (ends.get(one.id)), one, model, board.target);
      const why = board.missing[model.name]?.[one.id] ?? "This probe has no such number of this model.";
      return made("td", { class: "none", title: why }, made("span", { "aria-label": `no number: ${why}`, role: "img" }, "\u2013"));
    });
    return made("tr", {}, head, ...cells);
  });
  found("head").replaceChildren(headOf(measures, state, sort));
  found("body").replaceChildren(...rows);
  const every = `${board.models.length} ${board.models.length === 1 ? "model" : "models"}`;
  const count = models.length === board.models.length ? every : `${models.length} of ${every}`;
  found("count").textContent = `${count}, ${measures.length} of ${board.measures.length} measures`;
};

/** Where numbers lie in the scatter, which is as wide as there is room.
 * @param {number} room @param {[number, number]} across @param {[number, number]} up @returns {Frame & { ends: number[][] }} */
const frameOf = (room, across, up) => {
  const width = Math.max(280, Math.min(PLOT.widest, room));
  const height = Math.round(Math.max(320, 0.6 * width));
  const wider = (/** @type {[number, number]} */ [a, b]) => [a - (b - a) * 0.05, b + (b - a) * 0.05];
  const [[x0, x1], [y0, y1]] = [wider(across), wider(up)];
  const inner = { width: width - PLOT.left - PLOT.right, height: height - PLOT.top - PLOT.bottom };
  return {
    width,
    height,
    ends: [[x0, x1], [y0, y1]],
    x: (value) => PLOT.left + (inner.width * (value - x0)) / (x1 - x0),
    y: (value) => PLOT.top + inner.height * (1 - (value - y0) / (y1 - y0)),
  };
};

/** @param {ReturnType<typeof frameOf>} frame @param {Measure} x @param {Measure} y */
const axesOf = (frame, x, y) => {
  const [left, right, bottom] = [PLOT.left, frame.width - PLOT.right, frame.height - PLOT.bottom];
  const count = frame.width < 500 ? 4 : 7;
  return [
    ...ticks(frame.ends[0][0], frame.ends[0][1], count).flatMap((one) => [
      drawn("line", { class: "grid", x1: frame.x(one), x2: frame.x(one), y1: PLOT.top, y2: bottom }),
      drawn("text", { x: frame.x(one), y: bottom + 18, "text-anchor": "middle" }, tick(one)),
    ]),
    ...ticks(frame.ends[1][0], frame.ends[1][1], 6).flatMap((one) => [
      drawn("line", { class: "grid", x1: left, x2: right, y1: frame.y(one), y2: frame.y(one) }),
      drawn("text", { x: left - 8, y: frame.y(one) + 4, "text-anchor": "end" }, tick(one)),
    ]),
    drawn("text", { class: "axis", x: 8, y: 18 }, `\u2191 ${axis(y, x)}`),
    drawn("text", { class: "axis", x: right, y: frame.height - 8, "text-anchor": "end" }, `${axis(x, y)} \u2192`),
  ];
};

/** Two measures against each other. @param {Board} board @param {State} state */
const showScatter = (board, state) => {
  const [x, y] = [state.x, state.y].map((id) => board.measures.find((one) => one.id === id));
  const svg = found("scatter");
  const [across, up] = [extent(board, state.x), extent(board, state.y)];
  if (!x || !y || !across || !up) {
    svg.replaceChildren();
    return;
  }
  const frame = frameOf(/** @type {HTMLElement} */ (svg.parentElement).clientWidth, across, up);
  svg.setAttribute("viewBox", `0 0 ${frame.width} ${frame.height}`);
  const both = ordered(board, state).flatMap((model) => {
    const [a, b] = [board.cells[model.name]?.[state.x], board.cells[model.name]?.[state.y]];
    return a && b ? [{ model, a, b }] : [];
  });
  svg.replaceChildren(...axesOf(frame, x, y), ...both.map((one) => pointOf(one, x, y, frame)), ...labelled(both.map((one) => ({ ...one, label: called(board, one.model) })), frame));
  svg.setAttribute("aria-label", `${titled(y)} against ${titled(x)}, ${both.length} models`);
  const hidden = board.models.length - both.length;
  found("without").textContent = hidden ? `Models not shown: ${hidden}, filtered out or without one of the two numbers.` : "";
};

/** A number at an axis, as short as it is. @param {number} value @returns {string} */
const tick = (value) => String(value).replace("-", "\u2212");

/** What an axis is called: as short as it is still told apart from the other one.
 * @param {Measure} one @param {Measure} other @returns {string} */
export const axis = (one, other) => {
  const more = [one.parameters !== other.parameters ? one.parameters : "", one.data !== other.data ? one.data : ""];
  return `${[one.measure, one.unit].filter(Boolean).join(", ")} (${[one.probe, ...more].filter(Boolean).join(", ")})`;
};

/** @param {{ model: Model, a: Cell, b: Cell }} one @param {Measure} x @param {Measure} y
 * @param {Frame} frame */
const pointOf = ({ model, a, b }, x, y, frame) => {
  const [px, py] = [frame.x, frame.y];
  const lines = [];
  if (a.low !== null && a.high !== null) lines.push(drawn("line", { x1: px(a.low), x2: px(a.high), y1: py(b.value), y2: py(b.value) }));
  if (b.low !== null && b.high !== null) lines.push(drawn("line", { x1: px(a.value), x2: px(a.value), y1: py(b.low), y2: py(b.high) }));
  const words = `${model.title === model.name ? "" : `${model.title}, `}${model.name}: ${x.measure} ${inWords(a, x)}; ${y.measure} ${inWords(b, y)}`;
  const dot = drawn("circle", { cx: px(a.value), cy: py(b.value), r: 6, fill: model.colour, tabindex: 0, role: "img", "aria-label": words });
  dot.append(drawn("title", {}, words));
  // A finger points at nothing: what it touches is said below.
  for (const kind of ["focus", "click"]) dot.addEventListener(kind, () => found("point").replaceChildren(words));
  return drawn("g", { class: "point" }, ...lines, dot);
};

/** Names beside the points, where one has room: others are said when the point is pointed at.
 * @param {{ label: string, a: Cell, b: Cell }[]} both @param {Frame} frame */
const labelled = (both, frame) => {
  const [px, py] = [frame.x, frame.y];
  /** @type {{ left: number, right: number, top: number, bottom: number }[]} */
  const taken = both.map(({ a, b }) => ({ left: px(a.value) - 8, right: px(a.value) + 8, top: py(b.value) - 8, bottom: py(b.value) + 8 }));
  return both.flatMap(({ label, a, b }) => {
    const [x, y, length] = [px(a.value), py(b.value), 7.2 * label.length];
    const places = [
      { left: x + 10, top: y - 16 },
      { left: x + 10, top: y + 2 },
      { left: x - 10 - length, top: y - 16 },
      { left: x - 10 - length, top: y + 2 },
    ];
    for (const { left, top } of places) {
      const box = { left, right: left + length, top, bottom: top + 14 };
      const inside = left > PLOT.left && box.right < frame.width && top > PLOT.top - 8 && box.bottom < frame.height - PLOT.bottom;
      const free = taken.every((one) => one.right < box.left || one.left > box.right || one.bottom < box.top || one.top > box.bottom);
      if (!inside || !free) continue;
      taken.push(box);
      return [drawn("text", { class: "label", x: left, y: top + 11 }, label)];
    }
    return [];
  });
};

/** @param {Board} board @param {State} state */
const download = (board, state) => {
  const heads = ["model", "weights", "data", "probe", "parameters", "measure", "value", "low", "high", "unit", "n", "interval"];
  const lines = ordered(board, state).flatMap((model) =>
    board.measures.flatMap((one) => {
      const cell = state.shown.has(one.id) ? board.cells[model.name]?.[one.id] : undefined;
      if (!cell) return [];
      return [
        [model.name, model.weights, one.data, one.probe, one.parameters, one.measure, cell.value, cell.low, cell.high, one.unit, cell.n, cell.interval],
      ];
    }),
  );
  const address = URL.createObjectURL(new Blob([csv([heads, ...lines])], { type: "text/csv" }));
  made("a", { href: address, download: "board.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
};

/** Which measures the table shows. @param {Board} board @param {State} state @param {() => void} changed */
const showChoice = (board, state, changed) => {
  const boxes = board.measures.map((one) => {
    const box = made("input", { type: "checkbox" });
    box.checked = state.shown.has(one.id);
    box.addEventListener("change", () => {
      if (box.checked) state.shown.add(one.id);
      else state.shown.delete(one.id);
      changed();
    });
    return made("label", {}, box, titled(one));
  });
  found("choice").replaceChildren(...boxes);
};

/** @param {Board} board */
const show = (board) => {
  const headlines = board.measures.filter((one) => one.headline);
  const shown = headlines.length ? headlines : board.measures;
  /** @type {State} */
  const state = {
    by: "", down: true, text: "", shown: new Set(shown.map((one) => one.id)), x: shown[0]?.id ?? "", y: (shown[1] ?? shown[0])?.id ?? "",
  };
  const sort = (/** @type {string} */ id) => {
    const measure = board.measures.find((one) => one.id === id);
    // What is best, or largest, stands first; a second click turns it round.
    state.down = state.by === id ? !state.down : id !== "model" && measure?.better !== "lower";
    state.by = id;
    draw();
    /** @type {HTMLElement | null} */ (document.querySelector(`#head button[data-id="${CSS.escape(id)}"]`))?.focus();
  };
  const draw = () => {
    showTable(board, state, sort);
    showScatter(board, state);
  };
  const filter = /** @type {HTMLInputElement} */ (found("filter"));
  filter.addEventListener("input", () => {
    state.text = filter.value;
    draw();
  });
  for (const name of /** @type {("x" | "y")[]} */ (["x", "y"])) {
    const select = /** @type {HTMLSelectElement} */ (found(name));
    select.replaceChildren(...board.measures.map((one) => made("option", { value: one.id }, titled(one))));
    select.value = state[name];
    select.addEventListener("change", () => {
      state[name] = select.value;
      showScatter(board, state);
    });
  }
  found("csv").addEventListener("click", () => download(board, state));
  showChoice(board, state, draw);
  new ResizeObserver(() => showScatter(board, state)).observe(/** @type {HTMLElement} */ (found("scatter").parentElement));
  draw();
};

if (typeof document !== "undefined") show(JSON.parse(found("board").textContent ?? ""));
