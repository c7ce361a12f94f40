// Files that a visitor drops or chooses, those in folders too, each with its place in what was brought.

/** @typedef {{file: File, name: string}} Found a file and where it lies in what was brought */
/** @typedef {{found: Found[], left: number}} Gathered the files of kinds that are taken, and how many there are of others */

/** @param {string} name @param {string[]} endings */
const isOf = (name, endings) => endings.some((ending) => name.toLowerCase().endsWith(ending));

/** Those of an input; of a folder each with its path within. */
/** @param {HTMLInputElement} input @param {string[]} endings @returns {Gathered} */
export const ofInput = ({ files }, endings) => {
  const all = [...(files ?? [])].map((file) => ({ file, name: file.webkitRelativePath || file.name }));
  const found = all.filter(({ name }) => isOf(name, endings));
  return { found, left: all.length - found.length };
};

/** @param {FileSystemDirectoryReader} reader @returns {Promise<FileSystemEntry[]>} */
const read = (reader) => new Promise((done, failed) => { reader.readEntries(done, failed); });
/** @param {FileSystemFileEntry} entry @returns {Promise<File>} */
const opened = (entry) => new Promise((done, failed) => { entry.file(done, failed); });

/** What is dropped: files, and all that lies in folders; one more than `most` at most, so that too many are known as that. */
/** @param {Pick<DataTransfer, "items"> | null} dropped @param {string[]} endings @param {number} most @returns {Promise<Gathered>} */
export const gathered = async (dropped, endings, most) => {
  // The browser takes the list back when the event is over.
  const entries = [...(dropped?.items ?? [])].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  /** @type {Gathered} */
  const all = { found: [], left: 0 };
  /** @param {FileSystemEntry} entry */
  const take = async (entry) => {
    if (all.found.length > most) return;
    if (entry.isFile) {
      if (isOf(entry.name, endings)) all.found.push({ file: await opened(/** @type {FileSystemFileEntry} */ (entry)), name: entry.fullPath.replace(/^\//, "") });
      else all.left += 1;
      return;
    }
    const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
    // A folder is told in parts, until one of them is empty.
    for (let part = await read(reader); part.length; part = await read(reader)) for (const one of part) await take(one);
  };
  for (const entry of entries) await take(entry);
  return all;
};
