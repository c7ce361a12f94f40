// Giving a file to the visitor.
import { make } from "./dom.js";

/** Have the browser save what stands at an address. */
/** @param {string} href @param {string} name of the file */
export const offer = (href, name) => { make("a", { href, download: name }).click(); };
