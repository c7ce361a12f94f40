// A picture or a map to take away: at twice its size on the screen, with what it shows and the link that shows it again.
/** @import { Range, Row } from "./modules" */
import { hear, tell } from "./bus.js";
import * as chosen from "./chosen.js";
import { stopsOf } from "./colours.js";
import { svg } from "./cost-chart.js";
import { make, penOf } from "./dom.js";
import { address } from "./link.js";
import { digits } from "./numbers.js";
import { sharpen, widthOf } from "./panel.js";
import * as questions from "./question.js";
import { isAnswered, now, shownRows } from "./shown.js";
import { VIEWS } from "./views.js";
import { say } from "./words.js";

const TWICE = 2;
//: px of what is taken away: its least width, its margin, its letters and their lines, the bar of colours.
const SHEET = { least: 720, margin: 16, letters: 20, line: 27, bar: 16 };
const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";

/** @typedef {{text: string, x: number, y: number, end?: boolean}} Line `end`: x is where it ends */
/** @typedef {{canvas: HTMLCanvasElement, name: string, range: Range | null, words: string[], link: string}} Taken */

// ---- what is taken

/** The row whose panel a canvas is in. */
/** @param {HTMLCanvasElement} canvas @returns {Row | undefined} */
const rowOf = (canvas) => shownRows().find((row) => row.element.contains(canvas));

/** What a canvas shows, in sentences. */
/** @param {HTMLCanvasElement} canvas @param {Range | null} range */
const wordsOf = (canvas, range) => {
  const row = rowOf(canvas);
  const data = isAnswered(row?.data) ? row.data : null;
  const part = row && [row.attention, row.attribution].find((one) => one.canvas === canvas);
  const { answer, look } = now;
  return [
    data ? data.spec : chosen.models().join(", "),
    canvas.getAttribute("aria-label") ?? "",
    part?.where.title ?? "",
    range ? say("Colours from {low} to {high}.", { low: digits(range.low), high: digits(range.high) }) : "",
    answer ? `${answer.identity ? say("Not moved.") : say("Moved: {move}.", { move: say(answer.transform) })} ${part && !answer.identity ? say(VIEWS[look.view]) : ""}`.trim() : "",
  ].filter(Boolean);
};

const frame = () => new Promise((done) => { requestAnimationFrame(done); });
/** A copy of a canvas as it is drawn at twice its size on the screen. */
/** @param {HTMLCanvasElement} canvas */
const twice = async (canvas) => {
  const copy = document.createElement("canvas");
  const across = TWICE * Math.round(widthOf(canvas));
  sharpen(TWICE);
  try {
    // What hears of it draws within the next frame.
    tell("resized");
    await frame();
    await frame();
    copy.width = across;
    copy.height = Math.round((across * canvas.height) / canvas.width);
    const pen = penOf(copy);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(canvas, 0, 0, copy.width, copy.height);
  } finally {
    sharpen(0);
    tell("resized");
  }
  return copy;
};

