// Where the parts of the page hear of each other; modules.d.ts lists what there is to tell.
/** @import { News } from "./modules" */

const bus = new EventTarget();

/** Tell every listener of a type. */
/** @type {<Type extends keyof News>(...told: undefined extends News[Type] ? [type: Type] : [type: Type, detail: News[Type]]) => void} */
export const tell = (type, ...detail) => { bus.dispatchEvent(new CustomEvent(String(type), { detail: detail[0] })); };

/** Hear what is told of a type. */
/** @type {<Type extends keyof News>(type: Type, listener: (detail: News[Type]) => void) => void} */
export const hear = (type, listener) => {
  bus.addEventListener(String(type), (event) => listener(/** @type {CustomEvent} */ (event).detail));
};
