// The places that attention is asked from: pins, of which the one whose maps are shown is the present one.
/** @import { Place } from "./view" */
/** @import { Move } from "./wire" */
import { tell } from "./bus.js";
import { backward, clampShare } from "./geometry.js";
import * as questions from "./question.js";
import { now } from "./shown.js";
import { say } from "./words.js";

/** Put another pin somewhere and show its maps. */
/** @param {Place | null} at */
export const addPin = (at = null) => {
  const { pins } = questions.get();
  if (pins.length >= questions.MOST_PINS) return;
  const last = pins[pins.length - 1];
  now.pin = pins.length;
  questions.set({ pins: [...pins, at || { x: clampShare((last.x + 0.17) % 1), y: clampShare((last.y + 0.11) % 1) }] });
  tell("pins");
};

/** Take the present pin out. */
export const takeOut = () => {
  const pins = questions.get().pins.filter((_, number) => number !== now.pin);
  now.pin = 0;
  questions.set({ pins });
  tell("pins");
};

/** Show the maps of another pin. */
/** @param {number} number */
export const choosePin = (number) => {
  now.pin = number;
  questions.set({}, false);
  tell("pins");
};

/** Ask from a place of the moved picture, `move` null for one of the picture as it was. */
/** @param {Move | null} move @param {Place} place @param {PointerEvent} [event] */
export const askFrom = (move, place, event) => {
  const { pin, scene } = questions.get();
  const before = move && pin !== "place" ? backward(move, place) : place;
  if (!before) {
    tell("said", scene ? say("That place is none of the object's before the move.") : say("That place shows the border, not the picture."));
  } else if (event?.shiftKey) addPin(before);
  else tell("ask", before);
};
