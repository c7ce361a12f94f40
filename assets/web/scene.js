// What is shown, large, and as the models see it: it follows the pointer at once.
/** @import { Call } from "./modules" */
/** @import { Size } from "./wire" */
import { hear, tell } from "./bus.js";
import { make, need, write } from "./dom.js";
import { asking } from "./live.js";
import { drawPins, fill, fit, hatch, hatchBorder, takeButton, widthOf } from "./panel.js";
import { askFrom } from "./pins.js";
import { steer } from "./pointing.js";
import * as questions from "./question.js";
import { named } from "./question.js";
import { draw, drawPicture, known, learn, moveOf, preview } from "./scenery.js";
import { isAnswered, now } from "./shown.js";
import { pushes } from "./story.js";
import { say, sayClass } from "./words.js";

/** What is shown as it is now, large, and as the models see it. */
/** @param {HTMLElement} element @param {{first: string, server: {layers: Call}}} handles */
export const scene = (element, { first, server }) => {
  const canvas = make("canvas", { role: "img", tabindex: 0, "aria-label": say("What is shown") });
  const seen = make("canvas", { role: "img", "aria-label": say("The same as the models see it") });
  const words = make("p");
  const hint = make("p", { class: "nudge", "aria-hidden": "true", text: say("Drag me") });
  const root = need(element, ".part");
  root.replaceChildren(make("div", { class: "large" }, canvas, takeButton(canvas, say("What is shown"), "picture"), hint), make("div", { class: "seen" }, seen, pushes(), words));
  // The layers of the first scene come with the page, and are decoded by and by.
  let asked = named(JSON.parse(first).scene);

  const show = () => {
    const question = questions.get();
    if (!widthOf(canvas)) return;
    const { answer, images } = now;
    const row = answer?.rows.find(isAnswered);
    /** @type {Size} */
    const size = row ? row.size : [48, 48];
    const context = fit(canvas, question.scene ? [1, 1] : size);
    const exact = answer && row && questions.isAnsweredBy(answer) ? images[row.images[1]].colour : null;
    if (exact && row && !question.scene) {
      fill(context, exact, Infinity);
      hatchBorder(context, row.move);
    } else if (!(question.scene ? draw(context, question) : drawPicture(context, question))) {
      if (exact) fill(context, exact, Infinity);
      else { context.fillStyle = hatch(context); context.fillRect(0, 0, canvas.width, canvas.height); }
    }
    const source = exact || preview(question, size);
    if (source) fill(fit(seen, size), source, Math.max(...size));
    drawPins(context, moveOf(question));
    const first = answer?.rows.some((one) => isAnswered(one) && one.size[0] !== size[0]);
    const sides = { width: size[1], height: size[0] };
    write(words, first ? say("{width} × {height} px: what the first model sees", sides) : say("{width} × {height} px: what the models see", sides));
    const what = question.scene
      ? say("The scene: {label}, {texture}, on {background}.", { label: sayClass(question.scene.label), texture: say(question.scene.texture), background: say(question.scene.background) })
      : question.picture.startsWith("own:") ? say("Your own photograph.") : say("The photograph {name}.", { name: question.picture });
    const at = say("Moved by {dx} px to the right and {dy} px down, zoom {zoom}.", { dx: question.dx, dy: question.dy, zoom: question.zoom });
    canvas.setAttribute("aria-label", `${what} ${at} ${say("Drag or use the arrow keys to move it, plus and minus to rescale it, 0 to put it back; W, A, S and D move the pin.")}`);
    if (question.scene && asked !== named(question.scene)) {
      asked = named(question.scene);
      if (!known(question.scene)) ask(() => ({ question: questions.copy() }));
    }
  };
  let frame = 0;
  const soon = () => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(show);
  };
  /** @param {string} text */
  const receive = async (text) => {
    await learn(text);
    soon();
  };
  const ask = asking(server.layers, { deliver: (/** @type {string} */ text) => (text ? receive(text) : undefined) });

  steer(canvas, { wheel: true, hover: () => tell("hover"), ask: (place, event) => askFrom(moveOf(questions.get()), place, event) });
  hear("asked", () => {
    const { dx, dy, zoom } = questions.get();
    if (dx || dy || zoom !== 1) hint.hidden = true;
    soon();
  });
  hear("pins", soon);
  hear("answered", soon);
  hear("resized", soon);
  new ResizeObserver(soon).observe(root);
  receive(first);
  soon();
};
