// The attribution of a row.
/** @import { Decoded, Drawing, Row, View } from "./modules" */
/** @import { Answered } from "./wire" */
import { write } from "./dom.js";
import { digits, numbers } from "./numbers.js";
import { badge, blank, note, paint } from "./panel.js";
import { now } from "./shown.js";
import { MARKED, under } from "./views.js";
import { say } from "./words.js";

/** The attribution that a row shows, before it is painted, as `attention` has it. */
/** @param {Row} row @param {Answered} data @param {Decoded[]} images @returns {Drawing | null} */
export const attribution = (row, data, images) => {
  const { answer, look } = now;
  if (!answer) return null;
  const part = row.attribution;
  const found = data.attribution;
  row.compute.hidden = true;
  if (!found.after) {
    const press = found.why === "press";
    blank(part, press ? say("This method takes many passes through the network, so it does not follow the drag.") : say("This method cannot serve this model; the line above says why."));
    row.compute.hidden = !press;
    write(part.where, "");
    write(part.about, "");
    badge(part.badge);
    part.note.hidden = true;
    return null;
  }
  const { view } = look;
  const of = (/** @type {View} */ name) => numbers(answer.blob, found[name]);
  const arrays = { before: of("before"), after: of("after"), pulled: of("pulled"), difference: of("difference") };
  const [rows, columns] = found[view].s;
  const valid = view === "pulled" || view === "difference" ? numbers(answer.blob, found.valid) : null;
  badge(part.badge, MARKED.includes(found.state) ? found.state : "", found.state_title);
  const where = found.layer || say("input");
  write(part.where, where);
  part.where.title = `${say(found.called)}, ${where}, ${say("{rows} × {columns} cells", { rows, columns })}`;
  write(part.about, say("{method} for {target}", { method: say(found.called), target: say(found.target) }));
  const lines = [say(found.note)];
  const delta = found.delta[view === "before" ? 0 : 1];
  if (delta !== null) lines.push(say("Convergence delta {delta}.", { delta: digits(delta) }));
  if (view === "difference") lines.push(say("Pulled back minus before; hatched: not in the moved picture."));
  note(part, lines);
  return {
    key: `${found.method} ${say(found.unit)} ${view === "difference"}`,
    arrays: view === "difference" ? [arrays.difference] : [arrays.before, arrays.after],
    signed: view === "difference",
    paint: (range) => paint(part, { values: arrays[view], rows, columns, range, valid, outside: () => say("not in the moved picture"), signed: range.map === "diverging" },
      data.size, under(data, images), {
        hatched: Boolean(valid),
        unit: say(found.unit || "attribution"),
        words: say("Attribution by {method} for {target}", { method: say(found.called), target: say(found.target) }),
      }),
  };
};
