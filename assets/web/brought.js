// A visitor's own set of pictures: a place to drop a folder, a zip or pictures, and what came of what was brought.
/** @import { Handles } from "./modules" */
/** @import { BroughtOptions, BroughtSet } from "./wire" */
/** @import { Found, Gathered } from "./gathering" */
import { tell } from "./bus.js";
import { gathered, ofInput } from "./gathering.js";
import { make, need, write } from "./dom.js";
import { say, sentence } from "./words.js";

/** @param {HTMLElement} element @param {Handles<unknown, BroughtOptions>} handles */
export const brought = (element, { options: { bias, layout, endings, most, size, single }, props, watch, trigger, upload }) => {
  const status = make("p", { role: "status", class: "came" });
  const picker = (/** @type {object} */ how) => make("input", { type: "file", multiple: true, hidden: true, ...how });
  const files = picker({ accept: endings.join(","), id: `own-files-${bias}` });
  const folder = picker({ webkitdirectory: true, id: `own-folder-${bias}` });
  const opening = (/** @type {HTMLInputElement} */ input, /** @type {string} */ text) => make("button", { type: "button", text, onclick: () => input.showPicker() });
  const buttons = [opening(folder, say("Choose a folder")), opening(files, say("Choose files"))];
  const zone = make("div", { class: "drop", role: "group", "aria-label": say("Your own pictures") },
    make("p", { text: say("Drop a folder, a zip or pictures here") }), make("p", { class: "ways" }, ...buttons), files, folder);
  need(element, ".part").replaceChildren(zone, make("p", { class: "hint", text: say(layout) }), status);

  let busy = false;
  let left = 0; // files of other kinds
  const free = (/** @type {boolean} */ is) => {
    busy = !is;
    for (const one of buttons) one.disabled = busy;
  };

  /** What is wrong with what was brought, before any of it is sent; "" where nothing is. */
  /** @param {Found[]} found */
  const refusal = (found) => {
    const large = found.find(({ file }) => file.size > single);
    if (!found.length) return say("Nothing in it is a picture or a zip: {endings}.", { endings: endings.join(" ") });
    if (found.length > most) return say("These are {count} files; at most {most} are taken.", { count: found.length, most });
    if (large) return say("“{name}” is larger than {size} MB.", { name: large.name, size: single / 2 ** 20 });
    if (found.reduce((sum, { file }) => sum + file.size, 0) > size) return say("Together these files take more than {size} MB.", { size: size / 2 ** 20 });
    return "";
  };

  /** @param {Gathered} all */
  const bring = async ({ found, left: others }) => {
    left = others;
    const problem = refusal(found);
    write(status, problem);
    if (problem) return;
    free(false);
    const sent = [];
    try {
      for (const { file, name } of found) {
        write(status, say("{done} of {count} files sent", { done: sent.length, count: found.length }));
        sent.push({ path: (await upload(file)).path, name });
      }
    } catch {
      free(true);
      write(status, say("The files could not be sent. Try again when the server can be reached."));
      return;
    }
    write(status, say("Reading…"));
    trigger("sent", { files: sent });
  };

  for (const input of [files, folder]) {
    input.addEventListener("change", () => {
      bring(ofInput(input, endings));
      input.value = ""; // the same files chosen once more are a change too
    });
  }
  const over = (/** @type {boolean} */ is) => { zone.toggleAttribute("data-over", is); };
  zone.addEventListener("dragover", (event) => { event.preventDefault(); over(!busy); });
  zone.addEventListener("dragleave", () => over(false));
  zone.addEventListener("drop", async (event) => {
    event.preventDefault();
    over(false);
    if (busy) return;
    try {
      bring(await gathered(event.dataTransfer, endings, most));
    } catch {
      write(status, say("A file in it cannot be read by this browser."));
    }
  });
  watch("value", () => {
    if (typeof props.value !== "string" || !props.value) return;
    /** @type {BroughtSet} */
    const set = JSON.parse(props.value);
    free(true);
    write(status, set.refused ? sentence(set.refused) : [say("Read: {words}. Press Measure.", { words: say(set.words) }), ...set.notes.map((one) => say(one)), left ? say("Files of other kinds were left out: {count}.", { count: left }) : ""].filter(Boolean).join(" "));
    if (!set.refused) tell(`brought-${bias}`, set);
    // The same set brought once more is an event too.
    props.value = "";
  });
};
