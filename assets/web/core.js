// What the parts of the page share: small DOM helpers, decoding of raw numbers, and one place to meet.
"use strict";
window.explorer = window.explorer || {};
(() => {
  const explorer = window.explorer;

  /** Parts talk to each other here: "models", "frame", "pins", "ask", "asked", "answered", "bank", "hover", "progress", "tab", "layer". */
  explorer.bus = new EventTarget();
  explorer.tell = (type, detail) => explorer.bus.dispatchEvent(new CustomEvent(type, { detail }));
  explorer.hear = (type, listener) => explorer.bus.addEventListener(type, (event) => listener(event.detail));

  /** Make an element. Text is always text: nothing that came from elsewhere is ever read as markup. */
  explorer.make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "text") element.textContent = value;
      else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  };

  /** Set an element's text without touching the page where it is the same. */
  explorer.write = (element, text) => {
    if (element.textContent !== text) element.textContent = text;
  };

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

  explorer.bytes = (base64) => {
    const text = atob(base64);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return bytes;
  };

  const size = (shape) => shape.reduce((product, one) => product * one, 1);

  /** The numbers of a reference {o: offset, s: shape, t: type} into a blob; `from` and `count` take a part of them. */
  explorer.numbers = (blob, reference, from = 0, count = size(reference.s) - from) => {
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

  /** Three significant digits, short. */
  explorer.digits = (value) => {
    if (!Number.isFinite(value)) return "not a number";
    if (value === 0) return "0";
    const size = Math.abs(value);
    if (size >= 1e5 || size < 1e-4) {
      const [number, power] = value.toExponential(1).split("e");
      return `${number} × 10${[...power.replace("+", "")].map((sign) => (sign === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[sign])).join("")}`;
    }
    return String(Number(value.toPrecision(3)));
  };
})();
