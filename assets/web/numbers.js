// Raw numbers as the server sends them, and numbers as people read them.

import { msg } from "./words.js";
// Every float16 there is, once: 65,536 numbers, faster to look up than to compute.
const half = new Float32Array(65536);
for (let bits = 0; bits < 65536; bits++) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) half[bits] = fraction ? NaN : sign * Infinity;
  else if (exponent === 0) half[bits] = sign * fraction * 2 ** -24;
  else half[bits] = sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** The bytes of a base64 text. */
/** @param {string} base64 */
export const bytes = (base64) => {
  const text = atob(base64);
  const found = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) found[i] = text.charCodeAt(i);
  return found;
};

/** @param {number[]} shape */
const size = (shape) => shape.reduce((product, one) => product * one, 1);

/** The numbers of a reference {o: offset, s: shape, t: type} into a blob; `from` and `count` take a part of them. */
/**
 * @param {Uint8Array<ArrayBuffer>} blob
 * @param {{o: number, s: number[], t: string}} reference
 * @param {number} from
 * @param {number} count
 */
export const numbers = (blob, reference, from = 0, count = size(reference.s) - from) => {
  if (reference.t === "f2") {
    const raw = new Uint16Array(blob.buffer, blob.byteOffset + reference.o + 2 * from, count);
    const out = new Float32Array(count);
    for (let i = 0; i < count; i++) out[i] = half[raw[i]];
    return out;
  }
  if (reference.t === "f4") return new Float32Array(blob.buffer, blob.byteOffset + reference.o + 4 * from, count);
  if (reference.t === "i4") return new Int32Array(blob.buffer, blob.byteOffset + reference.o + 4 * from, count);
  return new Uint8Array(blob.buffer, blob.byteOffset + reference.o + from, count);
};

/** The same of a reference to float16 or float32, as attention goes over. */
/** @param {[Uint8Array<ArrayBuffer>, {o: number, s: number[], t: string}, number?, number?]} part */
export const floats = (...part) => /** @type {Float32Array} */ (numbers(...part));

/** Three significant digits, short. */
/** @param {number} value */
export const digits = (value) => {
  if (!Number.isFinite(value)) return msg("not a number");
  if (value === 0) return "0";
  const far = Math.abs(value);
  if (far >= 1e5 || far < 1e-4) {
    const [number, power] = value.toExponential(1).split("e");
    return `${number} × 10${[...power.replace("+", "")].map((sign) => (sign === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(sign)])).join("")}`;
  }
  return String(Number(value.toPrecision(3)));
};
