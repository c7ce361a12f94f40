"""A lesson on paper: its questions for the class, and with answers what was to be seen, as PDF.

Pictures, maps and answers are computed from the models when the handout is made, as the page computes them. Letters are
DejaVu Sans, which comes with matplotlib and is put into the file; Chinese is set in a font that every PDF reader brings
or finds (STSong-Light, of Adobe's Asian fonts) and that is not put into it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import matplotlib
import numpy as np
import torch
from matplotlib import mathtext
from PIL import Image, ImageDraw
from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_CENTER
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Flowable, KeepTogether, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle
from reportlab.platypus import Image as Drawn

from explorer.attention.maps import AttentionMap
from explorer.blocks import short_name
from explorer.blocks.cost import count, made
from explorer.comparison.result import Comparison, ModelView
from explorer.detection import decode
from explorer.errors import ExplorerError
from explorer.figures.looks import look_of
from explorer.figures.plan import coloured, pixels
from explorer.figures.sheet import FAINT, RULE, Map, frame_of
from explorer.geometry import Point
from explorer.lab.boxes import boxes_of, scenes, specs, truth
from explorer.lab.networks import SIZE, LabModel, Training
from explorer.lessons.lesson import CHANNELS, SIDES, CostChart, FoundBoxes, Lesson, LessonStep, Text
from explorer.messages import ENGLISH, Message, say
from explorer.models.loading import load
from explorer.models.spec import ModelSpec
from explorer.view import View

_LATIN, _BOLD, _CHINESE = "DejaVuSans", "DejaVuSans-Bold", "STSong-Light"
#: Runs of letters that DejaVu Sans has not: Chinese, its punctuation, and full-width forms.
_CJK = re.compile(
    r"[\u2e80-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef“”‘’]*[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]+[“”‘’]*"
)
#: Width of the text, and of a map, mm; dots of a formula per inch; how strongly a map covers its picture.
_WIDTH, _MAP, _DPI, _OPACITY = 170.0, 30.0, 300, 0.7
#: How a model was trained, as the page says it behind the model's name; centred ones have nothing there.
_TRAINED: Mapping[Training, str] = {"aug": Message("any place and size"), "cue": Message("two cues agree")}

Compare = Callable[[View], Comparison]


def handout(
    lesson: Lesson,
    answers: bool = False,
    language: str = ENGLISH,
    device: str | None = None,
    compare: Compare | None = None,
) -> bytes:
    """The lesson as a PDF of A4 pages.

    Args:
        lesson: which.
        answers: with what was right, what was seen after the reveal, explanations, formulas and sources. Without, what
            a step covers until its reveal is left out, and so is its title, which tells it.
        language: code of the language that it is written in.
        device: where models run, or None to choose.
        compare: answers what a step shows, for whoever has the models already; by itself each view loads its own.

    Raises what loading a model raises.
    """
    _register()
    page = _Page(language, answers, compare or (lambda view: view.compare(device=device)), device)
    buffer = io.BytesIO()
    title = lesson.title.get(language) or say(lesson.title[ENGLISH], language)
    document = SimpleDocTemplate(
        buffer, pagesize=A4, leftMargin=20 * mm, rightMargin=20 * mm, topMargin=18 * mm, bottomMargin=16 * mm,
        title=title, author="Attention Explorer", invariant=1,
    )  # fmt: skip
    what = Message("With answers") if answers else Message("Questions")
    story: list[Flowable] = [page.text(title, "title"), page.text(say(what, language), "soft"), Spacer(1, 4 * mm)]
    for number, step in enumerate(lesson.steps, 1):
        story += page.step(number, step)
    document.build(story)
    return buffer.getvalue()


def _register() -> None:
    if _LATIN in pdfmetrics.getRegisteredFontNames():
        return
    folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    for name in (_LATIN, _BOLD):
        pdfmetrics.registerFont(TTFont(name, str(folder / f"{name}.ttf")))
    pdfmetrics.registerFont(UnicodeCIDFont(_CHINESE))


class _Page:
    """What a handout is made of."""

    def __init__(self, language: str, answers: bool, compare: Compare, device: str | None = None) -> None:
        self.language, self.answers, self.compare, self.device = language, answers, compare, device
        wrap = "CJK" if language == "zh" else None
        plain = ParagraphStyle("plain", fontName=_LATIN, fontSize=10, leading=14.5, wordWrap=wrap, spaceAfter=4)
        self.styles = {
            "plain": plain,
            "title": ParagraphStyle("title", plain, fontName=_BOLD, fontSize=18, leading=24),
            "heading": ParagraphStyle("heading", plain, fontName=_BOLD, fontSize=12, leading=17, spaceBefore=8),
            "question": ParagraphStyle("question", plain, fontName=_BOLD),
            "choice": ParagraphStyle("choice", plain, leftIndent=6 * mm, firstLineIndent=-6 * mm, spaceAfter=2),
            "soft": ParagraphStyle("soft", plain, fontSize=8, leading=11, textColor=HexColor(FAINT)),
            "under": ParagraphStyle("under", plain, fontSize=7, leading=9.5, alignment=TA_CENTER, spaceAfter=0),
        }

    def text(self, text: str, style: str = "plain") -> Paragraph:
        marked = "".join(
            f'<font name="{_CHINESE}">{escape(part)}</font>' if _CJK.fullmatch(part) else escape(part)
            for part in re.split(f"({_CJK.pattern})", text)
        )
        return Paragraph(marked, self.styles[style])

    def step(self, number: int, step: LessonStep) -> list[Flowable]:
        def said(text: Text) -> str:
            return step.said(text, self.language)

        heading = say(Message("Step {number}", number=number), self.language)
        first = [
            self.text(f"{heading} · {said(step.title)}" if self.answers else heading, "heading"),
            self.text(said(step.question), "question"),
        ]
        for at, choice in enumerate(step.choices, 1):
            box = "☑" if self.answers and at == step.right else "☐"
            first.append(self.text(f"{box} {at}  {said(choice)}", "choice"))
        parts: list[Flowable] = [KeepTogether(first)]
        if step.before is not None and step.after is not None:
            covered = () if self.answers else step.cover
            parts.append(self.shown(step.before, step.panels, covered, Message("Before") if self.answers else None))
            if self.answers:
                parts.append(self.shown(step.after, step.panels, (), Message("After the reveal")))
        elif step.cost is not None and self.answers:
            parts.append(self.counted(step.cost))
        elif step.boxes is not None:
            parts.append(self.found(step.boxes))
        if self.answers:
            parts.append(self.text(said(step.explanation)))
            parts += self.formula(step.formula) if step.formula else []
            parts.append(self.text(" · ".join(say(one, self.language) for one in step.sources), "soft"))
        return parts

    def shown(self, view: View, panels: Sequence[str], covered: Sequence[str], when: Message | None) -> Flowable:
        """What the models show: a column a model, first the picture."""
        found = self.compare(view)
        first = found.rows[0].images[1]
        asked = found.rows[0].queries[1] if "attention" in panels else None
        columns: list[list[Any]] = [
            [self.text(say(when, self.language) if when else "", "under"), _raster(pixels(first), asked)]
        ]
        for text, row in zip(view.texts, found.rows, strict=True):
            cells: list[Any] = [self.text(say(_called(text), self.language), "under")]
            if "attention" in panels:
                cells.append(self.cell(_attention(row), row, "attention" in covered, Message("Attention")))
            if "attribution" in panels:
                cells.append(self.cell(_attribution(row), row, "attribution" in covered, Message("Attribution")))
            if "answers" in panels and "answers" not in covered:
                top = row.predictions[1].top[:3]
                named = [f"{say(one.label, self.language)} {100 * one.probability:.1f} %" for one in top]
                cells.append([self.text(one, "under") for one in named])
            columns.append(cells)
        height = max(map(len, columns))
        rows = [[column[at] if at < len(column) else "" for column in columns] for at in range(height)]
        width = min(_MAP + 4, _WIDTH / len(columns)) * mm
        table = Table(rows, colWidths=[width] * len(columns), hAlign="LEFT")
        table.setStyle(TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 1),
                                   ("RIGHTPADDING", (0, 0), (-1, -1), 1)]))  # fmt: skip
        return KeepTogether([table, Spacer(1, 2 * mm)])

    def cell(self, shown: Map | str, row: ModelView, covered: bool, name: Message) -> list[Flowable]:
        """A map over its picture with its scale, or why there is none."""
        caption = self.text(say(name, self.language), "under")
        if covered or isinstance(shown, str):
            why = Message("not shown before the reveal") if covered or not isinstance(shown, str) else shown
            return [caption, self.text(say(why, self.language), "under")]
        under = np.asarray(Image.fromarray(pixels(row.images[1])).convert("L").convert("RGB"), dtype=float)
        colours = Image.fromarray(coloured(shown, shown.values.detach().cpu().double().numpy()))
        over = np.asarray(colours.resize((under.shape[1], under.shape[0]), Image.Resampling.NEAREST), dtype=float)
        mixed = np.rint((1 - _OPACITY) * under + _OPACITY * over).astype(np.uint8)
        scale = self.text(f"{shown.low:.3g} – {shown.high:.3g}", "under")
        return [caption, _raster(mixed, shown.mark), scale]

    def counted(self, cost: CostChart) -> Flowable:
        """The multiply-adds of a chart's blocks, as torch counts them."""
        head = [say(Message("Multiply-adds"), self.language), *(f"{side} × {side}" for side in SIDES)]
        rows = [[self.text(one, "under") for one in head]]
        for block in cost.blocks:
            counts = [count(made(block, CHANNELS, side, "meta"), side) for side in SIDES]
            rows.append(
                [
                    self.text(one, "under")
                    for one in (say(short_name(block), self.language), *(f"{one / 1e6:,.1f} M" for one in counts))
                ]
            )
        table = Table(rows, hAlign="LEFT")
        table.setStyle(TableStyle([("LINEBELOW", (0, 0), (-1, 0), 0.5, HexColor(RULE))]))
        return KeepTogether([table, Spacer(1, 2 * mm)])

    def found(self, boxes: FoundBoxes) -> Flowable:
        """A scene with its objects' boxes, and with answers those that each block's model draws in it."""
        at, shown = boxes.scene - 1, scenes(SIZE)
        true = [edges for edges, _ in truth(shown)[at]]
        picture = pixels(shown.images[at])
        columns = [[self.text(say(Message("Boxes of the objects"), self.language), "under"), _boxed(picture, true)]]
        for block, spec in specs(boxes.blocks).items() if self.answers else ():
            model = load(spec, self.device)
            with model.lock, torch.inference_mode():
                answers = model.logits(shown.images.to(model.device)).float().cpu()
            drawn = boxes_of(decode(answers), shown)[at]
            named = self.text(say(short_name(block), self.language), "under")
            own = [(one.edges, f"{say(one.label, self.language)} {one.score:.2f}", one.found) for one in drawn]
            columns.append([named, _boxed(picture, true, own, look_of(block).colour)])
            columns[-1].append([self.text(f"{text} {'✓' if hit else '✗'}", "under") for _, text, hit in own])
        rows = [[column[line] if line < len(column) else "" for column in columns] for line in range(3)]
        table = Table(rows, colWidths=[(_MAP + 4) * mm] * len(columns), hAlign="LEFT")
        table.setStyle(TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP")]))
        return KeepTogether([table, Spacer(1, 2 * mm)])

    def formula(self, source: str) -> list[Flowable]:
        """A formula as matplotlib sets it, one line below the other, or its LaTeX where that is beyond matplotlib."""
        inner = re.sub(r"\\(begin|end)\{gathered\}", "", source)
        try:
            return [*map(_set, inner.split(r"\\")), Spacer(1, 2 * mm)]
        except ValueError:
            return [self.text(source, "soft")]


def _set(source: str) -> Flowable:
    """One line of a formula; raises ValueError where it is beyond matplotlib."""
    buffer = io.BytesIO()
    line = " ".join(source.split()).replace(r"\tfrac", r"\frac").replace(r"\top", r"\mathrm{T}")
    line = re.sub(r"\\(?:big|Big|bigg)(?![a-z])", "", line.replace(r"\!", ""))
    mathtext.math_to_image(f"${line}$", buffer, dpi=_DPI, format="png")
    buffer.seek(0)
    with Image.open(buffer) as drawn:
        wide, high = (side / _DPI * 72 for side in drawn.size)
    shrunk = min(1.0, _WIDTH * mm / wide)
    buffer.seek(0)
    return Drawn(buffer, wide * shrunk, high * shrunk, hAlign="LEFT")


def _called(text: str) -> str:
    """What the page calls a model of a lesson: one of the laboratory's by its block and how it differs."""
    spec = ModelSpec.parse(text)
    if spec.origin != "lab":
        return text
    model = LabModel.of(spec)
    name = Message(short_name(model.block))
    if model.options:
        set_up = ",".join(f"{key}={value}".lower() for key, value in model.options)
    elif model.backbone == "detect":
        set_up = Message("detection")
    elif model.training in _TRAINED:
        set_up = _TRAINED[model.training]
    else:
        return name
    return Message("{name} ({text})", name=name, text=set_up)


def _raster(values: np.ndarray, mark: Point | None = None) -> Flowable:
    """Pixels (h, w, 3) uint8 as a picture of a map's width, each a square; a cross marks the place that asks, px."""
    buffer = io.BytesIO()
    side = max(1, round(360 / values.shape[1]))
    drawn = Image.fromarray(values.repeat(side, 0).repeat(side, 1))
    if mark is not None:
        (x, y), arm, pen = (side * mark[0], side * mark[1]), drawn.width / 24, ImageDraw.Draw(drawn)
        for width, colour in ((9, "black"), (4, "white")):
            pen.line((x - arm, y, x + arm, y), colour, width)
            pen.line((x, y - arm, x, y + arm), colour, width)
    drawn.save(buffer, format="PNG")
    buffer.seek(0)
    return Drawn(buffer, _MAP * mm, _MAP * mm * values.shape[0] / values.shape[1])


def _boxed(
    picture: np.ndarray,
    true: Sequence[Sequence[float]],
    found: Sequence[tuple[Sequence[float], str, bool]] = (),
    colour: str = "white",
) -> Flowable:
    """Pixels (h, w, 3) uint8 with boxes: exact ones thin and white, found ones in a colour; a ✗ of the list is thin."""
    side = round(480 / picture.shape[1])
    drawn = Image.fromarray(picture.repeat(side, 0).repeat(side, 1))
    pen, frame = ImageDraw.Draw(drawn), 2 * drawn.size
    for edges, colour_, width in (
        *((edges, "white", 3) for edges in true),
        *((edges, colour, 8 if hit else 4) for edges, _, hit in found),
    ):
        left, top, right, bottom = (edge * full for edge, full in zip(edges, frame))
        pen.rectangle((left, top, max(left, right), max(top, bottom)), outline=colour_, width=width)
    return _raster(np.asarray(drawn))


def _attention(row: ModelView) -> Map | str:
    one: AttentionMap | None = row.map()
    if one is None:
        return row.notes[0] if row.notes else Message("none to show")
    place = row.queries[1]
    if one.per_query and place is None:
        return Message("the query has left the frame")
    try:
        values = one.row(place if one.per_query else None, None, one.weights.shape[0] - 1)
    except ExplorerError as error:
        return str(error)
    high = 1.0 if one.kind == "gate" else float(values.max()) or 1.0
    return Map("", values, one.image_size, 0.0, high, mark=place if one.per_query else None)


def _attribution(row: ModelView) -> Map | str:
    if row.attributions is None:
        return Message("none to show")
    values = row.attributions[1].values.float()
    high = float(values.abs().max()) or 1.0
    return Map("", values, frame_of(row.images[1]), -high if float(values.min()) < 0 else 0.0, high)
