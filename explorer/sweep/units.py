"""The units of a plan: one model, one probe, one shard of pictures; each named by the hash of what it depends on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from explorer.comparison.compare import versions
from explorer.errors import ImageError, ParameterError, UnknownNameError
from explorer.images.folders import Folder, FoundPicture, unread
from explorer.images.packed import PackedPicture, pictures_of, shards_of
from explorer.images.storage import StoredFile, below, picture_place
from explorer.images.stored import StoredPicture, stored_pictures
from explorer.lab.networks import LabModel, available, manifest
from explorer.messages import Message
from explorer.models.spec import ModelSpec
from explorer.probes import PROBES
from explorer.probes.base import Probe
from explorer.resources import asset
from explorer.scenes import DATA_VERSION
from explorer.sweep.plan import PlannedData, PlannedModel, PlannedProbe, SweepPlan

#: Raised whenever the same unit would give other rows, or rows other columns.
SCHEMA = 1
#: Pictures that are read at once to know what is in them.
_AT_ONCE = 16


@dataclass(frozen=True)
class Shard:
    """A part of a set of pictures or scenes, or all of it.

    Attributes:
        number: which part, from 0.
        of: how many there are.
        start: number of its first picture in the set.
        count: how many pictures; 0 where the probe shows none.
        files: the pictures of a folder, or () for scenes and for a probe that reads the folder itself.
    """

    number: int
    of: int
    start: int
    count: int
    files: tuple[FoundPicture, ...] = ()


@dataclass(frozen=True)
class Unit:
    """What is measured at one go, and never twice.

    Attributes:
        key: hash of everything that its rows depend on, and the name of its file.
        model: which model.
        probe: which probe, with its parameters.
        data: which set.
        shard: which part of it.
        seed: of every random choice.
        batch: pictures of a forward pass.
        threads: of the CPU.
        precision: of the forward passes.
        device: where the model runs.
    """

    key: str
    model: PlannedModel
    probe: PlannedProbe
    data: PlannedData
    shard: Shard
    seed: int
    batch: int
    threads: int
    precision: str
    device: str

    @property
    def weight(self) -> int:
        """How much work it is beside others of its model and probe: its pictures."""
        return max(1, self.shard.count)

    def about(self) -> dict[str, Any]:
        """What it is, in plain values."""
        return {
            "key": self.key,
            "model": self.model.name,
            "spec": _public(self.model.spec),
            "probe": self.probe.probe,
            "parameters": dict(self.probe.parameters),
            "data": self.data.name,
            "shard": self.shard.number,
            "shards": self.shard.of,
            "images": self.shard.count,
        }


def units(plan: SweepPlan) -> list[Unit]:
    """All units of a plan: model by model, so that each is loaded once; then probes, data, shards in their order.

    Raises ParameterError for a folder without pictures, and one that holds none that a probe shows.
    """
    return divided(plan)[0]


def divided(plan: SweepPlan) -> tuple[list[Unit], dict[str, list[str]]]:
    """The units of a plan, and what has to be said of its sets: name -> which of its pictures could not be read.

    Raises as `units`.
    """
    folders: dict[str, dict[FoundPicture, str]] = {}
    notes: dict[str, list[str]] = {}
    for one in plan.data:
        if one.images:
            folders[one.name], left_out = _contents(picture_place(one.images))
            notes |= {one.name: [unread(left_out)]} if left_out else {}
    divided = {
        (number, data.name): list(_shards(plan, PROBES[probe.probe], probe, data, folders.get(data.name, {})))
        for number, probe in enumerate(plan.probes)
        for data in (plan.data if PROBES[probe.probe].looks else plan.data[:1])
    }
    common = {
        "schema": SCHEMA,
        "seed": plan.seed,
        "batch": plan.batch,
        "threads": plan.threads,
        "precision": plan.precision,
        "device": plan.device,
        "versions": {name: str(version) for name, version in versions().items()},
    }
    out = []
    for model in plan.models:
        told = {"name": model.name, "model": model_key(model.spec)}
        for (number, name), shards in divided.items():
            probe, data = plan.probes[number], next(one for one in plan.data if one.name == name)
            for shard, shown in shards:
                depends = {**common, **told, "probe": probe.probe, "parameters": dict(probe.parameters), "shown": shown}
                out.append(
                    Unit(
                        _hash(depends), model, probe, data, shard, plan.seed, plan.batch, plan.threads,
                        plan.precision, plan.device,
                    )
                )  # fmt: skip
    return out, notes


def model_key(spec: ModelSpec) -> dict[str, Any]:
    """What a model's answers depend on, as plain values: its spec, and what is in its files instead of where they lie.

    It holds no path, and nothing that gives access to a repository.
    """
    told = {name: value for name, value in dataclasses.asdict(spec).items() if name not in ("weights_file", "backbone")}
    files = [] if spec.weights_file is None else [Path(spec.weights_file)]
    if spec.source.scheme == "local-dir":
        folder = spec.source.folder
        files += [folder / "config.json", *sorted(folder.glob("*.safetensors"))]
    else:
        told["backbone"] = spec.backbone
    if spec.origin == "lab" and spec.weights_file is None:
        name = str(LabModel.of(spec).spec(spec.seed))
        if name not in manifest():
            raise UnknownNameError(Message("trained model"), name, available())
        files.append(asset("checkpoints", manifest()[name]["file"]))
    return {**told, "files": [_hash_of_file(one) for one in files]}


def _public(spec: ModelSpec) -> str:
    """A spec's text where that says all of it to everybody, or ""."""
    plain = ModelSpec.parse(str(spec)) == spec
    return str(spec) if plain and spec.source.scheme not in ("local-dir", "module") else ""


