// What there is to say of a block beyond its formula.
"use strict";
(() => {
  const { explorer } = window;
  const { make } = explorer;

  const many = (value) => (value >= 1e6 ? `${(value / 1e6).toPrecision(3)} M` : value >= 1e3 ? `${(value / 1e3).toPrecision(3)} k` : String(value));
  /** Text with its powers raised: n^1.5. */
  const raised = (text) => text.split(/\^([\d.]*\d)/).map((piece, at) => (at % 2 ? make("sup", { text: piece }) : piece));
  const points = (title, items) => (items.length
    ? make("section", {}, make("h3", { text: title }), make("ul", { class: "points" }, ...items.map((text) => make("li", { text })))) : null);

  const costs = ({ blocks, rows, counted, where }) => {
    const head = make("tr", {}, make("th", { text: "grid" }), make("th", { text: "n" }),
      ...blocks.flatMap((name) => [make("th", { text: `${name}: multiply-adds` }), make("th", { text: `${name}: ms` })]));
    const body = rows.map(([grid, n, ...values]) => make("tr", {}, make("td", { text: grid }), make("td", { text: n }),
      ...values.map((value, at) => make("td", { text: at % 2 ? value.toPrecision(2) : many(value) }))));
    return make("div", {}, make("div", { class: "scroll" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...body))),
      make("ul", { class: "points" }, ...counted.map((text) => make("li", {}, ...raised(text)))), make("p", { class: "hint", text: where }));
  };

  explorer.explanation = ({ element, props, watch }) => {
    const root = element.querySelector(".part");
    const show = () => {
      if (typeof props.value !== "string") return;
      const found = JSON.parse(props.value);
      const drawing = make("div", { class: "diagram" });
      drawing.innerHTML = found.diagram; // drawn by the library from its own declarations
      root.replaceChildren(
        make("div", { class: "explained" },
          make("div", {}, drawing),
          make("div", {},
            make("p", { class: "definition" }, ...raised(found.definition)),
            make("dl", {}, ...found.facts.flatMap(([label, text]) => [make("dt", { text: label }), make("dd", { text })])),
            make("div", { class: "pair" }, points("Strengths", found.strengths), points("Weaknesses", found.weaknesses)))),
        make("section", { class: "cost" },
          make("h3", { text: "Cost" }),
          make("p", {}, make("strong", {}, ...raised(found.order)), make("span", {}, ". ", ...raised(found.cost))),
          found.correction ? make("p", { class: "correction" }, ...raised(found.correction)) : null,
          found.measured ? costs(found.measured) : make("p", { class: "hint", text: "Measuring…" })),
        found.options.length ? make("section", {},
          make("h3", { text: "Parameters" }),
          make("dl", {}, ...found.options.flatMap(([name, help, value]) => [make("dt", { text: name }), make("dd", { text: `${help} (${value})` })]))) : make("span"));
    };
    show();
    watch("value", show);
  };
})();
