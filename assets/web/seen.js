// What a model sees in the present view: moved, as it was, pulled back, or how the last two differ.
/** @import { Decoded, Row } from "./modules" */
/** @import { Place } from "./view" */
/** @import { Answered, Move } from "./wire" */
import { penOf, write } from "./dom.js";
import { inverse } from "./geometry.js";
import { askedFrom } from "./maps.js";
import { badge, blank, drawPins, fill, fit, hatch, hatchBorder, outline } from "./panel.js";
import * as questions from "./question.js";
import { moveOf as moveNow, preview } from "./scenery.js";
import { now } from "./shown.js";
import { say } from "./words.js";

const work = { pulled: document.createElement("canvas"), plain: document.createElement("canvas") };
/** Draw the moved picture back where it was. */
/** @param {CanvasRenderingContext2D} pen @param {CanvasImageSource} moved @param {Move} move */
const drawBack = (pen, moved, move) => {
  const { width, height } = pen.canvas;
  const { linear: [[e, f], [g, h]], offset: [x, y] } = inverse(move);
  pen.save();
  pen.imageSmoothingEnabled = true;
  for (const across of move.cyclic ? [-1, 0, 1] : [0]) {
    for (const down of move.cyclic ? [-1, 0, 1] : [0]) {
      pen.setTransform(e, g * (height / width), f * (width / height), h, (x + across) * width, (y + down) * height);
      pen.drawImage(moved, 0, 0, width, height);
    }
  }
  pen.restore();
};

/** Hatch what of the frame is not in the moved picture. */
/** @param {CanvasRenderingContext2D} pen @param {Move} move */
const hatchLost = (pen, move) => {
  if (move.cyclic) return;
  pen.save();
  pen.beginPath();
  pen.rect(0, 0, pen.canvas.width, pen.canvas.height);
  outline(pen, inverse(move));
  pen.fillStyle = hatch(pen);
  pen.fill("evenodd");
  pen.restore();
};

/** Draw how the moved picture, drawn back, differs from the one before: white where it does not. */
/**
 * @param {CanvasRenderingContext2D} context @param {CanvasImageSource} before @param {CanvasImageSource} after
 * @param {Move} move
 */
const drawDifference = (context, before, after, move) => {
  const { width, height } = context.canvas;
  const [one, two] = [work.pulled, work.plain].map((canvas) => {
    canvas.width = width;
    canvas.height = height;
    return penOf(canvas, { willReadFrequently: true });
  });
  drawBack(one, after, move);
  two.imageSmoothingEnabled = true;
  two.drawImage(before, 0, 0, width, height);
  const [moved, plain] = [one.getImageData(0, 0, width, height), two.getImageData(0, 0, width, height)];
  for (let i = 0; i < moved.data.length; i += 4) {
    const change = Math.max(...[0, 1, 2].map((c) => Math.abs(moved.data[i + c] - plain.data[i + c])));
    moved.data[i] = moved.data[i + 1] = moved.data[i + 2] = 255 - change;
    moved.data[i + 3] = 255;
  }
  context.putImageData(moved, 0, 0);
};

/** Draw what a model sees in the present view; `ahead` what it is about to see, or null. */
/**
 * @param {CanvasRenderingContext2D} context @param {Answered} data @param {Decoded[]} images
 * @param {HTMLCanvasElement | null} ahead
 */
const drawSeen = (context, data, images, ahead) => {
  const [before, after] = data.images.map((number) => images[number].colour);
  const side = Math.max(...data.size);
  const { view } = now.look;
  if (view === "before") fill(context, before, side);
  else if (view === "after") {
    fill(context, ahead || after, side);
    if (!ahead && !now.answer?.at.scene) hatchBorder(context, data.move);
  } else {
    if (view === "pulled") {
      context.clearRect(0, 0, context.canvas.width, context.canvas.height);
      drawBack(context, after, data.move);
    } else drawDifference(context, before, after, data.move);
    hatchLost(context, data.move);
  }
};

/** What the model sees; of what moves on, what it is about to see. */
/** @param {Row} row @param {Answered} data @param {Decoded[]} images */
export const showSeen = (row, data, images) => {
  const { answer } = now;
  const question = questions.get();
  const part = row.seen;
  if (!answer || row.element.parentElement?.classList.contains("alike")) return;
  blank(part, "");
  part.scale.hidden = part.unit.hidden = true;
  const current = questions.isAnsweredBy(answer);
  const { view } = now.look;
  const ahead = view === "after" && !current ? preview(question, data.size) : null;
  const context = fit(part.canvas, data.size);
  drawSeen(context, data, images, ahead);
  const when = view === "after" ? "after" : "before";
  const move = ahead ? moveNow(question) : data.move;
  drawPins(context, move, when);
  const place = askedFrom(move, now.pin, when);
  const [height, width] = data.size;
  // What lies on a pixel's edge but for rounding belongs to the pixel that begins there.
  const at = (/** @type {Place} */ point) => `(${Math.floor(point.x * width + 1e-6)}, ${Math.floor(point.y * height + 1e-6)})`;
  const from = place ? say("asked from {place} px", { place: at(place) }) : say("the place asked from has left the picture");
  write(part.reading, from);
  write(part.where, `${width} × ${height} px`);
  write(part.about, answer.identity ? "" : say(answer.transform));
  badge(part.badge);
  part.canvas.setAttribute("aria-label", `${say("What {model} sees: {width} by {height} pixels, {move}.", { model: data.spec, width, height, move: say(answer.transform) })} ${from}`);
};
