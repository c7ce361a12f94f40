// Moving and asking with pointer, fingers, wheel and keys: the same on every picture.
/** @import { Asked } from "./modules" */
/** @import { Place } from "./view" */
import { tell } from "./bus.js";
import { between, clampShare } from "./geometry.js";
import * as questions from "./question.js";
import { now } from "./shown.js";
const DRAG_PX = 4;
const ZOOM = { least: 0.25, most: 4, key: 1.1, wheel: 0.0015, pinch: 0.01 };
//: Which way a key goes, across and down: the picture, and the pin.
/** @type {Record<string, [number, number] | undefined>} */
export const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
/** @type {Record<string, [number, number] | undefined>} */
export const LETTERS = { a: [-1, 0], d: [1, 0], w: [0, -1], s: [0, 1] };
//: Pins move by this share of the frame at a key.
const PACE = 1 / 24;


/** @typedef {{clientX: number, clientY: number}} Pointer */
/**
 * Where it began, the move there, and how large the canvas stands on the page: asked anew at each step of a drag, that
 * would have the browser lay out the page between two frames.
 * @typedef {{x: number, y: number, dx: number, dy: number, zoom: number, width: number, height: number, moved: boolean}} Grasp
 */

/** Where a pointer is, in shares of a canvas. */
/** @param {HTMLCanvasElement} canvas @param {Pointer} event @returns {Place} */
export const placeOf = (canvas, event) => {
  const box = canvas.getBoundingClientRect();
  return {
    x: clampShare((event.clientX - box.left) / box.width),
    y: clampShare((event.clientY - box.top) / box.height),
  };
};

/** What everything is rescaled and turned about, in shares of the frame: a scene's object, a picture's middle. */
/** @param {Asked} question */
const centre = ({ scene }) => ({ x: 0.5 + (scene ? scene.dx || 0 : 0), y: 0.5 + (scene ? scene.dy || 0 : 0) });

/** Change the move. A scene is rendered anew wherever its object is; a picture goes by whole pixels, which is exact. */
/** @param {{dx?: number, dy?: number, zoom?: number}} change */
const move = (change) => {
  const question = questions.get();
  const { scene } = question;
  const [height, width] = questions.frame();
  const grid = scene ? 8 : 1;
  const shift = (/** @type {number} */ value, /** @type {number} */ size) => Math.round((scene ? between(value, -size, size) : value) * grid) / grid;
  /** @type {{dx?: number, dy?: number, zoom?: number}} */
  const next = {};
  if (change.dx !== undefined) next.dx = shift(change.dx, width);
  if (change.dy !== undefined) next.dy = shift(change.dy, height);
  if (change.zoom !== undefined) next.zoom = Number(between(change.zoom, ZOOM.least, scene ? Math.min(ZOOM.most, 4 / scene.scale) : ZOOM.most).toFixed(2));
  if (Object.entries(next).some(([name, value]) => question[/** @type {keyof typeof next} */ (name)] !== value)) questions.set(next);
};

/** Rescale about a place of the frame: what is there stays there, but for the rounding to whole pixels. */
/** @param {number} zoom @param {Place | null} place @param {{zoom: number, dx: number, dy: number}} from */
const rescale = (zoom, place, from = questions.get()) => {
  const question = questions.get();
  const [height, width] = questions.frame();
  const most = question.scene ? Math.min(ZOOM.most, 4 / question.scene.scale) : ZOOM.most;
  const factor = between(zoom, ZOOM.least, most) / from.zoom;
  if (!place) { move({ zoom: from.zoom * factor }); return; }
  const about = centre(question);
  const keep = (/** @type {number} */ at, /** @type {number} */ middle, /** @type {number} */ shift) => at - middle - factor * (at - middle - shift);
  move({
    zoom: from.zoom * factor,
    dx: keep(place.x, about.x, from.dx / width) * width,
    dy: keep(place.y, about.y, from.dy / height) * height,
  });
};

/**
 * Let a canvas move what is shown and ask from places in it.
 *   ask(place, event): a click, place in shares of the canvas; null where a click asks nothing.
 *   hover(event): the pointer is over it. movable(): whether a drag moves anything now.
 *   wheel: whether a plain wheel rescales; elsewhere it scrolls the page, and a pinch or ctrl + wheel rescales.
 */
