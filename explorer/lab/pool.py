"""Pictures to train and judge on, rendered once and shared by every run of every process."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path

import safetensors.torch
import torch
from filelock import FileLock
from torch import Tensor

from explorer import scenes
from explorer.lab.networks import SIZE
from explorer.scenes import Distribution
from explorer.writing import make_folder, write

#: Pictures in one file.
SHARD = 4000
#: Pictures rendered at a time, on a CPU and elsewhere.
_AT_ONCE, _AT_ONCE_ELSEWHERE = 500, SHARD
#: Held while pictures are read or brought to a device, which is done once for all threads.
_MOVING = threading.Lock()

Maker = Callable[[int, Tensor, Distribution, torch.device], Mapping[str, Tensor]]
"""Renders a part of a stream: seed, (n,) indices, distribution, device; to tensors whose first axis is n."""


class Pool:
    """Pictures of a stream and what is true of them, in files that are memory-mapped.

    Attributes:
        names: of its tensors; "images" are (n, 3, 48, 48) uint8.
    """

    def __init__(self, shards: Sequence[Mapping[str, Tensor]]) -> None:
        self._shards = shards
        self._moved: dict[torch.device, Pool] = {}
        self.names = tuple(shards[0])

    def __len__(self) -> int:
        return sum(len(one["images"]) for one in self._shards)

    def __getitem__(self, which: Tensor) -> dict[str, Tensor]:
        """Some of them: (n,) indices, in any order, to tensors where the pictures are."""
        if len(self._shards) == 1:
            return {name: self._shards[0][name].index_select(0, which) for name in self.names}
        places = [divmod(int(one), SHARD) for one in which]
        return {name: torch.stack([self._shards[a][name][b] for a, b in places]) for name in self.names}

    def on(self, device: torch.device) -> Pool:
        """All of them in a device's memory; once for all runs of a process."""
        with _MOVING:
            if device not in self._moved:
                whole = {name: torch.cat([one[name] for one in self._shards]).to(device) for name in self.names}
                self._moved[device] = Pool([whole])
            return self._moved[device]


def pool(
    make: Maker, name: str, seed: int, distribution: Distribution, count: int, folder: Path, device: torch.device
) -> Pool:
    """The first pictures of a stream, rendered where they are not there yet.

    Args:
        make: renders them.
        name: of what it makes, for the files.
        seed: of the stream.
        distribution: which scenes.
        count: how many; a larger pool begins with the files of a smaller one.
        folder: of the files, a process at a time renders into it; made where it is not there.
        device: where they are rendered.

    Raises WriteError.
    """
    made = json.dumps([scenes.DATA_VERSION, SIZE, asdict(distribution)], sort_keys=True)
    prefix = f"{name}-{seed}-{sha256(made.encode()).hexdigest()[:12]}"
    make_folder(folder)
    files = []
    with FileLock(folder / f"{prefix}.lock"):
        for start in range(0, count, SHARD):
            stop = min(start + SHARD, count)
            file = folder / f"{prefix}-{start:07}-{stop - start}.safetensors"
            files.append(file)
            if file.is_file():
                continue
            at_once = _AT_ONCE if device.type == "cpu" else _AT_ONCE_ELSEWHERE
            parts = [make(seed, some, distribution, device) for some in torch.arange(start, stop).split(at_once)]
            whole = {key: torch.cat([part[key] for part in parts]).cpu() for key in parts[0]}
            kept = "What was rendered before is kept; give the same command again when there is room"
            write(file, safetensors.torch.save(whole), kept)
    with _MOVING:
        return _loaded(tuple(files))


@lru_cache(maxsize=4)
def _loaded(files: tuple[Path, ...]) -> Pool:
    """One pool for all runs of a process that read the same files."""
    return Pool([safetensors.torch.load_file(file) for file in files])


def quantised(images: Tensor) -> Tensor:
    """Pictures in 0..1 as uint8."""
    return (images * 255).round().to(torch.uint8)


def _single(seed: int, which: Tensor, distribution: Distribution, device: torch.device) -> Mapping[str, Tensor]:
    rendered = scenes.render(scenes.draw(seed, which, distribution), SIZE, device)
    return {"images": quantised(rendered.images), "labels": rendered.labels}


def grouped(seed: int, which: Tensor, distribution: Distribution, device: torch.device) -> Mapping[str, Tensor]:
    """Pictures of several objects, with their boxes, labels and which of them count; see `pool`."""
    rendered = scenes.render_groups(scenes.draw_groups(seed, which, distribution), SIZE, device)
    return {
        "images": quantised(rendered.images),
        "boxes": rendered.boxes,
        "labels": rendered.labels,
        "counts": rendered.counts,
    }


#: Pictures of one object and its class; pictures of several, with their boxes.
singles: Callable[..., Pool] = partial(pool, _single, "single")
groups: Callable[..., Pool] = partial(pool, grouped, "group")
