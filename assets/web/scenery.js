// A scene's layers and a photograph, drawn here as they are now, so that what is shown follows the pointer at once.
/** @import { Asked } from "./modules" */
/** @import { Scene } from "./view" */
/** @import { SceneLayers, Size } from "./wire" */
import { penOf } from "./dom.js";
import { moveIn } from "./geometry.js";
import { hatch } from "./panel.js";
import * as questions from "./question.js";
import { named } from "./question.js";
import { isAnswered, now } from "./shown.js";

const KEPT = 12;

/** @type {Map<string, {scene: Required<Scene>, share: number, background: HTMLImageElement, object: HTMLImageElement}>} by the scene as a text */
const layers = new Map();

/** Learn a scene's layers from the server's text. */
/** @param {string} text */
export const learn = async (text) => {
  /** @type {SceneLayers} */
  const { scene, share, ...uris } = JSON.parse(text);
  const [background, object] = await Promise.all([uris.background, uris.object].map(async (uri) => {
    const image = new Image();
    image.src = uri;
    await image.decode();
    return image;
  }));
  layers.set(named(scene), { scene, share, background, object });
  if (layers.size > KEPT) layers.delete([...layers.keys()][0]);
};

/** A scene's layers, where they are here. */
/** @param {Scene | null} scene */
export const known = (scene) => scene && layers.get(named(scene));

/** Draw the question's scene as it is now; false where its layers are not here yet. */
/** @param {CanvasRenderingContext2D} context @param {Asked} question */
export const draw = (context, question) => {
  const found = known(question.scene);
  if (!found) return false;
  const { width, height } = context.canvas;
  const [rows, columns] = questions.frame();
  const { dx = 0, dy = 0 } = found.scene;
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  context.drawImage(found.background, 0, 0, width, height);
  context.save();
  context.translate((0.5 + dx + question.dx / columns) * width, (0.5 + dy + question.dy / rows) * height);
  context.rotate((-question.angle * Math.PI) / 180);
  const across = found.share * question.zoom * width;
  context.drawImage(found.object, -across / 2, -across / 2, across, across);
  context.restore();
  return true;
};

/** Draw the photograph as it is now, from what the models saw of it before the move; false where that is not here. */
/** @param {CanvasRenderingContext2D} context @param {Asked} question */
export const drawPicture = (context, question) => {
  const { answer, images } = now;
  const row = answer && !answer.at.scene && answer.at.picture === question.picture && answer.rows.find(isAnswered);
  if (!row) return false;
  const { width, height } = context.canvas;
  const { linear: [[a, b], [c, d]], offset } = moveOf(question);
  const { colour } = images[row.images[0]];
  context.fillStyle = hatch(context);
  context.fillRect(0, 0, width, height);
  context.save();
  context.imageSmoothingEnabled = true;
  context.setTransform(a, c * (height / width), b * (width / height), d, offset[0] * width, offset[1] * height);
  context.drawImage(colour, 0, 0, width, height);
  context.restore();
  return true;
};

const small = document.createElement("canvas");
const shrunk = document.createElement("canvas");
/** The same as a model of this input size would see it, nearly; the answer brings what it does see. Null: not known yet. */
/** @param {Asked} question @param {Size} size */
export const preview = (question, [height, width]) => {
  const scale = width > 112 ? 1 : Math.max(1, Math.floor(384 / width));
  small.width = width * scale;
  small.height = height * scale;
  const context = penOf(small);
  if (!(question.scene ? draw(context, question) : drawPicture(context, question))) return null;
  if (scale === 1) return small;
  shrunk.width = width;
  shrunk.height = height;
  const pen = penOf(shrunk);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(small, 0, 0, width, height);
  return shrunk;
};

/** What becomes of places by the move as it is now. */
/** @param {Asked} question */
export const moveOf = (question) => moveIn(question, questions.frame());