/**
 * @param {HTMLCanvasElement} canvas
 * @param {{
 *   ask?: ((place: Place, event: PointerEvent) => void) | null, hover?: ((event: PointerEvent) => void) | null,
 *   movable?: () => boolean, wheel?: boolean,
 * }} how
 */
export const steer = (canvas, { ask = null, hover = null, movable = () => true, wheel = false }) => {
  /** @type {Map<number, Pointer>} pointer id -> where it is */
  const fingers = new Map();
  /** @type {Grasp | null} */
  let start = null;
  /** @type {Grasp & {apart: number} | null} */
  let pinch = null;

  const middle = () => {
    const [one, two] = [...fingers.values()];
    return { clientX: (one.clientX + two.clientX) / 2, clientY: (one.clientY + two.clientY) / 2, apart: Math.hypot(one.clientX - two.clientX, one.clientY - two.clientY) };
  };
  /** @param {Pointer} pointer @returns {Grasp} */
  const grasp = ({ clientX, clientY }) => {
    const { dx, dy, zoom } = questions.get();
    const { width, height } = canvas.getBoundingClientRect();
    return { x: clientX, y: clientY, dx, dy, zoom, width, height, moved: false };
  };
  /** @param {PointerEvent} event */
  const letGo = (event) => {
    fingers.delete(event.pointerId);
    pinch = null;
    // A finger that stays drags on from where it is.
    start = fingers.size === 1 ? { ...grasp([...fingers.values()][0]), moved: true } : null;
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    fingers.set(event.pointerId, event);
    if (movable()) canvas.setPointerCapture(event.pointerId);
    if (fingers.size === 2 && movable()) {
      start = null;
      const at = middle();
      pinch = { ...grasp(at), apart: at.apart };
    } else start = grasp(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (hover) hover(event);
    if (!fingers.has(event.pointerId)) return;
    fingers.set(event.pointerId, event);
    if (!movable()) return;
    const [height, width] = questions.frame();
    if (pinch) {
      const at = middle();
      const [across, down] = [((at.clientX - pinch.x) / pinch.width) * width, ((at.clientY - pinch.y) / pinch.height) * height];
      rescale(pinch.zoom * (at.apart / pinch.apart), placeOf(canvas, at), { zoom: pinch.zoom, dx: pinch.dx + across, dy: pinch.dy + down });
      return;
    }
    if (!start) return;
    const [across, down] = [event.clientX - start.x, event.clientY - start.y];
    if (!start.moved && Math.hypot(across, down) < DRAG_PX) return;
    start.moved = true;
    move({ dx: start.dx + (across / start.width) * width, dy: start.dy + (down / start.height) * height });
  });
  canvas.addEventListener("pointerup", (event) => {
    if (start && !start.moved && ask) ask(placeOf(canvas, event), event);
    letGo(event);
  });
  canvas.addEventListener("pointercancel", letGo);
  canvas.addEventListener("wheel", (event) => {
    if (!movable() || !(event.ctrlKey || wheel)) return;
    event.preventDefault();
    const pace = event.ctrlKey ? ZOOM.pinch : ZOOM.wheel * (event.deltaMode ? 30 : 1);
    rescale(questions.get().zoom * Math.exp(-event.deltaY * pace), placeOf(canvas, event));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { dx, dy, zoom, pins } = questions.get();
    const step = ARROWS[event.key];
    const pin = LETTERS[event.key];
    if (step) {
      const pace = event.shiftKey ? 8 : 1;
      move({ dx: dx + step[0] * pace, dy: dy + step[1] * pace });
    } else if (pin) {
      const { x, y } = pins[now.pin];
      tell("ask", { x: clampShare(x + pin[0] * PACE), y: clampShare(y + pin[1] * PACE) });
    } else if (event.key === "+" || event.key === "=") rescale(zoom * ZOOM.key, null);
    else if (event.key === "-") rescale(zoom / ZOOM.key, null);
    else if (event.key === "0") questions.reset();
    else return;
    event.preventDefault();
  });
};
