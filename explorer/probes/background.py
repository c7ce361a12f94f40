"""The background gap: the same objects on backgrounds of their own class and of others (Backgrounds Challenge)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from explorer.errors import ParameterError
from explorer.images import Bands, Picture
from explorer.images.folders import Folder
from explorer.images.on_disk import checked
from explorer.messages import Message
from explorer.models.model import Model
from explorer.plain import read_json
from explorer.probes.answers import as_it_is, probabilities
from explorer.probes.base import Run, Step, need_imagenet, need_one_class
from explorer.probes.cues import others
from explorer.probes.rows import Row, rate, row
from explorer.probes.shares import newcombe, paired
from explorer.probes.stimuli import Shown, Stimulus, render_many
from explorer.probes.stimuli import scenes as drawn_scenes
from explorer.scenes import BACKGROUNDS, CLASSES, Scene

#: The challenge's map from ImageNet's classes to the nine of IN-9.
IN9_MAP = "in_to_in9.json"
#: IN-9's folders, and what the paper calls them.
PARTS = {"mixed_same": "mixed-same", "mixed_rand": "mixed-rand"}
#: The pairs of backgrounds whose accuracies are subtracted: the paper's, and the class's own against another class's.
MIXED, PURE = Message("mixed-same - mixed-rand"), Message("own - another's")


def mixed(scenes: Sequence[Scene], seed: int) -> dict[str, list[Scene]]:
    """Scenes before the backgrounds of other, freshly drawn scenes, of the same class and of another; and their own.

    All else stays: object, texture, colours, noise. A background drawn with another scene goes with that scene's class
    about as often as in training, as those of IN-9 do; "own" and "another's" are the kinds that go with the classes
    themselves.
    """
    labels = [CLASSES.index(scene.label) for scene in scenes]
    count = len(CLASSES)
    # One donor of every class for each scene; of the next seed's stream, so that none is the scene itself.
    donors = drawn_scenes(count * len(scenes), seed + 1)
    out: dict[str, list[Scene]] = {}
    strangers = others(labels)[0]
    for part, classes in (("mixed-same", labels), ("mixed-rand", strangers)):
        out[part] = [
            replace(scene, background=donors[number * count + label].background)
            for number, (scene, label) in enumerate(zip(scenes, classes))
        ]
    for part, classes in (("own", labels), ("another's", strangers)):
        out[part] = [replace(scene, background=BACKGROUNDS[label]) for scene, label in zip(scenes, classes)]
    return out


def scene_gap(model: Model, scenes: Sequence[Scene], run: Run) -> Iterator[Step]:
    labels = torch.tensor([CLASSES.index(scene.label) for scene in scenes])
    right: dict[str, list[bool]] = {}
    rows: list[Row] = []
    for part, some in mixed(scenes, run.seed).items():

        def make(start: int, stop: int, some: Sequence[Scene] = some) -> Tensor:
            return render_many(some[start:stop], model.input_size[0])[0].to(model.device)

        p = yield from probabilities(run, len(some), make, 0.55, 0.6)
        right[part] = (p.argmax(1) == labels).tolist()
        rows.append(rate("accuracy", sum(right[part]), len(labels), view=part, protocol="scenes"))
    for between in (MIXED, PURE):
        same, rand = (right[part] for part in between.split(" - "))
        rows.append(gap_row(sum(same), len(same), sum(rand), len(rand), "scenes", between, paired(same, rand)))
    yield Step(0.6, rows)


def gap_row(
    same: int, n_same: int, rand: int, n_rand: int, protocol: str, between: str = MIXED, phi: float = 0.0
) -> Row:
    """The row of a BG-gap: right answers of mixed-same and of mixed-rand, say; see `newcombe`."""
    low, high = newcombe(same, n_same, rand, n_rand, phi)
    value = same / n_same - rand / n_rand
    return row(
        "BG-gap",
        value,
        Message("difference of shares"),
        min(n_same, n_rand),
        (max(low, -1.0), min(high, 1.0)),
        "Newcombe",
        protocol=protocol,
        between=between,
    )


def is_in9(folder: Path) -> bool:
    """Whether a folder has IN-9's layout: both mixed_same and mixed_rand."""
    return all((folder / part).is_dir() for part in PARTS)


def in9_map(folder: Path) -> dict[int, int]:
    """The challenge's map from ImageNet's classes to the nine of IN-9; classes of none are left out.

    Raises ParameterError where the file is not there, or is of another form.
    """
    file = next((one / IN9_MAP for one in (folder, folder.resolve().parent) if (one / IN9_MAP).is_file()), None)
    if file is None:
        raise ParameterError(
            Message(
                "'{folder}' has IN-9's layout but no {file}, the map from ImageNet's classes to its nine; it lies "
                "in github.com/MadryLab/backgrounds_challenge: put it into the folder or beside it",
                folder=folder,
                file=IN9_MAP,
            )
        )
    try:
        read = read_json(file.read_text(encoding="utf-8"), str(file))
        pairs = read.items() if isinstance(read, dict) else enumerate(read)
        found = {int(index): int(number) for index, number in pairs if number is not None}
    except (OSError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ParameterError(
            Message("'{file}' maps no class index to a number of IN-9: {error}", file=file, error=error)
        ) from None
    return {index: number for index, number in found.items() if number >= 0}


def in9_part(folder: Path, bands: Bands | None) -> tuple[list[Stimulus], tuple[str, ...]]:
    """The pictures of mixed_same or mixed_rand, and what is to be said; label: part and class, as in mixed-same/3."""
    read = Folder(folder)
    found = [
        Stimulus(one.path.name, picture, f"{PARTS[folder.name]}/{int(match[1])}")
        for one, picture in checked(read, bands)
        if (match := re.match(r"(\d+)_", one.label))
    ]
    if not found:
        raise ParameterError(
            Message(
                "'{folder}' has no pictures in folders that are numbered by class: val/00_dog or 00_dog, ..., are "
                "expected; found: {contents}",
                folder=folder,
                contents=read.contents(),
            )
        )
    return found, read.notes


def in9_gap(model: Model, shown: Shown, run: Run, nine: dict[int, int]) -> Iterator[Step]:
    need_one_class(model, Message("IN-9's map is from ImageNet's 1000 classes, of which one is answered"))
    need_imagenet(model, Message("IN-9's map is from ImageNet's 1000 classes"))
    items = shown.stimuli.items

    def make(start: int, stop: int) -> Tensor:
        sources = [one.source for one in items[start:stop] if isinstance(one.source, Picture)]
        return torch.cat([as_it_is(model, source) for source in sources])

    p = yield from probabilities(run, len(items), make)
    right: dict[str, list[bool]] = {part: [] for part in PARTS.values()}
    for item, answer in zip(items, p.argmax(1).tolist()):
        part, _, label = item.label.partition("/")
        right[part].append(nine.get(answer) == int(label))
    (same, n_same), (rand, n_rand) = ((sum(one), len(one)) for one in right.values())
    yield Step(
        1.0,
        [
            rate("accuracy", same, n_same, view="mixed-same", protocol="IN-9"),
            rate("accuracy", rand, n_rand, view="mixed-rand", protocol="IN-9"),
            gap_row(same, n_same, rand, n_rand, "IN-9"),
        ],
    )
