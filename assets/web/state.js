// The page's whole state as one object: taken from its parts, given back to them, and kept in the address.
/** @import { State } from "./modules" */
import { tell } from "./bus.js";
import { say } from "./words.js";

//: Who keeps which part of the state; set(value) gives a sentence where it could not be restored.
/** @type {Map<string, {get: () => unknown, set: (value: unknown) => string}>} */
const keepers = new Map();

/** Let a part of the page keep a part of the state; what it is given may come from a link, and be anything. */
/**
 * @template {keyof State} Name
 * @param {Name} name
 * @param {() => State[Name]} get
 * @param {(value: unknown) => string} set
 */
export const keep = (name, get, set) => { keepers.set(name, { get, set }); };

/** The state as it is now. */
export const get = () => /** @type {State} */ (/** @type {unknown} */ (Object.fromEntries([...keepers].map(([name, { get: own }]) => [name, own()]))));

let applying = false;
/** The visitor changed something; what a state that is put on the page changes is no deed of theirs. */
export const did = () => { if (!applying) tell("did"); };

/** Put a state, or a part of one, on the page; returns a sentence for each thing that could not be restored. */
/** @param {Record<string, unknown>} state */
export const apply = ({ models, ...rest }) => {
  // The models first: the move is in pixels of the first one's input.
  const state = models === undefined ? rest : { models, ...rest };
  const outer = applying;
  applying = true;
  try {
    return Object.entries(state).flatMap(([name, value]) => {
      const keeper = keepers.get(name);
      return (keeper ? keeper.set(value) : say("This page knows nothing called “{name}”.", { name })) || [];
    });
  } finally { applying = outer; }
};
