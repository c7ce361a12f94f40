// How a block works, as motion: a query's lines to its keys and the values that come back along them, gates that close
// like shutters, bars that grow. Every width, size and darkness is a number of the answer; only time is made up.
/** @import { Place } from "./view" */
/** @import { ExamplePanel } from "./wire" */
import { make, write } from "./dom.js";
import { between, lines } from "./geometry.js";
import { say } from "./words.js";

/** A whole run, at the speed at which its captions can be read. */
export const DURATION_MS = 7000;
//: Keys of a head that get a line: more could not be told apart.
const KEYS = 8;
//: Heads side by side; light enough for the darkened scene.
const HEADS = ["#FFD166", "#4CC9F0", "#FF8FA3", "#7AE582", "#F4A261", "#CDB4FF", "#E9FF70", "#FFFFFF"];
const SUMMARY = { x: 0.92, y: 0.08 };

/** @typedef {"lines" | "summary" | "shutters" | "bars"} Kind */
/** @typedef {{x: number, y: number, weight: number}} Key the middle of a cell, in shares of the frame, and its weight */

/** The cells with the largest weights, largest first; those of weight 0 and those off a map's line are none.
 * @param {number[]} values @param {Pick<ExamplePanel, "rows" | "columns" | "line">} grid @param {Place} place @returns {Key[]} */
export const strongest = (values, { rows, columns, line }, place, most = KEYS) => {
  const valid = line ? lines(line, [rows, columns], place) : null;
  return values
    .map((weight, at) => ({ x: ((at % columns) + 0.5) / columns, y: (Math.floor(at / columns) + 0.5) / rows, weight, at }))
    .filter(({ weight, at }) => weight > 0 && (!valid || valid[at]))
    .sort((a, b) => b.weight - a.weight)
    .slice(0, most)
    .map(({ x, y, weight }) => ({ x, y, weight }));
};

/** @param {ExamplePanel[]} panels */
const asking = (panels) => {
  const asked = panels.filter(({ picture, asked: own }) => picture && own);
  // What crosses is the row and the column again; a row goes first.
  return asked.length > 1 ? asked.filter(({ line }) => line !== "cross").sort((a, b) => Number(b.line === "row") - Number(a.line === "row")) : asked;
};
/** @param {ExamplePanel[]} panels */
const gates = (panels) => {
  const every = panels.filter(({ picture, asked, kind }) => picture && !asked && kind === "gate");
  const along = every.filter(({ rows, columns }) => rows === 1 || columns === 1);
  return along.length ? along : every;
};

/** As of linear attention: the keys are weighed once, for every query.
 * @param {ExamplePanel} panel */
const isSummary = ({ picture, asked, kind }) => picture && !asked && kind === "context";

/** How the block of these maps is shown at work; "" where it has none to show.
 * @param {ExamplePanel[]} panels @returns {Kind | ""} */
export const kindOf = (panels) => {
  if (asking(panels).length) return "lines";
  if (gates(panels).length) return "shutters";
  if (panels.some(isSummary)) return "summary";
  return panels.some(({ picture }) => !picture) ? "bars" : "";
};

/** From 0 to 1 while time goes from one moment to another, slow at both ends.
 * @param {number} time @param {number} from @param {number} to */
export const eased = (time, from, to) => {
  const share = between((time - from) / (to - from), 0, 1);
  return share * share * (3 - 2 * share);
};

/** What happens at a time of a run, in a sentence.
 * @param {ExamplePanel[]} panels @param {number} time */
export const caption = (panels, time) => {
  const kind = kindOf(panels);
  const begins = time < 0.5;
  if (kind === "lines") {
    const along = asking(panels).some(({ line }) => line);
    if (!begins) return say("The values come back in these shares and are added up in the query's place.");
    return along ? say("The query is compared with the places of its row, then with those of its column: the thicker a line, the larger the weight.")
      : say("The query is compared with every place: the thicker a line, the larger the weight.");
  }
  if (kind === "summary") return begins ? say("Every place gives to one summary, in the share of its weight.") : say("The query reads the summary, not the places.");
  if (kind === "shutters") return say("Each place is let through as far as its gate is open: the darker, the less is left.");
  if (panels.some(({ rows, picture }) => !picture && rows > 1)) return say("Each channel is made of all channels, in the shares of its row; places are not compared.");
  return say("Each channel is let through as far as its bar is high, the same at every place.");
};

/** @param {CanvasRenderingContext2D} context @param {Key[]} keys @param {Place} end @param {{colour: string, beside: number, most: number, grown: number, back: number}} how */
const drawKeys = (context, keys, end, { colour, beside, most, grown, back }) => {
  const { width, height } = context.canvas;
  const unit = width / 200;
  context.strokeStyle = context.fillStyle = colour;
  context.lineCap = "round";
  for (const { x, y, weight } of keys) {
    const [x0, y0, x1, y1] = [end.x * width, end.y * height, x * width, y * height];
    const far = Math.hypot(x1 - x0, y1 - y0) || 1;
    // Heads run side by side.
    const [aside, down] = [(-(y1 - y0) / far) * beside * unit, ((x1 - x0) / far) * beside * unit];
    const at = (/** @type {number} */ share) => /** @type {[number, number]} */ ([x0 + share * (x1 - x0) + aside, y0 + share * (y1 - y0) + down]);
    context.globalAlpha = 0.85;
    context.lineWidth = Math.max(0.4, 5 * (weight / most)) * unit;
    context.beginPath();
    context.moveTo(...at(0));
    context.lineTo(...at(grown));
    context.stroke();
    if (back <= 0 || back >= 1) continue;
    context.globalAlpha = 1;
    context.beginPath();
    context.arc(...at(1 - back), Math.max(1, 6 * Math.sqrt(weight / most)) * unit, 0, 2 * Math.PI);
    context.fill();
  }
};

