"""Finished results of probes without running a model: rows of the table that ships, as `explorer.probe` gives them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from explorer.lab.networks import SIZE
from explorer.lab.table import FILE, TableRow, read_table, unpacked
from explorer.messages import Message
from explorer.probes.base import PROBES, Probe
from explorer.probes.result import ProbeResult
from explorer.probes.stimuli import rendered_anew
from explorer.resources import asset


def shipped_result(
    name: str, models: Sequence[str], rows: Iterable[TableRow] | None = None, **parameters: Any
) -> ProbeResult | None:
    """What the table that ships has of a probe, as the result that measuring it again would give, to six digits.

    Args:
        name: name in PROBES.
        models: texts of specs, in the order of the result; those that the table does not have stand in its notes.
        rows: another table; the one that ships if left out.
        parameters: of the probe. Where the table has it with several, the first that agrees with these is taken.

    Returns None where the table has it of no model. Raises UnknownNameError for a probe that there is not.
    """
    kind = PROBES[name]
    given, versions = shipped_rows(tuple(models)) if rows is None else (rows, {})
    own = [row for row in given if row.probe == name and row.model in models]
    for packed_parameters in dict.fromkeys(row.parameters for row in own):
        one = PROBES.make(name, dict(unpacked(packed_parameters)))
        settings = dataclasses.asdict(one)
        if all(settings.get(key) == value for key, value in parameters.items()):
            found = [row for row in own if row.parameters == packed_parameters]
            return _result(name, kind, one, models, [row for row in found if row.scenes == found[0].scenes], versions)
    return None


@lru_cache(maxsize=64)
def shipped_rows(models: tuple[str, ...]) -> tuple[tuple[TableRow, ...], Mapping[str, str]]:
    """The rows that ship of some models, and the versions of the table and of its scenes; empty without a table."""
    file = asset("lab", FILE)
    if not file.is_file():
        return (), {}
    rows, about = read_table(file, models)
    return tuple(rows), {"table": str(about["protocol"]), "scenes": str(about["data_version"])}


def _result(
    name: str,
    kind: type[Probe],
    one: Probe,
    models: Sequence[str],
    own: Sequence[TableRow],
    versions: Mapping[str, str],
) -> ProbeResult:
    shown = unpacked(own[0].scenes)
    settings = dataclasses.asdict(one)
    words = rendered_anew(shown["count"])
    by_model = {model: [_record(row, words) for row in own if row.model == model] for model in models}
    there = [model for model, records in by_model.items() if records]
    return ProbeResult(
        probe=name,
        bias=kind.bias,
        rows=[record for records in by_model.values() for record in records],
        summary={f"{score.model}: {score.measure}": score for model in there for score in one.scores(by_model[model])},
        notes=tuple(
            Message("{model} is not among the shipped measurements of this probe; measure to see it too", model=model)
            for model, records in by_model.items()
            if not records
        ),
        models=tuple(models),
        parameters=settings,
        stimuli=dict.fromkeys(there, words),
        mode=str(settings.get("mode", "model")),
        seed=shown["seed"],
        device="",
        dtype="float32",
        versions=dict(versions),
        input_sizes=dict.fromkeys(there, (SIZE, SIZE)),
        origin=Message(
            "Shipped: measured on {count} scenes of the laboratory, seed {seed}",
            count=shown["count"],
            seed=shown["seed"],
        ),
    )


def _record(row: TableRow, words: str) -> dict[str, Any]:
    """A row of a probe from a row of the table; its texts can be said in another language, as those measured can."""
    conditions = {
        key: Message(value) if isinstance(value, str) else value for key, value in unpacked(row.conditions).items()
    }
    return {
        "model": row.model,
        "weights": "lab",
        "stimuli": words,
        **conditions,
        "measure": Message(row.measure),
        "value": row.value,
        "unit": Message(row.unit) if row.unit else "",
        "n": row.n,
        "low": row.low,
        "high": row.high,
        "interval": Message(row.interval) if row.interval else "",
    }
