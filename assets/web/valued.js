// A part that is drawn of its value, which the server writes as JSON.
/** @import { Handles } from "./modules" */
import { need } from "./dom.js";

/** Draw a part of what its value says, and anew when that changes; without a value it is empty. Returns what draws it. */
/**
 * @template Value
 * @param {HTMLElement} element
 * @param {Pick<Handles, "props" | "watch">} handles
 * @param {(root: HTMLElement, value: Value) => void} draw
 */
export const valued = (element, { props, watch }, draw) => {
  const root = need(element, ".part");
  const show = () => {
    if (typeof props.value === "string" && props.value) draw(root, JSON.parse(props.value));
    else root.replaceChildren();
  };
  show();
  watch("value", show);
  return show;
};
