"""Draw a `Sheet` with plotly: a whole figure in a page of its own, or one panel for the explorer's page."""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from explorer.errors import ParameterError
from explorer.figures.sheet import (
    INK,
    INVALID,
    PAPER,
    Chart,
    InputPicture,
    Map,
    Panel,
    Radar,
    Sheet,
    frame_of,
)
from explorer.figures.traces import alone, placed, polar, traces

if TYPE_CHECKING:
    import plotly.graph_objects as go
from explorer.figures.plan import BAR, MARK, Area, Plan, anchors, bar_boxes, cut, pixels, plan_of


def separate(panel: Panel, legend: bool = True) -> go.Figure:
    """A panel as a figure of its own that takes the width it is given: for the page.

    Args:
        panel: a chart, a radar or a map.
        legend: whether it says itself what its lines are.
    """
    import plotly.graph_objects as go

    if isinstance(panel, (Chart, Radar)):
        return alone(panel, legend)
    if not isinstance(panel, Map):
        raise ParameterError(f"only charts, radars and maps stand alone, got {type(panel).__name__}")
    (height, width), (rows, columns), colours = panel.frame, panel.values.shape, anchors(panel)
    across, down = _axes(panel)
    heat = go.Heatmap(
        z=panel.values.detach().cpu().double().numpy(),
        x0=panel.origin.x + width / columns / 2,
        dx=width / columns,
        y0=panel.origin.y + height / rows / 2,
        dy=height / rows,
        zmin=panel.low,
        zmax=panel.high,
        colorscale=[[index / (len(colours) - 1), colour] for index, colour in enumerate(colours)],
        colorbar={"title": {"text": html.escape(panel.unit), "side": "right"}, "thickness": 14, "outlinewidth": 0},
        hovertemplate=_hover(panel),
    )
    plain = {"constrain": "domain", "showgrid": False, "zeroline": False, "ticks": "outside", "ticklen": 4}
    return go.Figure(
        heat,
        {
            "autosize": True,
            "height": 430,
            "title": {"text": html.escape(panel.title), "x": 0.01, "xanchor": "left", "font": {"size": 17}},
            "font": {"family": "system-ui, sans-serif", "size": 14, "color": INK},
            "margin": {"l": 60, "r": 10, "t": 50, "b": 55},
            "paper_bgcolor": PAPER,
            "plot_bgcolor": INVALID,
            "xaxis": {**plain, "title": {"text": across}, "range": [panel.origin.x, panel.origin.x + width]},
            "yaxis": {
                **plain,
                "title": {"text": down},
                "range": [panel.origin.y + height, panel.origin.y],
                "scaleanchor": "x",
            },
        },
    )


