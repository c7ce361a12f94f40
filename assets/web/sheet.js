// A table of the laboratory: a row a block.
"use strict";
(() => {
  const { explorer } = window;
  const { make } = explorer;

  explorer.sheet = ({ element, props, watch }) => {
    const root = element.querySelector(".part");
    const show = () => {
      if (typeof props.value !== "string" || !props.value) return;
      const { title, columns, rows, notes } = JSON.parse(props.value);
      const head = make("tr", {}, make("th", { text: "block" }), ...columns.map((text) => make("th", { text })));
      const body = rows.map(({ name, colour, cells }) => make("tr", {},
        make("th", { scope: "row" }, make("span", { class: "mark", style: `background:${colour}` }), name),
        ...cells.map(({ text, alike }) => make("td", { class: alike ? "alike" : "", title: alike ? "not to be told from the control" : "", text: alike ? `~ ${text}` : text }))));
      root.replaceChildren(make("h3", { text: title }),
        make("div", { class: "scroll" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...body))),
        ...notes.map((text) => make("p", { class: "hint", text })));
    };
    show();
    watch("value", show);
  };
})();
