// Files that a visitor drops or chooses, those in folders too, each with its place in what was brought.

/** Those of an input; of a folder each with its path within. */
/** @param {HTMLInputElement} input */
export const ofInput = ({ files }) => [...(files ?? [])].map((file) => ({ file, name: file.webkitRelativePath || file.name }));

/** @param {FileSystemDirectoryReader} reader @returns {Promise<FileSystemEntry[]>} */
const read = (reader) => new Promise((done, failed) => { reader.readEntries(done, failed); });
/** @param {FileSystemFileEntry} entry @returns {Promise<File>} */
const opened = (entry) => new Promise((done, failed) => { entry.file(done, failed); });

/** What is dropped: files, and all that lies in folders; one more than `most` at most, so that too many are known as that. */
/** @param {DataTransfer | null} dropped @param {number} most */
export const gathered = async (dropped, most) => {
  // The browser takes the list back when the event is over.
  const entries = [...(dropped?.items ?? [])].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  /** @type {{file: File, name: string}[]} */
  const found = [];
  /** @param {FileSystemEntry} entry */
  const take = async (entry) => {
    if (found.length > most) return;
    if (entry.isFile) found.push({ file: await opened(/** @type {FileSystemFileEntry} */ (entry)), name: entry.fullPath.replace(/^\//, "") });
    else {
      const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
      // A folder is told in parts, until one of them is empty.
      for (let part = await read(reader); part.length; part = await read(reader)) for (const one of part) await take(one);
    }
  };
  for (const entry of entries) await take(entry);
  return found;
};