def divides(kind: type[Probe], data: PlannedData) -> bool:
    """Whether a probe can be measured in parts of a set."""
    return kind.parts == "pictures and scenes" or bool(kind.parts and data.images)


def _shards(
    plan: SweepPlan, kind: type[Probe], probe: PlannedProbe, data: PlannedData, contents: Mapping[FoundPicture, str]
) -> Iterator[tuple[Shard, Any]]:
    """Each shard of a set for a probe, and what its rows depend on."""
    if not kind.looks:
        yield Shard(0, 1, 0, 0), None
        return
    if data.scenes:
        about = {"scenes": DATA_VERSION, "seed": data.seed}
        if not divides(kind, data):
            yield Shard(0, 1, 0, data.scenes), {**about, "of": data.scenes}
            return
        starts = range(0, data.scenes, plan.shard)
        for number, start in enumerate(starts):
            count = min(plan.shard, data.scenes - start)
            yield Shard(number, len(starts), start, count), {**about, "start": start, "count": count}
        return
    root = picture_place(data.images)
    folder = isinstance(root, Path) and not shards_of(root)
    if not divides(kind, data):
        every = [_shown(root, one, one.label, digest) for one, digest in contents.items()]
        packed = () if folder else tuple(contents)
        yield Shard(0, 1, 0, len(every), packed), every
        return
    made = probe.make()
    shown = [(one, label) for one in contents if (label := made.label(one)) is not None]
    if not shown:
        if folder:
            made.stimuli(str(root), [], plan.seed)  # the probe says itself what it expects
        raise ParameterError(Message("'{root}' has no pictures for {probe}", root=root, probe=probe.probe))
    starts = range(0, len(shown), plan.shard)
    for number, start in enumerate(starts):
        some = shown[start : start + plan.shard]
        files = tuple(dataclasses.replace(one, label=label) for one, label in some)
        depends = [_shown(root, one, label, contents[one]) for one, label in some]
        yield Shard(number, len(starts), start, len(files), files), {"start": start, "pictures": depends}


def _shown(root: Path | StoredFile, one: FoundPicture, label: str, digest: str) -> list[str]:
    name = below(one.path, root)
    return [f"{name}/{one.name}" if isinstance(one, PackedPicture) else name, label, digest]


def _contents(root: Path | StoredFile) -> tuple[dict[FoundPicture, str], list[str]]:
    """The pictures of a folder or of shards, each with the hash of its bytes and of its object's; names of the rest."""
    if shards := shards_of(root):
        return _hashes(pictures_of(shards)), []
    if isinstance(root, StoredFile):
        return _hashes(stored_pictures(root)), []
    folder = Folder(root)
    hashes: dict[FoundPicture, str] = {
        one: _hash_of_file(one.path) + ("" if one.mask is None else _hash_of_file(one.mask)) for one in folder
    }
    return hashes, list(folder.left_out)


def _hashes(some: Iterator[PackedPicture] | Iterator[StoredPicture]) -> dict[FoundPicture, str]:
    """Each picture with the hash of its bytes, several read at once: an answer of storage takes its time."""
    found: dict[FoundPicture, str] = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        # A few at a time, so that what is read does not pile up.
        while few := list(islice(some, 4 * _AT_ONCE)):
            found.update(zip(few, pool.map(_hash_of_picture, few)))
    return found


def _hash_of_picture(one: PackedPicture | StoredPicture) -> str:
    try:
        digest = sha256(one.bytes()).hexdigest()
        return digest + (sha256(one.mask.read()).hexdigest() if isinstance(one.mask, StoredFile) else "")
    except (ImageError, OSError):
        return "absent"  # what cannot be read fails where it is needed, with its reason


def _hash(values: Any) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), default=str)
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _hash_of_file(path: Path) -> str:
    try:
        status = path.stat()
        return _digest(path, status.st_mtime_ns, status.st_size)
    except OSError:
        return "absent"  # what cannot be read fails where it is needed, with its reason


@lru_cache(maxsize=2**17)
def _digest(path: Path, changed: int, size: int) -> str:  # noqa: ARG001 - tell the file's states apart
    found = sha256()
    with path.open("rb") as file:
        while part := file.read(2**20):
            found.update(part)
    return found.hexdigest()
