// What a PNG says of itself: texts by their keywords, as chunks of the kind iTXt (PNG specification, 11.3.3.4).

//: Bytes of a PNG's signature and of its first chunk, which has to come first.
const FIRST = 33;

//: The remainders of every byte, for the check sum of a chunk (ISO 3309).
const REMAINDERS = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit += 1) rest = rest & 1 ? 0xedb88320 ^ (rest >>> 1) : rest >>> 1;
  return rest;
});
/** @param {Uint8Array} bytes */
const sumOf = (bytes) => ~bytes.reduce((sum, byte) => REMAINDERS[(sum ^ byte) & 255] ^ (sum >>> 8), 0xffffffff);

/** @param {string} keyword @param {string} text */
const chunk = (keyword, text) => {
  // Not compressed, of no language, its keyword not translated.
  const said = new TextEncoder().encode(`iTXt${keyword}\0\0\0\0\0${text}`);
  const made = new Uint8Array(said.length + 8);
  const view = new DataView(made.buffer);
  view.setUint32(0, said.length - 4);
  made.set(said, 4);
  view.setInt32(said.length + 4, sumOf(said));
  return made;
};

/** The parts of a PNG that says these texts of itself, to be put together. */
/** @param {Uint8Array<ArrayBuffer>} png @param {Record<string, string>} texts keyword -> text */
export const withTexts = (png, texts) => [png.subarray(0, FIRST), ...Object.entries(texts).map(([keyword, text]) => chunk(keyword, text)), png.subarray(FIRST)];