def figure(sheet: Sheet) -> go.Figure:
    """Draw a sheet as a plotly figure."""
    import plotly.graph_objects as go  # takes a second, which the PNG does not need

    plan = plan_of(sheet)
    drawn = go.Figure()
    layout: dict[str, Any] = {
        "width": plan.width,
        "height": plan.height,
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
        "paper_bgcolor": PAPER,
        "plot_bgcolor": INVALID,
        "showlegend": False,
        "font": {"family": "system-ui, sans-serif", "color": INK},
        "annotations": [],
        "shapes": [],
        "hovermode": "closest",
    }
    count = 0

    def axes(box: Area, x: list[float], y: list[float], **more: Any) -> dict[str, str]:
        """Make a pair of axes that covers a box, and return what a trace needs to stand on it."""
        nonlocal count
        count += 1
        suffix = "" if count == 1 else str(count)
        plain = {"visible": False, "fixedrange": False, **more}
        layout[f"xaxis{suffix}"] = {
            "domain": [box.x / plan.width, (box.x + box.width) / plan.width],
            "range": x,
            "anchor": f"y{suffix}",
            **plain,
        }
        layout[f"yaxis{suffix}"] = {
            "domain": [1 - (box.y + box.height) / plan.height, 1 - box.y / plan.height],
            "range": y,
            "anchor": f"x{suffix}",
            **plain,
        }
        return {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}

    def mark(panel: InputPicture | Map, on: dict[str, str]) -> None:
        if panel.mark is None:
            return
        for colour, line in zip(MARK, (5, 2)):
            symbol = {"symbol": "cross-thin", "size": 16, "line": {"width": line, "color": colour}}
            drawn.add_scatter(x=[panel.mark.x], y=[panel.mark.y], mode="markers", marker=symbol, hoverinfo="skip", **on)

    for picture, box in plan.pictures:
        height, width = frame_of(picture.image)
        source = _inline(pixels(picture.image))
        on = axes(box, [0, width], [height, 0])
        drawn.add_image(
            source=source, x0=0.5, y0=0.5, dx=1, dy=1, hovertemplate="x %{x:.0f}, y %{y:.0f}<extra></extra>", **on
        )
        mark(picture, on)
    for panel, box in plan.maps:
        (height, width), (rows, columns) = panel.frame, panel.values.shape
        left, top = panel.origin
        on = axes(box, [left, left + width], [top + height, top])
        colours = anchors(panel)
        drawn.add_heatmap(
            z=panel.values.detach().cpu().double().numpy(),
            x0=left + width / columns / 2,
            dx=width / columns,
            y0=top + height / rows / 2,
            dy=height / rows,
            zmin=panel.low,
            zmax=panel.high,
            colorscale=[[index / (len(colours) - 1), colour] for index, colour in enumerate(colours)],
            colorbar={
                "x": (box.x + box.width + 8) / plan.width,
                "y": 1 - box.y / plan.height,
                "len": box.height,
                "lenmode": "pixels",
                "thickness": BAR,
                "xanchor": "left",
                "yanchor": "top",
                "xpad": 0,
                "ypad": 0,
                "outlinewidth": 0,
                "showticklabels": False,
            },
            hovertemplate=_hover(panel),
            name=html.escape(panel.title),
            **on,
        )
        mark(panel, on)
    for chart, box in plan.charts:
        if isinstance(chart, Radar):
            count += 1
            name = f"polar{count}"
            domain = {
                "x": [(box.x + 60) / plan.width, (box.x + box.width - 60) / plan.width],
                "y": [1 - (box.y + box.height - 30) / plan.height, 1 - (box.y + 30) / plan.height],
            }
            layout[name] = {**polar(), "domain": domain}
            drawn.add_traces([{**trace, "subplot": name} for trace in traces(chart)])
            continue
        inner = Area(box.x + 62, box.y + 14, box.width - 74, box.height - 64)
        on = axes(inner, [0, 1], [0, 1], visible=True)
        own, shapes, words = placed(chart, count)
        for name, one in own.items():
            layout[name] |= one
        layout["shapes"] += shapes
        layout["annotations"] += words
        drawn.add_traces([{**trace, **on} for trace in traces(chart)])
    for bars, box in plan.bars:
        for one, label, value in zip(
            bar_boxes(bars, box), bars.labels or map(str, range(len(bars.values))), bars.values
        ):
            layout["shapes"].append(_rectangle(plan, one))
            if bars.labels:  # a shape has no hover text
                on = axes(one, [0, 1], [0, 1])
                drawn.add_scatter(
                    x=[0.5],
                    y=[0.5],
                    mode="markers",
                    marker={"opacity": 0, "size": 12},
                    hovertemplate=f"{html.escape(label)}: {value:.4g}<extra></extra>",
                    **on,
                )
    layout["shapes"] += [_rectangle(plan, one) for one in plan.boxes]
    for text in (*plan.texts, *plan.links):
        shown = html.escape(cut(text.text, text.size, text.width)) or " "
        layout["annotations"].append(
            {
                "x": text.x / plan.width,
                "y": 1 - text.y / plan.height,
                "xref": "paper",
                "yref": "paper",
                "xanchor": "left",
                "yanchor": "top",
                "align": "left",
                "showarrow": False,
                "borderpad": 0,
                "text": f'<a href="{html.escape(sheet.link)}">{shown}</a>' if text in plan.links else shown,
                "hovertext": html.escape(text.text),
                "font": {"size": text.size, "color": text.colour},
            }
        )
    drawn.update_layout(layout)
    return drawn


def _axes(panel: Map) -> tuple[str, str]:
    """What lies across and down; a map without axes lies on its picture."""
    across, down = panel.axes or ("x, px", "y, px")
    return html.escape(across), html.escape(down)


def _hover(panel: Map) -> str:
    across, down = _axes(panel)
    return f"{across}: %{{x:.4g}}<br>{down}: %{{y:.4g}}<br>%{{z:.4g}}<extra></extra>"


def _rectangle(plan: Plan, box: Area) -> dict[str, Any]:
    return {
        "type": "rect",
        "xref": "paper",
        "yref": "paper",
        "x0": box.x / plan.width,
        "x1": (box.x + box.width) / plan.width,
        "y0": 1 - (box.y + box.height) / plan.height,
        "y1": 1 - box.y / plan.height,
        "fillcolor": box.colour,
        "line": {"width": 0},
    }


def page(sheet: Sheet) -> str:
    """Draw a sheet as a self-contained page."""
    inner = figure(sheet).to_html(
        full_html=False, include_plotlyjs=True, include_mathjax=False, div_id="sheet", config={"displaylogo": False}
    )
    title = html.escape(sheet.title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>\n'
        f"<body>{inner}</body></html>\n"
    )


def _inline(colours: np.ndarray) -> str:
    """Pixels (h, w, 3) as the address of a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(colours).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
