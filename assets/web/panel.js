// A panel: a picture or a map on a canvas, with what its numbers mean and a way to read them.
"use strict";
(() => {
  const { explorer } = window;
  const { make, write, digits } = explorer;
  //: Pictures of at most this many pixels a side are shown pixel by pixel: so few is what the model has to go on.
  const FEW = 112;

  const pictures = new Map(); // data URI -> {colour, grey}
  /** A picture in colour and in grey, decoded once. */
  const picture = async (uri) => {
    if (!pictures.has(uri)) {
      const colour = new Image();
      colour.src = uri;
      await colour.decode();
      const grey = document.createElement("canvas");
      grey.width = colour.naturalWidth;
      grey.height = colour.naturalHeight;
      const context = grey.getContext("2d", { willReadFrequently: true });
      context.drawImage(colour, 0, 0);
      const pixels = context.getImageData(0, 0, grey.width, grey.height);
      for (let i = 0; i < pixels.data.length; i += 4) {
        const level = 0.2126 * pixels.data[i] + 0.7152 * pixels.data[i + 1] + 0.0722 * pixels.data[i + 2];
        pixels.data[i] = pixels.data[i + 1] = pixels.data[i + 2] = level;
      }
      context.putImageData(pixels, 0, 0);
      pictures.set(uri, { colour, grey });
      if (pictures.size > 24) pictures.delete(pictures.keys().next().value);
    }
    return pictures.get(uri);
  };

  /** Give a canvas as many pixels as it covers on the screen. */
  const fit = (canvas, [height, width]) => {
    const across = Math.max(1, Math.round(canvas.clientWidth * Math.min(window.devicePixelRatio || 1, 2)));
    const down = Math.max(1, Math.round((across * height) / width));
    if (canvas.width !== across || canvas.height !== down) {
      canvas.width = across;
      canvas.height = down;
    }
    canvas.style.aspectRatio = `${width} / ${height}`;
    return canvas.getContext("2d");
  };

  /** Fill a canvas with what a model sees: few pixels as they are, many smoothly. */
  const fill = (context, source, side) => {
    const { width, height } = context.canvas;
    context.imageSmoothingEnabled = side > FEW;
    context.drawImage(source, 0, 0, width, height);
  };

  const cross = (context, place, colour = "white") => {
    const { width, height } = context.canvas;
    const scale = Math.min(window.devicePixelRatio || 1, 2);
    const [x, y, radius] = [place.x * width, place.y * height, 7 * scale];
    for (const [stroke, thick] of [["rgb(0 0 0 / 70%)", 4], [colour, 2]]) {
      context.strokeStyle = stroke;
      context.lineWidth = thick * scale;
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      for (const [across, down] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(x + across * radius * 0.55, y + down * radius * 0.55);
        context.lineTo(x + across * radius * 1.6, y + down * radius * 1.6);
      }
      context.stroke();
    }
  };

  const panel = (name, title) => {
    const canvas = make("canvas", { role: "img", tabindex: 0, "aria-label": title });
    const blank = make("p", { class: "blank", hidden: true });
    const low = make("span");
    const high = make("span");
    const strip = make("span", { class: "strip", "aria-hidden": "true" });
    const unit = make("span", { class: "unit" });
    const scale = make("div", { class: "scale" }, low, strip, high);
    const reading = make("p", { class: "reading" });
    const about = make("p", { class: "about" });
    const badge = make("span", { class: "badge" });
    const note = make("p", { class: "note", hidden: true });
    const where = make("bdi");
    const element = make("figure", { class: `panel ${name}` },
      make("figcaption", {}, make("span", { class: "title", text: title }), make("span", { class: "where" }, where), badge),
      make("div", { class: "frame" }, canvas, blank), scale, unit, reading, about, note);
    return { element, canvas, blank, low, high, strip, unit, scale, reading, where, about, badge, note, shown: null };
  };

  /** Show a sentence in place of the canvas; none shows the canvas. */
  const blank = (part, text) => {
    write(part.blank, text);
    part.blank.hidden = !text;
    part.canvas.hidden = Boolean(text);
    part.scale.hidden = part.unit.hidden = part.reading.hidden = Boolean(text);
    if (text) part.shown = null;
  };

  const badge = (element, state, title) => {
    element.hidden = !state;
    element.className = `badge ${state || ""}`;
    write(element, state || "");
    element.title = title || "";
  };

  const note = (part, lines) => {
    const text = lines.filter(Boolean).join(" ");
    write(part.note, text);
    part.note.hidden = !text;
  };

  /** Draw a map: {values, rows, columns, range, valid} over a picture, and say what its numbers are. */
  const paint = (part, map, size, under, { mark, unit, words }) => {
    const { look } = explorer.now;
    blank(part, "");
    const context = fit(part.canvas, size);
    const { width, height } = context.canvas;
    context.globalAlpha = 1;
    context.clearRect(0, 0, width, height);
    const cells = explorer.coloured(map.values, map.rows, map.columns, map.range, map.valid);
    if (under && look.overlay) {
      fill(context, under.grey, Math.max(...size));
      context.globalAlpha = look.opacity;
    }
    context.imageSmoothingEnabled = look.smooth;
    context.drawImage(cells, 0, 0, width, height);
    context.globalAlpha = 1;
    if (mark) cross(context, mark);
    write(part.low, digits(map.range.low));
    write(part.high, digits(map.range.high));
    part.strip.style.background = explorer.gradient(map.range.map);
    write(part.unit, unit);
    part.shown = { ...map, unit };
    const summary = summarise(map);
    write(part.reading, summary.short);
    part.rest = summary.short;
    part.canvas.setAttribute("aria-label", `${words}. ${summary.short}${summary.place}. Unit: ${unit}`);
  };

  const summarise = ({ values, rows, columns, valid, signed }) => {
    let best = -1;
    for (let i = 0; i < rows * columns; i++) {
      if (valid && !valid[i]) continue;
      if (best < 0 || values[i] > values[best]) best = i;
    }
    if (best < 0) return { short: "the moved picture shows nothing of the frame", place: "" };
    return { short: `${signed ? "highest" : "largest"} ${digits(values[best])}`, place: ` at row ${Math.floor(best / columns) + 1}, column ${(best % columns) + 1}` };
  };

  /** Say the value under the pointer. */
  const read = (part, event) => {
    const { shown } = part;
    if (!shown) return;
    const { x, y } = explorer.placeOf(part.canvas, event);
    const [row, column] = [Math.floor(y * shown.rows), Math.floor(x * shown.columns)];
    const at = row * shown.columns + column;
    const value = shown.valid && !shown.valid[at] ? shown.outside : digits(shown.values[at]);
    write(part.reading, `row ${row + 1}, column ${column + 1}: ${value}`);
  };

  explorer.panels = { picture, fit, fill, cross, panel, blank, badge, note, paint, read };
})();
