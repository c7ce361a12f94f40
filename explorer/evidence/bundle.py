"""The evidence bundle: one zip with a view's figures and numbers, what they depend on, and code that checks them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from explorer.errors import ParameterError
from explorer.evidence.page import page_of
from explorer.evidence.provenance import about, model_record, shown_as, versions_of
from explorer.evidence.rows import TidyRow, tidy
from explorer.evidence.script import TOLERANCE, cells_of, notebook_of, script_of
from explorer.figures.results import comparison_sheet
from explorer.figures.sheet import Sheet
from explorer.figures.static import image, svg
from explorer.images import Picture
from explorer.models.model import Model
from explorer.probes import sheet as probe_sheet
from explorer.probes.result import ProbeResult
from explorer.scenes import Scene, render
from explorer.view import View
from explorer.writing import check_writable, write

#: The same bytes each time: a zip's clock begins here.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def report(
    view: View,
    path: str | Path,
    probes: Sequence[ProbeResult] = (),
    models: Sequence[Model] | None = None,
    device: str | None = None,
    progress: Callable[[float], None] | None = None,
) -> Path:
    """Write the evidence bundle of a view: a .zip; its README.txt says what is in it.

    Args:
        view: what is looked at.
        path: where to; an existing file is replaced.
        probes: results to add, as `explorer.probe` gives them.
        models: the view's live models, where they are loaded already.
        device: where they are loaded otherwise.
        progress: told the share of the answers that is done, from 0 to 1; what it raises cancels.

    Raises ParameterError where the file cannot be written or a layer does not exist, and what `View.compare` raises.
    """
    path = check(path)
    picture = view.picture()
    live = view.load(device) if models is None else list(models)
    found = view.compare(live, progress=progress)
    for row, layer in zip(found.rows, view.layer_of_each):
        if layer is not None and row.map(layer) is None:
            raise ParameterError(f"{row.spec} has no layer '{layer}'; it has {', '.join(m.layer for m in row.maps)}")
    described = [model_record(one) for one in live]
    rows = tidy(found)
    figures = {"comparison": comparison_sheet(found, view.layer_of_each, view.head)}
    named = dict(zip(_names([one.probe for one in probes]), probes))
    figures |= {name: probe_sheet(one) for name, one in named.items()}
    drawn = {name: (one.title, svg(one)) for name, one in figures.items()}
    cells = cells_of(view, picture)

    files: dict[str, bytes | str] = {"README.txt": _readme(view, picture, described, list(named))}
    files["report.html"] = page_of(view, picture, found, described, named, drawn)
    for name, one in figures.items():
        files[f"figures/{name}.png"] = _png(one)
        _, files[f"figures/{name}.svg"] = drawn[name]
    record = {**about(view, picture, found), "tolerance": TOLERANCE, "rows": rows}
    files["results.json"] = _json(record)
    files["results.parquet"] = _parquet(rows)
    for name, result in named.items():
        files[f"probes/{name}.json"] = _json(result.record())
        files[f"probes/{name}.parquet"] = _parquet(result.rows)
    files["models.json"] = _json({"versions": versions_of(found), "models": described})
    files["picture.png"] = _shown(picture, live[0])
    files["reproduce.py"] = script_of(cells)
    files["reproduce.ipynb"] = _json(notebook_of(cells))
    return write(path, _zip(files))


def check(path: str | Path) -> Path:
    """Refuse a place that cannot be written before minutes of work are spent on it; raises ParameterError."""
    path = Path(path)
    if path.suffix.lower() != ".zip":
        raise ParameterError(f"an evidence bundle is written as .zip, got '{path.name}'")
    return check_writable(path)


def _parquet(rows: Sequence[TidyRow]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError):  # words and numbers in one column
            columns[name] = pa.array([None if one is None else str(one) for one in values])
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _shown(picture: Scene | Picture, first: Model) -> bytes:
    """The picture as it was given; a scene as the first model sees it before the move."""
    if isinstance(picture, Picture):
        drawn = picture.image
    else:
        pixels = render(picture, first.input_size[0]).images[0].clamp(0, 1)
        drawn = Image.fromarray((pixels * 255).round().byte().permute(1, 2, 0).contiguous().numpy())
    buffer = io.BytesIO()
    drawn.save(buffer, "PNG")
    return buffer.getvalue()


def _names(names: Sequence[str]) -> list[str]:
    """File names, one each: a probe that was run twice gets a number."""
    return [
        name if name not in names[:place] else f"{name}-{names[: place + 1].count(name)}"
        for place, name in enumerate(names)
    ]


def _png(sheet: Sheet) -> bytes:
    buffer = io.BytesIO()
    image(sheet).save(buffer, "PNG")
    return buffer.getvalue()


def _zip(files: Mapping[str, bytes | str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            bundle.writestr(entry, data)
    return buffer.getvalue()


def _readme(view: View, picture: Scene | Picture, models: Sequence[Mapping[str, Any]], probes: Sequence[str]) -> str:
    drawn = "the scene as the first model sees it" if isinstance(picture, Scene) else "the picture"
    lines = [
        "Evidence of what models attend to and base their answers on.",
        "",
        f"Shown: {shown_as(view, picture)}",
        *(f"Model: {one['model']} ({one['weights']}: {one['weights_are']})" for one in models),
        "",
        "report.html        everything on one page; opens without a network",
        "figures/           the figures, .png and .svg",
        "results.json       every number: what was asked, and tidy rows (see explorer.tidy)",
        "results.parquet    the same rows",
        "models.json        each model: its spec, its weights' SHA-256, its input, the versions of the packages",
        f"picture.png        {drawn}",
        "reproduce.py       computes the numbers again and checks that they are the stored ones",
        "reproduce.ipynb    the same as a notebook",
        *(f"probes/{name}.json, .parquet    what {name} measured" for name in probes),
        "",
        "Where attention-explorer is installed, in the version that models.json names: python reproduce.py",
        f"Numbers agree within {TOLERANCE:g} of the largest of their map or answer on the same kind of machine.",
    ]
    for one in models:
        if one["weights_file"] is not None:
            lines += [
                "",
                f"{one['model']} needs {one['weights_file']['name']} in this folder. It is yours and is not in here.",
                f"Its SHA-256 is {one['weights_file']['sha256']}",
            ]
    return "\n".join(lines) + "\n"
