// Where there is room for one model only, as on a phone: every answer as a chip, of which one is opened.
import { isTold, percent, stayed } from "./answer.js";
import { hear, tell } from "./bus.js";
import { childrenOf, make, write } from "./dom.js";
import { nameOf } from "./models.js";
import { isAnswered, now, shownRows } from "./shown.js";
import { say, sayClass } from "./words.js";

/** A chip for each model that is shown; the row of the one that is pressed is marked as the one that is opened. */
export const chips = () => {
  const element = make("div", { class: "answer-chips", role: "group", "aria-label": say("Answers") });
  /** @type {number | null} the first with a map where nobody chose */
  let chosen = null;
  const show = () => {
    const rows = shownRows();
    const mapped = Math.max(0, rows.findIndex(({ data }) => isAnswered(data) && data.maps.length));
    const opened = Math.min(chosen ?? mapped, rows.length - 1);
    while (element.children.length > rows.length) element.lastElementChild?.remove();
    while (element.children.length < rows.length) {
      const index = element.children.length;
      element.append(make("button", { type: "button", onclick: () => {
        chosen = index;
        show();
        tell("resized"); // canvases of what was hidden have no size until now
      } }, make("span", { class: "swatch" }), make("span", { class: "who" }), make("span", { class: "what" }), make("span", { class: "share" })));
    }
    childrenOf(element, HTMLElement).forEach((chip, index) => {
      const row = rows[index];
      const [swatch, who, what, share] = childrenOf(chip, HTMLElement);
      row.element.classList.toggle("opened", index === opened);
      chip.setAttribute("aria-pressed", String(index === opened));
      if (!row.data) return;
      swatch.style.background = row.data.colour;
      write(who, nameOf(row.data.asked));
      const answered = isAnswered(row.data) ? row.data : null;
      const telling = isTold() && now.answer && !now.answer.identity;
      const top = answered?.predictions[1].top[0];
      write(what, top ? sayClass(top.label) : (answered ? say("No answer") : say("Failed")));
      write(share, top ? percent(top.p) : "");
      chip.classList.toggle("lost", Boolean(telling && answered && stayed(answered.predictions) === false));
    });
  };
  for (const news of /** @type {const} */ (["models", "answered", "revealed"])) hear(news, show);
  return element;
};
