// What there is to say of a block beyond its formula.
/** @import { Handles } from "./modules" */
/** @import { Explanation, MeasuredCosts } from "./wire" */
import { hear, tell } from "./bus.js";
import { copyButton } from "./copy-button.js";
import { diagram } from "./diagram.js";
import { make, need } from "./dom.js";
import { chosenBlock } from "./ways.js";
import { msg, say } from "./words.js";

let shown = "";
/** The block that is explained, "" before there is one. */
export const shownBlock = () => shown;


/** @param {number} value */
const many = (value) => (value >= 1e9 ? `${(value / 1e9).toPrecision(3)} G` : value >= 1e6 ? `${(value / 1e6).toPrecision(3)} M` : value >= 1e3 ? `${(value / 1e3).toPrecision(3)} k` : String(value));
/** Text with its powers raised: n^1.5. */
/** @param {string} text */
const raised = (text) => text.split(/\^([\d.]*\d)/).map((piece, at) => (at % 2 ? make("sup", { text: piece }) : piece));
/** @param {string} title @param {string[]} items */
const points = (title, items) => (items.length
  ? make("section", {}, make("h3", { text: say(title) }), make("ul", { class: "points" }, ...items.map((text) => make("li", { text: say(text) })))) : null);

/** @param {number | null} value */
const times = (value) => (value === null ? "–" : `${Number(value.toPrecision(2))} ×`);

/** @param {MeasuredCosts} measured */
const costs = ({ blocks, rows, counted, channels }) => {
  const compared = blocks.length > 1;
  const cell = (/** @type {string} */ text) => make("th", { scope: "col", text });
  const head = make("tr", {}, cell(say("grid")), cell(say("n")),
    ...blocks.flatMap((name) => [cell(say("{block}: multiply-adds", { block: name })), cell(say("{block}: ms", { block: name }))]),
    ...(compared ? [
      cell(say("{other} ÷ {block}: multiply-adds", { block: blocks[0], other: blocks[1] })),
      cell(say("{other} ÷ {block}: time", { block: blocks[0], other: blocks[1] })),
    ] : []));
  const body = rows.map(([grid, n, ...values]) => make("tr", {}, make("th", { scope: "row", text: grid }), make("td", { text: n }),
    ...values.map((value, at) => make("td", { class: at > 3 ? "times" : "", text: at > 3 || value === null ? times(value) : at % 2 ? value.toPrecision(2) : many(value) }))));
  const last = rows[rows.length - 1];
  const said = !compared || last[6] === null ? "" : say(
    "At {grid}, full attention ({other}) takes {times} the multiply-adds of {block} and {ms} its time.",
    { grid: last[0], other: blocks[1], block: blocks[0], times: times(last[6]), ms: times(last[7]) },
  );
  const answer = compared && said ? make("p", { class: "answer" }, make("strong", { text: said })) : null;
  return make("div", {}, answer, make("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": say("Measured cost") },
    make("table", {}, make("thead", {}, head), make("tbody", {}, ...body))),
  make("ul", { class: "points" }, ...counted.map((text) => make("li", {}, ...raised(say(text))))),
  make("p", { class: "hint", text: say("counted by torch, d = {d}; time of one picture on one thread of this server's processor", { d: channels }) }));
};

/** Draw the explanation of a block. */
/** @param {HTMLElement} element @param {Pick<Handles, "props" | "watch">} handles */
export const explanation = (element, { props, watch }) => {
  const root = need(element, ".part");
  const show = () => {
    if (typeof props.value !== "string") return;
    /** @type {Explanation} */
    const found = JSON.parse(props.value);
    root.replaceChildren(
      make("div", { class: "explained" },
        make("div", {}, make("div", { class: "diagram" }, diagram(found.diagram, say(found.title)))),
        make("div", {},
          make("p", { class: "definition" }, ...raised(say(found.definition))),
          make("dl", {}, ...found.facts.flatMap(([label, text]) => [make("dt", { text: say(label) }), make("dd", { translate: label === "Source" ? "no" : null, text: say(text) })])),
          make("div", { class: "pair" }, points(msg("Strengths"), found.strengths), points(msg("Weaknesses"), found.weaknesses)))),
      make("section", { class: "cost" },
        make("h3", { text: say("Cost") }),
        make("p", {}, make("strong", {}, ...raised(say(found.order))), make("span", {}, ". ", ...raised(say(found.cost)))),
        found.correction ? make("p", { class: "correction" }, ...raised(say(found.correction))) : null,
        found.measured ? costs(found.measured) : make("p", { class: "hint", text: say("Measuring…") })),
      found.options.length ? make("section", {},
        make("h3", { text: say("Parameters") }),
        make("dl", {}, ...found.options.flatMap(([name, help, value]) => [make("dt", { translate: "no", text: name }), make("dd", { text: `${say(help)} (${say(value)})` })]))) : make("span"),
      make("section", { class: "code" }, make("header", {}, make("h3", { text: say("Use it") }), copyButton(() => found.example)),
        make("pre", { tabindex: 0, role: "group", "aria-label": say("Use it"), text: found.example })));
  };
  const { dataset } = document.documentElement;
  /** Dim an explanation while it is of another block than the one that is chosen. */
  const mark = () => {
    if (!chosenBlock() || chosenBlock() === shown) delete dataset.blockStale;
    else dataset.blockStale = "";
  };
  hear("chose", mark);
  const learn = () => {
    show();
    const name = typeof props.value === "string" ? JSON.parse(props.value).name : "";
    if (name && name !== shown) {
      shown = name;
      tell("block", name);
    }
    mark();
  };
  learn();
  watch("value", learn);
};
