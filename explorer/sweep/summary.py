"""What a sweep has measured: the rows of its units put together, as if each probe had been run on all at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from explorer.messages import Message, counted, listed
from explorer.probes import PROBES
from explorer.probes.parts import whole
from explorer.probes.result import ProbeResult, Score
from explorer.probes.rows import Row
from explorer.sweep.store import ROWS, Store


def failures(failed: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What failed, in words: one line for each model and error, however many units it ended.

    Args:
        failed: as `Sweep.failed` has it.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for one in failed.values():
        groups.setdefault((one["model"], one["error"]), []).append(one["probe"])
    return [
        f"failed: {model}, {', '.join(dict.fromkeys(probes))} ({len(probes)} unit{'s' * (len(probes) > 1)}): {error}"
        for (model, error), probes in groups.items()
    ]


class Sweep:
    """The rows of a sweep's folder, read when they are asked for.

    Args:
        root: the folder, or its address.

    Raises ParameterError where it has no sweep, or one of another version.
    """

    def __init__(self, root: str | Path) -> None:
        self._store = Store(root)
        self.root = self._store.root
        found = self._store.sweep()
        self._units: list[dict[str, Any]] = found["units"]
        self._plan: dict[str, Any] = found["plan"]
        self._versions: dict[str, str] = found["versions"]
        self._notes: dict[str, list[str]] = found.get("notes", {})

    def __repr__(self) -> str:
        done, failed = len(self.done), len(self.failed)
        return f"Sweep('{self.root}': {done} of {len(self._units)} units done, {failed} failed)"

    @property
    def plan(self) -> Mapping[str, Any]:
        """What is measured, as plain values."""
        return self._plan

    @property
    def versions(self) -> Mapping[str, str]:
        """Of the packages that it was measured with: package -> version."""
        return self._versions

    @property
    def store(self) -> Store:
        """Its files."""
        return self._store

    @property
    def units(self) -> list[dict[str, Any]]:
        """Its units as plain values: key, model, spec ("" of a person's own), probe, parameters, data,
        shard, shards, images."""
        return list(self._units)

    @property
    def done(self) -> list[str]:
        """Keys of the units whose rows are there and whole; reads every file, not its rows."""
        return self._store.done([one["key"] for one in self._units])

    @property
    def failed(self) -> dict[str, dict[str, Any]]:
        """Key of each unit that could not be measured -> what it is, and its error."""
        found = self._store.failed([one["key"] for one in self._units])
        done = set(self._store.done(list(found)))
        return {key: one for key, one in found.items() if key not in done}

    def dataset(self) -> Any:
        """All rows of the folder as a `pyarrow.dataset`; ``.to_table().to_pandas()`` gives a data frame."""
        return self._store.place.dataset(ROWS)

    def results(self) -> Iterator[ProbeResult]:
        """What each probe found on each set, of all models, as `explorer.probe` would give it.

        A model whose units are not all done is left out, and a note says so.
        """
        for _, result in self.by_set():
            yield result

    def by_set(self) -> Iterator[tuple[str, ProbeResult]]:
        """The same, each with the name of its set."""
        groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for one in self._units:
            groups.setdefault((one["data"], repr((one["probe"], one["parameters"]))), []).append(one)
        failed = self.failed
        for (data, _), some in groups.items():
            yield data, self._result(some, failed)

    def _result(self, some: list[dict[str, Any]], failed: Mapping[str, Mapping[str, Any]]) -> ProbeResult:
        kind, first = PROBES[some[0]["probe"]], some[0]
        made = PROBES.make(first["probe"], first["parameters"])
        rows: list[Row] = []
        notes: dict[str, None] = dict.fromkeys(self._notes.get(first["data"], []) if kind.looks else [])
        summary: dict[str, Score] = {}
        stimuli: dict[str, str] = {}
        by_model: dict[str, list[dict[str, Any]]] = {}
        for one in sorted(some, key=lambda one: int(one["shard"])):
            by_model.setdefault(one["model"], []).append(one)
        models = list(dict.fromkeys(one["model"] for one in some))
        for model in models:
            shards = by_model[model]
            found = [self._store.rows_of(one["key"]) for one in shards]
            missing = [one for one, its in zip(shards, found) if its is None]
            if missing:
                why = next((str(failed[one["key"]]["error"]) for one in missing if one["key"] in failed), "")
                said = Message("{missing} of {count} units are missing", missing=len(missing), count=len(shards))
                notes[listed([model, said, *([why] if why else [])], "{first}: {rest}")] = None
                continue
            read = [its for its in found if its is not None]
            for _, about in read:
                notes |= dict.fromkeys(about["notes"])
            parts = [its for its, _ in read]
            own: list[Row] = parts[0] if len(parts) == 1 else whole(kind, parts)  # type: ignore[assignment]
            count = sum(one["images"] for one in shards)
            shown = next((part[0]["stimuli"] for part in parts if part), "")
            if len(parts) > 1:
                shown = Message(
                    "{images}, {data}", images=counted("{n} image", "{n} images", count), data=first["data"]
                )
            # Rows name the model by its spec; a sweep may call it otherwise.
            own = [{**one, "model": model, "stimuli": shown} for one in own]
            rows += own
            stimuli[model] = shown
            if own:
                summary |= {f"{one.model}: {one.measure}": one for one in made.scores(own)}
        return ProbeResult(
            probe=first["probe"],
            bias=kind.bias,
            rows=rows,
            summary=summary,
            notes=tuple(notes),
            models=tuple(models),
            parameters=dataclasses.asdict(made),
            stimuli=stimuli,
            mode=str(first["parameters"].get("mode", "model")),
            seed=self._plan["seed"],
            device=self._plan["device"],
            dtype=self._plan["precision"],
            versions=self._versions,
            origin=Message("Measured by a sweep of {data}.", data=first["data"]),
        )
