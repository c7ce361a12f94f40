// The page's address holds its state: opening it shows the same view, and what cannot be shown is said.
/** @import { State } from "./modules" */
import { hear, tell } from "./bus.js";
import { FOREIGN, read, write } from "./link-text.js";
import * as state from "./state.js";
import * as undo from "./undo.js";
import { say } from "./words.js";

//: What of the query goes along with a link. Whoever hosts the page may keep more there, as a token of this visitor.
const QUERY = ["__theme", "__lang"];
//: Where a Space is shown in a frame; it puts what it is told into the address that is seen.
const HOST_PAGE = "https://huggingface.co";

/** @param {string[]} problems */
const notice = (problems) => {
  if (problems.length) tell("notice", `${say("This link could not restore everything.")} ${problems.join(" ")}`);
};

const restore = () => {
  const { state: wanted, unread } = read(location.hash);
  const problems = unread.map((name) => say("“{name}” cannot be read.", { name }));
  notice([...problems, ...state.apply(wanted)]);
};

/** What is on the screen, as the part of an address from the # on. */
const view = () => {
  const foreign = location.hash.slice(1).split("&").filter((one) => FOREIGN.includes(one.split("=")[0]));
  return `#${[write(state.get()), ...foreign].join("&")}`;
};
/** The query without what is nobody else's. */
const query = () => {
  const kept = new URLSearchParams([...new URLSearchParams(location.search)].filter(([name]) => QUERY.includes(name)));
  return String(kept) && `?${kept}`;
};
/** The address of what is on the screen, to be given to others. */
export const address = () => `${location.origin}${location.pathname}${query()}${view()}`;
/** Whether the page's address says one of these parts of the state. */
/** @param {...(keyof State)} names */
export const asks = (...names) => names.some((name) => name in read(location.hash).state);

/** Tell whoever shows the page in a frame what its address is. */
/** @param {string} hash */
const tellHost = (hash) => {
  // As huggingface.co/docs/hub/spaces-handle-url-parameters has it.
  if (window.parent !== window) window.parent.postMessage({ queryString: query(), hash }, HOST_PAGE);
};

/** Show what the address says, and keep it as the page is from now on. */
export const begin = () => {
  hear("unrestored", notice);
  restore();
  undo.begin({ address: view, hears: tellHost, read: restore });
};
