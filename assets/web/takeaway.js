// A picture or a map to take away: at twice its size on the screen, with what it shows and the link that shows it again.
/** @import { Row, TakenFrom } from "./modules" */
import { hear, tell } from "./bus.js";
import * as chosen from "./chosen.js";
import { stopsOf } from "./colours.js";
import { make, penOf, svg } from "./dom.js";
import { address } from "./link.js";
import { offer } from "./offer.js";
import { sharpen, widthOf } from "./panel.js";
import { withTexts } from "./png-text.js";
import { isAnswered, now, shownRows } from "./shown.js";
import { VIEWS } from "./views.js";
import { say } from "./words.js";

const TWICE = 2;
//: px of what is taken away: its least width, its margin, its letters and their lines, the bar of colours.
const SHEET = { least: 720, margin: 16, letters: 20, line: 27, bar: 16 };
const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";

/** @typedef {{text: string, x: number, y: number, end?: boolean}} Line `end`: x is where it ends */
/** @typedef {{map: string, low: string, high: string}} Scale the colours and what is written at their ends */
/** @typedef {{canvas: HTMLCanvasElement, name: string, scale: Scale | null, words: string[], link: string}} Taken */

// ---- what is taken

/** The row that a canvas is in; none has what shows all models or two of them. */
/** @param {HTMLCanvasElement} canvas @returns {Row | undefined} */
const rowOf = (canvas) => shownRows().find((row) => row.element.contains(canvas));

