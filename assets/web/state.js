// The page's whole state as one object: taken from its parts, given back to them, and kept in the address.
import { say } from "./words.js";

//: Who keeps which part of the state: name -> {get(), set(value) -> a sentence where it could not be restored}.
const keepers = new Map();

/** Let a part of the page keep a part of the state. */
export const keep = (name, get, set) => { keepers.set(name, { get, set }); };

/** {models, question, look, layers, tab, ...} as it is now. */
export const get = () => Object.fromEntries([...keepers].map(([name, { get: own }]) => [name, own()]));

/** Put a state, or a part of one, on the page; returns a sentence for each thing that could not be restored. */
export const apply = (state) => {
  const problems = [];
  for (const [name, value] of Object.entries(state)) {
    const keeper = keepers.get(name);
    const problem = keeper ? keeper.set(value) : say("This page knows nothing called “{name}”.", { name });
    if (problem) problems.push(problem);
  }
  return problems;
};