/** @param {HTMLCanvasElement} canvas @returns {Promise<Taken>} */
const take = async (canvas) => {
  const row = rowOf(canvas);
  const part = row && [row.attention, row.attribution, row.seen].find((one) => one.canvas === canvas);
  const range = part?.shown?.range ?? null;
  const data = isAnswered(row?.data) ? row.data : null;
  const kind = part?.element.classList[1] ?? (questions.get().scene ? "scene" : "photograph");
  const name = [data?.asked, kind].filter(Boolean).join("-").replace(/[^\w.#+@-]+/g, "-");
  return { canvas: await twice(canvas), name, range, words: wordsOf(canvas, range), link: address() };
};

// ---- where everything stands on the sheet

/** A text in lines of a width; what has no spaces, as a link, is broken anywhere. */
/** @param {CanvasRenderingContext2D} pen @param {string} text @param {number} width */
const wrapped = (pen, text, width) => {
  const lines = [""];
  for (const word of text.match(/\S{1,24}\s*/g) ?? []) {
    const last = lines[lines.length - 1];
    if (last && pen.measureText((last + word).trimEnd()).width > width) lines.push(word);
    else lines[lines.length - 1] = last + word;
  }
  return lines.map((line) => line.trimEnd());
};

/** The sheet of what is taken: its size, the lines of the caption and of the link, and where the bar of colours is. */
/** @param {Taken} taken */
const laidOut = ({ canvas, range, words, link }) => {
  const { least, margin, letters, line, bar } = SHEET;
  const width = Math.max(canvas.width, least);
  const pen = penOf(document.createElement("canvas"));
  pen.font = `${letters}px ${FONT}`;
  let y = canvas.height + margin;
  /** @type {Line[]} */
  const caption = [];
  const strip = range ? { x: 0, y, width: canvas.width, height: bar } : null;
  if (range) {
    y += bar + line;
    caption.push({ text: digits(range.low), x: 0, y }, { text: digits(range.high), x: canvas.width, y, end: true });
  }
  const put = (/** @type {string} */ text) => wrapped(pen, text, width - 2 * margin).map((one) => { y += line; return { text: one, x: margin, y }; });
  for (const text of words) caption.push(...put(text));
  const linked = put(link);
  return { width, height: y + margin, caption, linked, strip };
};

/** @param {Taken} taken */
const asPng = async (taken) => {
  const { width, height, caption, linked, strip } = laidOut(taken);
  const sheet = document.createElement("canvas");
  Object.assign(sheet, { width, height });
  const pen = penOf(sheet);
  pen.fillStyle = "#ffffff";
  pen.fillRect(0, 0, width, height);
  pen.drawImage(taken.canvas, 0, 0);
  if (strip && taken.range) {
    const colours = pen.createLinearGradient(0, 0, strip.width, 0);
    for (const { at, colour } of stopsOf(taken.range.map)) colours.addColorStop(at, colour);
    pen.fillStyle = colours;
    pen.fillRect(strip.x, strip.y, strip.width, strip.height);
  }
  pen.font = `${SHEET.letters}px ${FONT}`;
  for (const [lines, ink] of /** @type {[Line[], string][]} */ ([[caption, "#1a1a1a"], [linked, "#1d4ed8"]])) {
    pen.fillStyle = ink;
    for (const { text, x, y, end } of lines) { pen.textAlign = end ? "right" : "left"; pen.fillText(text, x, y); }
  }
  return /** @type {Promise<Blob>} */ (new Promise((done, fail) => { sheet.toBlob((blob) => (blob ? done(blob) : fail(new Error("This browser makes no PNG."))), "image/png"); }));
};

/** @param {Taken} taken */
const asSvg = (taken) => {
  const { width, height, caption, linked, strip } = laidOut(taken);
  const { canvas, range, words, link } = taken;
  const drawn = svg("svg", { xmlns: "http://www.w3.org/2000/svg", width: width / TWICE, height: height / TWICE, viewBox: `0 0 ${width} ${height}`, "font-family": FONT, "font-size": SHEET.letters });
  const lines = (/** @type {Line[]} */ all, /** @type {string} */ ink) => all.map(({ text, x, y, end }) => svg("text", { x, y, fill: ink, "text-anchor": end ? "end" : "start" }, text));
  drawn.append(svg("title", {}, words.join(" ")), svg("desc", {}, link), svg("rect", { width, height, fill: "#ffffff" }),
    svg("image", { href: canvas.toDataURL("image/png"), width: canvas.width, height: canvas.height, style: "image-rendering: pixelated" }));
  if (strip && range) {
    const colours = svg("linearGradient", { id: "scale" });
    colours.append(...stopsOf(range.map).map(({ at, colour }) => svg("stop", { offset: at, "stop-color": colour })));
    drawn.append(colours, svg("rect", { ...strip, fill: "url(#scale)" }));
  }
  const way = svg("a", { href: link });
  way.append(...lines(linked, "#1d4ed8"));
  drawn.append(...lines(caption, "#1a1a1a"), way);
  return new Blob([new XMLSerializer().serializeToString(drawn)], { type: "image/svg+xml" });
};

// ---- taking it

/** Give a file to the visitor. */
/** @param {Blob} blob @param {string} name */
const offer = (blob, name) => {
  const href = URL.createObjectURL(blob);
  make("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
};

/** @type {Record<"png" | "svg" | "copy", (canvas: HTMLCanvasElement) => Promise<void>>} */
const WAYS = {
  png: async (canvas) => {
    const taken = await take(canvas);
    offer(await asPng(taken), `${taken.name}.png`);
  },
  svg: async (canvas) => {
    const taken = await take(canvas);
    offer(asSvg(taken), `${taken.name}.svg`);
  },
  copy: async (canvas) => {
    const taken = take(canvas);
    const made = taken.then(asPng);
    try {
      // Safari wants what is written within the click, and waits for it.
      await navigator.clipboard.write([new ClipboardItem({ "image/png": made })]);
      tell("said", say("Copied"));
    } catch {
      offer(await made, `${(await taken).name}.png`);
      tell("notice", say("This browser did not let the picture into the clipboard, so it is saved as a file."));
    }
  },
};

/** @type {HTMLCanvasElement | null} what the menu is about */
let of = null;
const menu = make("div", { class: "part takeaway", popover: "auto", role: "group" });
const choose = (/** @type {keyof typeof WAYS} */ way) => {
  const canvas = of;
  menu.hidePopover();
  if (canvas) WAYS[way](canvas);
};

/** Let pictures and maps be taken away from now on. */
export const begin = () => {
  menu.append(
    make("button", { type: "button", text: say("Save as PNG"), onclick: () => choose("png") }),
    make("button", { type: "button", text: say("Save as SVG"), onclick: () => choose("svg") }),
    make("button", { type: "button", text: say("Copy the picture"), onclick: () => choose("copy") }));
  hear("takeaway", ({ button, canvas, title }) => {
    of = canvas;
    menu.setAttribute("aria-label", title);
    // Beside its button in the page, so that the keyboard goes on from there and comes back.
    button.after(menu);
    menu.showPopover();
    const at = button.getBoundingClientRect();
    menu.style.left = `${Math.max(4, Math.min(at.left, innerWidth - menu.offsetWidth - 4))}px`;
    menu.style.top = `${at.bottom + menu.offsetHeight + 4 > innerHeight ? Math.max(4, at.top - menu.offsetHeight - 2) : at.bottom + 2}px`;
    menu.querySelector("button")?.focus();
  });
};