/** @param {CanvasRenderingContext2D} context @param {ExamplePanel[]} panels @param {Place} pin @param {number} time */
const drawLines = (context, panels, pin, time) => {
  const asked = asking(panels);
  const middle = (/** @type {number} */ share, /** @type {number} */ count) => (Math.floor(share * count) + 0.5) / count;
  const query = { x: middle(pin.x, asked[0].columns), y: middle(pin.y, asked[0].rows) };
  const heads = asked.flatMap((panel, at) => (panel.heads ?? [panel.values]).map((values, head, all) => ({
    head, at, beside: 2 * (head - (all.length - 1) / 2), keys: strongest(values, panel, pin),
  })));
  const most = Math.max(...heads.flatMap(({ keys }) => keys.map(({ weight }) => weight)));
  for (const { head, at, beside, keys } of heads) {
    const from = (0.45 * at) / asked.length;
    drawKeys(context, keys, query, { colour: HEADS[head % HEADS.length], beside, most, grown: eased(time, from, from + 0.45 / asked.length), back: eased(time, 0.52, 0.95) });
  }
};
/** @param {CanvasRenderingContext2D} context @param {ExamplePanel[]} panels @param {Place} pin @param {number} time */
const drawSummary = (context, panels, pin, time) => {
  for (const panel of panels.filter(isSummary)) {
    const keys = strongest(panel.values, panel, pin, 4 * KEYS);
    const most = keys[0]?.weight ?? 1;
    drawKeys(context, keys, SUMMARY, { colour: HEADS[0], beside: 0, most, grown: 1, back: eased(time, 0.05, 0.48) });
    const { width } = context.canvas;
    context.globalAlpha = 1;
    context.fillStyle = HEADS[0];
    context.fillRect((SUMMARY.x - 0.05) * width, (SUMMARY.y - 0.05) * width, 0.1 * width, 0.1 * width);
    context.fillStyle = "#101010";
    context.font = `bold ${Math.round(0.08 * width)}px sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText("Σ", SUMMARY.x * width, (SUMMARY.y + 0.005) * width);
    drawKeys(context, [{ ...SUMMARY, weight: most }], pin, { colour: HEADS[7], beside: 0, most, grown: eased(time, 0.5, 0.6), back: eased(time, 0.6, 0.95) });
  }
};
/** @param {CanvasRenderingContext2D} context @param {ExamplePanel[]} panels @param {number} time */
const drawShutters = (context, panels, time) => {
  const { width, height } = context.canvas;
  const every = gates(panels);
  context.fillStyle = "#000000";
  every.forEach(({ values, rows, columns, high }, at) => {
    values.forEach((value, cell) => {
      const [row, column] = [Math.floor(cell / columns), cell % columns];
      // One after the other, from the first line to the last.
      const turn = (at + (rows > 1 ? row / rows : column / columns)) / every.length;
      context.globalAlpha = (1 - between(value / high, 0, 1)) * eased(time, 0.8 * turn, 0.8 * turn + 0.2);
      context.fillRect((column / columns) * width, (row / rows) * height, width / columns + 0.5, height / rows + 0.5);
    });
  });
};

/** Draw the block at work over the scene, at a time from 0, where it begins, to 1, where all is done.
 * @param {CanvasRenderingContext2D} context @param {ExamplePanel[]} panels @param {Place} pin @param {number} time */
export const work = (context, panels, pin, time) => {
  const kind = kindOf(panels);
  context.save();
  if (kind === "lines" || kind === "summary") {
    context.globalAlpha = 0.55;
    context.fillStyle = "#101010";
    context.fillRect(0, 0, context.canvas.width, context.canvas.height);
  }
  if (kind === "lines") drawLines(context, panels, pin, time);
  if (kind === "summary") drawSummary(context, panels, pin, time);
  if (kind === "shutters") drawShutters(context, panels, time);
  context.restore();
};

/** What plays a block's work: {element, at(), reset()}; at() gives the time of a run, null where none is shown.
 * `redraw()` draws what the time says.
 * @param {() => ExamplePanel[]} panelsOf @param {() => void} redraw */
export const player = (panelsOf, redraw) => {
  /** @type {number | null} */
  let began = null;
  let still = false; // the run is over, or was stopped: what it ends with stays
  const told = make("p", { class: "hint moving", role: "status" });
  const button = make("button", { type: "button", class: "main" });
  const element = make("div", { class: "player", hidden: true }, button, told);
  const at = () => (still ? 1 : began === null ? null : Math.min(1, (performance.now() - began) / DURATION_MS));
  const show = () => {
    const time = at();
    element.hidden = !kindOf(panelsOf());
    const heads = headsOf(panelsOf());
    write(button, time === null ? say("Watch it work") : still ? say("Hide it") : say("Stop"));
    write(told, time === null ? "" : caption(panelsOf(), time) + (heads > 1 ? ` ${say("{heads} heads, each in a colour of its own.", { heads })}` : ""));
    redraw();
  };
  const tick = () => {
    if (began === null || still) return;
    if ((at() ?? 1) >= 1) still = true;
    else requestAnimationFrame(tick);
    show();
  };
  const reset = () => { began = null; still = false; show(); };
  button.addEventListener("click", () => {
    if (still) { reset(); return; }
    if (began !== null || matchMedia("(prefers-reduced-motion: reduce)").matches) still = true;
    began ??= performance.now();
    show();
    tick();
  });
  return { element, at, show, reset };
};

/** How many heads' lines are drawn, each in its colour: of several a word has to be said.
 * @param {ExamplePanel[]} panels */
export const headsOf = (panels) => Math.max(1, ...asking(panels).map(({ heads }) => heads?.length ?? 1));
