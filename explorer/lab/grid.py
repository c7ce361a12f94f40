"""Many laboratory models trained one after the other, or by several processes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from explorer.errors import ParameterError
from explorer.lab.networks import MANIFEST, LabModel, file_name, read_record
from explorer.lab.recipes import Recipe, recipe_of
from explorer.lab.training import Progress, train
from explorer.lab.workers import end_with_parent, finish, processes
from explorer.writing import write

# ---- the grid -------------------------------------------------------------------------------------------------------


def write_manifest(folder: Path) -> dict[str, Any]:
    """Gather the records of all weights in a folder, with the hash of each file, into its manifest; return it."""
    models = []
    for file in sorted(folder.glob("*.safetensors")):
        about = file.stat()
        models.append(_entry(file, about.st_mtime_ns, about.st_size))
    manifest = {"models": sorted(models, key=lambda record: (record["backbone"], record["training"], record["spec"]))}
    told = "The weights beside it are kept; give the same command again when there is room, and it is written"
    write(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n", told)
    return manifest


@lru_cache(maxsize=1024)
def _entry(file: Path, changed: int, size: int) -> dict[str, Any]:  # noqa: ARG001 - tell the file's states apart
    return {**read_record(file), "file": file.name, "sha256": sha256(file.read_bytes()).hexdigest()}


def train_grid(
    runs: Sequence[tuple[LabModel, int]],
    folder: Path,
    changed: Mapping[str, Any] | None = None,
    device: torch.device | str = "cpu",
    workers: int = 1,
    progress: Callable[[Progress], None] | None = None,
    finished: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Train many models, those that are finished already left out; return the manifest of the folder.

    Args:
        runs: (model, seed) pairs.
        folder: where weights, started runs and the manifest are.
        changed: what is other than in each model's own recipe: fields of Recipe and their values.
        device: where.
        workers: how many are trained at once: by as many processes, each with its share of the CPU's cores, or on a
            GPU by as many threads, whose captured steps run beside each other.
        progress: told after every step of each run, but not by other processes.
        finished: told each run's record.
    """
    if workers < 1:
        raise ParameterError(f"workers is {workers}; at least one process trains")
    waiting = [
        (model, seed, folder, replace(recipe_of(model), **changed or {}))
        for model, seed in runs
        if not (folder / f"{file_name(model, seed)}.safetensors").is_file()
    ]

    def done(record: dict[str, Any]) -> None:
        write_manifest(folder)
        if finished is not None:
            finished(record)

    if workers == 1:
        for run in waiting:
            done(train(*run, device, progress))
    elif torch.device(device).type == "cuda":
        with ThreadPoolExecutor(workers) as threads:
            finish(threads, [threads.submit(train, *run, device, progress) for run in waiting], done)
    else:
        share = max(1, torch.get_num_threads() // workers)
        with processes(workers, share) as pool:
            finish(pool, [pool.submit(_train_here, *run, str(device)) for run in waiting], done)
    return write_manifest(folder)


def _train_here(model: LabModel, seed: int, folder: Path, recipe: Recipe, device: str) -> dict[str, Any]:
    return train(model, seed, folder, recipe, device, lambda _: end_with_parent())
