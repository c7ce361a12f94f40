// The page's address holds its state: opening it shows the same view, and what cannot be shown is said.
"use strict";
(() => {
  const { explorer } = window;
  const { say } = explorer;
  const WAIT_MS = 300;
  const HEARD_MS = 300;
  //: Keys that others keep in the address.
  const FOREIGN = ["lang"];
  //: What of the query goes along with a link. Whoever hosts the page may keep more there, as a token of this visitor.
  const QUERY = ["__theme", "__lang"];
  //: Where a Space is shown in a frame; it puts what it is told into the address that is seen.
  const HOST_PAGE = "https://huggingface.co";
  //: Parts of a question that have a name of their own in the address; everything else is "KEY=name:value;name:value".
  const ASKED = ["dx", "dy", "zoom", "angle", "flip", "border", "pins", "pin", "method", "picture"];

  /** Percent signs only where an address needs them: what it says should be readable. */
  const encode = (text) => encodeURIComponent(text).replace(/%(2F|40)/g, decodeURIComponent);
  const pack = (fields) => Object.entries(fields).map(([name, value]) => `${name}:${encode(typeof value === "object" ? JSON.stringify(value) : value)}`).join(";");
  const parsed = (text) => { try { return JSON.parse(text); } catch { return text; } };
  const unpack = (text) => Object.fromEntries(text.split(";").filter(Boolean).map((one) => {
    const at = one.indexOf(":");
    return [one.slice(0, at), parsed(decodeURIComponent(one.slice(at + 1)))];
  }));
  const places = (pins) => pins.map(({ x, y }) => `${Number(x.toFixed(4))},${Number(y.toFixed(4))}`).join(";");
  const unplaces = (text) => text.split(";").map((one) => { const [x, y] = one.split(",").map(Number); return { x, y }; });

  /** A state as the part of an address behind the #. */
  const write = ({ models, question, ...rest }) => {
    const out = [["models", models.map(encode).join(",")]];
    for (const name of ASKED) if (name in question && !(name === "picture" && question.scene)) out.push([name, name === "pins" ? places(question.pins) : encode(question[name])]);
    if (question.scene) out.push(["scene", pack(question.scene)]);
    if (Object.keys(question.parameters).length) out.push(["parameters", pack(question.parameters)]);
    for (const [name, value] of Object.entries(rest)) {
      if (value === null || value === undefined || value === "" || (typeof value === "object" && !Object.keys(value).length)) continue;
      out.push([name, typeof value === "object" ? pack(value) : encode(value)]);
    }
    return out.map(([name, text]) => `${name}=${text}`).join("&");
  };

  /** The state in an address; what makes no sense is left out, a sentence each. */
  const read = (hash) => {
    const state = {};
    const problems = [];
    for (const one of hash.replace(/^#/, "").split("&").filter(Boolean)) {
      const at = one.indexOf("=");
      const [name, text] = at < 0 ? [one, ""] : [one.slice(0, at), one.slice(at + 1)];
      if (FOREIGN.includes(name)) continue;
      try {
        if (name === "models") state.models = text.split(",").map(decodeURIComponent);
        else if (ASKED.includes(name)) (state.question ??= {})[name] = name === "pins" ? unplaces(text) : parsed(decodeURIComponent(text));
        else if (name === "scene" || name === "parameters") (state.question ??= {})[name] = unpack(text);
        else state[name] = text.includes(":") ? unpack(text) : parsed(decodeURIComponent(text));
      } catch {
        problems.push(say("“{name}” cannot be read.", { name }));
      }
    }
    if (state.question && "picture" in state.question && !state.question.scene) state.question.scene = null;
    return { state, problems };
  };

  const notice = (problems) => {
    if (problems.length) explorer.tell("notice", `${say("This link could not restore everything.")} ${problems.join(" ")}`);
  };
  explorer.hear("unrestored", notice);

  const restore = () => {
    const { state, problems } = read(location.hash);
    // The models first: the move is in pixels of the first one's input.
    const { models, ...rest } = state;
    notice([...problems, ...(models ? explorer.state.apply({ models }) : []), ...explorer.state.apply(rest)]);
  };

  /** What is on the screen, as the part of an address from the # on. */
  const view = () => {
    const foreign = location.hash.slice(1).split("&").filter((one) => FOREIGN.includes(one.split("=")[0]));
    return `#${[write(explorer.state.get()), ...foreign].join("&")}`;
  };
  /** The query without what is nobody else's. */
  const query = () => {
    const kept = new URLSearchParams([...new URLSearchParams(location.search)].filter(([name]) => QUERY.includes(name)));
    return String(kept) && `?${kept}`;
  };
  /** The address of what is on the screen, to be given to others. */
  const address = () => `${location.origin}${location.pathname}${query()}${view()}`;
  explorer.link = { address, asks: () => ["models", "question"].some((name) => name in read(location.hash).state) };

  let timer = null;
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const hash = view();
      history.replaceState(history.state, "", `${location.pathname}${location.search}${hash}`);
      // As huggingface.co/docs/hub/spaces-handle-url-parameters has it.
      if (window.parent !== window) window.parent.postMessage({ queryString: query(), hash }, HOST_PAGE);
    }, WAIT_MS);
  };

  /** Press what gradio draws, once it is there; a moment later, for gradio hears nothing of what it has just drawn. */
  const whenThere = (find, problem, tries = 200) => {
    const found = document.documentElement.classList.contains("early") ? null : find();
    if (found) setTimeout(() => found.click(), HEARD_MS);
    else if (tries) setTimeout(whenThere, 50, find, problem, tries - 1);
    else notice([problem()]);
  };
  explorer.state.keep("tab", explorer.tab, (name) => {
    if (!explorer.tabNames.includes(name)) return say("There is no tab “{name}”.", { name: String(name) });
    whenThere(() => explorer.tabButton(name), () => say("There is no tab “{name}”.", { name }));
    return "";
  });
  const inner = () => [...document.querySelectorAll("#biases > .tab-wrapper button[role=tab]")];
  explorer.state.keep("bias", () => (explorer.tab() === "biases" ? inner().findIndex((one) => one.getAttribute("aria-selected") === "true") + 1 : ""), (number) => {
    whenThere(() => inner()[number - 1], () => say("There is no tab “{name}”.", { name: String(number) }));
    return "";
  });
  const blocks = () => [...document.querySelectorAll("#block input[type=radio]")];
  explorer.state.keep("block", () => (explorer.tab() === "blocks" ? (blocks().find((one) => one.checked) || {}).value : ""), (name) => {
    whenThere(() => blocks().find((one) => one.value === name), () => say("There is no block “{name}”.", { name: String(name) }));
    return "";
  });

  // What a part says while the page is put together is no change of it.
  const begin = () => {
    if (!explorer.chosen || !explorer.question || !explorer.looked || !explorer.pictures) { setTimeout(begin, 10); return; }
    restore();
    if (!explorer.given) explorer.question.set({});
    for (const news of ["asked", "pins", "looked", "models", "tab", "answered", "state"]) explorer.hear(news, later);
    document.addEventListener("change", (event) => { if (event.target.closest("#block")) later(); });
    document.addEventListener("click", (event) => { if (event.target.closest("#biases [role=tab]")) later(); });
    addEventListener("hashchange", restore);
    later();
  };
  begin();
})();