/** What is shown, in sentences. */
/** @param {TakenFrom} from @param {Scale | null} scale */
const wordsOf = ({ canvas, part }, scale) => {
  const row = rowOf(canvas);
  const { answer, look } = now;
  return [
    isAnswered(row?.data) ? row.data.spec : chosen.models().join(", "),
    canvas.getAttribute("aria-label") ?? "",
    part?.where.title ?? "",
    part?.about.textContent ?? "",
    scale ? say("Colours from {low} to {high}.", { low: scale.low, high: scale.high }) : "",
    answer ? `${answer.identity ? say("Not moved.") : say("Moved: {move}.", { move: say(answer.transform) })} ${part?.shown && !answer.identity ? say(VIEWS[look.view]) : ""}`.trim() : "",
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

/** @param {TakenFrom} from @returns {Promise<Taken>} */
const take = async (from) => {
  const { canvas, name, part } = from;
  const data = rowOf(canvas)?.data;
  const scale = part?.shown ? { map: part.shown.range.map, low: part.low.textContent ?? "", high: part.high.textContent ?? "" } : null;
  const file = [isAnswered(data) && data.asked, name].filter(Boolean).join("-").replace(/[^\w.#+@-]+/g, "-");
  return { canvas: await twice(canvas), name: file, scale, words: wordsOf(from, scale), link: address() };
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
const laidOut = ({ canvas, scale, words, link }) => {
  const { least, margin, letters, line, bar } = SHEET;
  const width = Math.max(canvas.width, least);
  const pen = penOf(document.createElement("canvas"));
  pen.font = `${letters}px ${FONT}`;
  let y = canvas.height + margin;
  /** @type {Line[]} */
  const caption = [];
  const strip = scale ? { x: 0, y, width: canvas.width, height: bar } : null;
  if (scale) {
    y += bar + line;
    caption.push({ text: scale.low, x: 0, y }, { text: scale.high, x: canvas.width, y, end: true });
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
  if (strip && taken.scale) {
    const colours = pen.createLinearGradient(0, 0, strip.width, 0);
    for (const { at, colour } of stopsOf(taken.scale.map)) colours.addColorStop(at, colour);
    pen.fillStyle = colours;
    pen.fillRect(strip.x, strip.y, strip.width, strip.height);
  }
  pen.font = `${SHEET.letters}px ${FONT}`;
  for (const [lines, ink] of /** @type {[Line[], string][]} */ ([[caption, "#1a1a1a"], [linked, "#1d4ed8"]])) {
    pen.fillStyle = ink;
    for (const { text, x, y, end } of lines) { pen.textAlign = end ? "right" : "left"; pen.fillText(text, x, y); }
  }
  /** @type {Blob} */
  const plain = await new Promise((done, fail) => { sheet.toBlob((blob) => (blob ? done(blob) : fail(new Error("no PNG"))), "image/png"); });
  // The link can be read where it is drawn, and copied from where a figure of the server has it too.
  const texts = { Title: taken.words.join(" "), Source: taken.link };
  return new Blob(withTexts(new Uint8Array(await plain.arrayBuffer()), texts), { type: "image/png" });
};

/** @param {Taken} taken */
const asSvg = (taken) => {
  const { width, height, caption, linked, strip } = laidOut(taken);
  const { canvas, scale, words, link } = taken;
  const drawn = svg("svg", { xmlns: "http://www.w3.org/2000/svg", width: width / TWICE, height: height / TWICE, viewBox: `0 0 ${width} ${height}`, "font-family": FONT, "font-size": SHEET.letters });
  const lines = (/** @type {Line[]} */ all, /** @type {string} */ ink) => all.map(({ text, x, y, end }) => svg("text", { x, y, fill: ink, "text-anchor": end ? "end" : "start" }, text));
  drawn.append(svg("title", {}, words.join(" ")), svg("desc", {}, link), svg("rect", { width, height, fill: "#ffffff" }),
    svg("image", { href: canvas.toDataURL("image/png"), width: canvas.width, height: canvas.height, style: "image-rendering: pixelated" }));
  if (strip && scale) {
    const colours = svg("linearGradient", { id: "scale" });
    colours.append(...stopsOf(scale.map).map(({ at, colour }) => svg("stop", { offset: at, "stop-color": colour })));
    drawn.append(colours, svg("rect", { ...strip, fill: "url(#scale)" }));
  }
  const way = svg("a", { href: link });
  way.append(...lines(linked, "#1d4ed8"));
  drawn.append(...lines(caption, "#1a1a1a"), way);
  return new Blob([new XMLSerializer().serializeToString(drawn)], { type: "image/svg+xml" });
};

// ---- taking it

/** @param {Blob} blob @param {string} name */
const give = (blob, name) => {
  const href = URL.createObjectURL(blob);
  offer(href, name);
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
};

/** @type {Record<"png" | "svg" | "copy", (from: TakenFrom) => Promise<void>>} */
const WAYS = {
  png: async (from) => {
    const taken = await take(from);
    give(await asPng(taken), `${taken.name}.png`);
  },
  svg: async (from) => {
    const taken = await take(from);
    give(asSvg(taken), `${taken.name}.svg`);
  },
  copy: async (from) => {
    const taken = take(from);
    const made = taken.then(asPng);
    try {
      // Safari wants what is written within the click, and waits for it.
      await navigator.clipboard.write([new ClipboardItem({ "image/png": made })]);
      tell("said", say("Copied"));
    } catch {
      give(await made, `${(await taken).name}.png`);
      tell("notice", say("This browser did not let the picture into the clipboard, so it is saved as a file."));
    }
  },
};

/** @type {TakenFrom | null} what the menu is about */
let of = null;
const menu = make("div", { class: "takeaway", popover: "auto", role: "group" });
const choose = (/** @type {keyof typeof WAYS} */ way) => {
  const from = of;
  menu.hidePopover();
  if (from) WAYS[way](from).catch(() => tell("notice", say("This browser could not make the picture.")));
};

/** Let pictures and maps be taken away from now on. */
export const begin = () => {
  menu.append(
    make("button", { type: "button", text: say("Save as PNG"), onclick: () => choose("png") }),
    make("button", { type: "button", text: say("Save as SVG"), onclick: () => choose("svg") }),
    make("button", { type: "button", text: say("Copy the picture"), onclick: () => choose("copy") }));
  menu.addEventListener("toggle", (event) => {
    if (/** @type {ToggleEvent} */ (event).newState === "closed") menu.previousElementSibling?.removeAttribute("aria-expanded");
  });
  hear("takeaway", ({ button, title, ...from }) => {
    of = from;
    menu.setAttribute("aria-label", title);
    // Beside its button in the page, so that the keyboard goes on from there and comes back.
    button.after(menu);
    menu.showPopover();
    button.setAttribute("aria-expanded", "true");
    const at = button.getBoundingClientRect();
    menu.style.left = `${Math.max(4, Math.min(at.left, innerWidth - menu.offsetWidth - 4))}px`;
    menu.style.top = `${at.bottom + menu.offsetHeight + 4 > innerHeight ? Math.max(4, at.top - menu.offsetHeight - 2) : at.bottom + 2}px`;
    menu.querySelector("button")?.focus();
  });
};
