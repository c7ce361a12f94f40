"""What a sweep measures: models x probes x data, and how; read from YAML, from flags or from Python."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch

from explorer.errors import ParameterError, UnknownNameError
from explorer.images.packed import shards_of
from explorer.images.storage import StoredFile, picture_place
from explorer.messages import Message, counted
from explorer.models.device import choose_device
from explorer.models.model import Model
from explorer.models.sets import matched_set
from explorer.models.spec import HeadKind, ModelSpec
from explorer.plain import read_yaml
from explorer.probes import PROBES
from explorer.probes.base import Probe
from explorer.probes.run import PRECISIONS

#: Pictures of a unit, pictures of a batch, and threads of a worker, where a plan does not say.
SHARD, BATCH, THREADS = 256, 16, 1
#: Fields of a ModelSpec that a plan may give beside its text.
_FIELDS = ("input_size", "weights_file", "head", "options", "block_options", "preprocessing")


@dataclass(frozen=True)
class PlannedModel:
    """A model of a sweep: its spec, and what rows and boards call it."""

    spec: ModelSpec
    name: str


@dataclass(frozen=True)
class PlannedProbe:
    """A probe of a sweep: its name in PROBES, and all of its parameters."""

    probe: str
    parameters: Mapping[str, Any]

    def make(self) -> Probe:
        """The probe itself."""
        made: Probe = PROBES.make(self.probe, self.parameters)
        return made


@dataclass(frozen=True)
class PlannedData:
    """What models are shown.

    Attributes:
        name: what rows and boards call it.
        images: a folder of pictures, see `explorer.images.folders`, or shards, see `explorer.images.packed`, here or
            by an address on storage; "" for scenes. What gives access may be in it: rows, hashes and boards have the
            name alone.
        scenes: how many procedural scenes, classes in turn; 0 for a folder.
        seed: of the scenes.
    """

    name: str
    images: str = ""
    scenes: int = 0
    seed: int = 0


@dataclass(frozen=True)
class SweepPlan:
    """What is measured, and with what the numbers depend on.

    Attributes:
        models: which models, each once; an entry of a plan that names a matched set stands for all of its models.
        probes: which probes, each with its parameters.
        data: what is shown; several sets are measured apart.
        shard: pictures of a unit, a multiple of ``batch``, so that a picture's neighbours in its batch are the same
            however a set is divided.
        batch: pictures of a forward pass at most.
        threads: of the CPU, of each worker; how many workers there are changes no number, but this may.
        precision: of the forward passes, "float32" or "bfloat16" for probes that allow it.
        device: where models run.
        seed: of every random choice.
    """

    models: tuple[PlannedModel, ...]
    probes: tuple[PlannedProbe, ...]
    data: tuple[PlannedData, ...]
    shard: int = SHARD
    batch: int = BATCH
    threads: int = THREADS
    precision: str = "float32"
    device: str = "cpu"
    seed: int = 0

    @classmethod
    def of(cls, values: Any, folder: Path | None = None) -> SweepPlan:
        """Make a plan of plain values, as YAML and JSON have them.

        Args:
            values: an object with ``models``, ``probes``, ``data``, and what else is not as usual.
            folder: what paths in it are relative to; the working directory if None.

        Raises ParameterError, before anything is loaded.
        """
        if not isinstance(values, Mapping):
            raise ParameterError(
                Message("a plan has the fields models, probes and data; got {value}", value=type(values).__name__)
            )
        known = [one.name for one in dataclasses.fields(cls)]
        for name in values:
            if name not in known:
                raise UnknownNameError("field of a plan", str(name)[:40], known)
        models = [_model(each, folder) for one in _several(values, "models") for each in _opened(one)]
        probes = [_probe(one) for one in _several(values, "probes")]
        data = [_data(one, folder) for one in _several(values, "data")]
        rest = {name: value for name, value in values.items() if name not in ("models", "probes", "data")}
        for name in ("shard", "batch", "threads", "seed"):
            value = rest.get(name, 1)
            if isinstance(value, bool) or not isinstance(value, int) or value < (0 if name == "seed" else 1):
                least = 0 if name == "seed" else 1
                raise ParameterError(
                    Message("{name} is a whole number from {least}, got {value}", name=name, least=least, value=value)
                )
        if "batch" in rest and "shard" not in rest:
            rest["shard"] = -(-SHARD // rest["batch"]) * rest["batch"]
        rest["device"] = _device(rest.get("device"))
        made = cls(tuple(models), tuple(probes), tuple(data), **rest)
        made._check()
        return made

    @classmethod
    def read(cls, file: str | Path) -> SweepPlan:
        """Read a plan from a YAML file; paths in it are relative to the file. Raises ParameterError."""
        path = Path(file)
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise ParameterError(
                Message("'{path}' cannot be read: {error}", path=path, error=error.strerror or error)
            ) from error
        except UnicodeDecodeError as error:
            raise ParameterError(Message("'{path}' is no YAML: {error}", path=path, error=error)) from error
        return cls.of(read_yaml(text, str(path)), path.parent)

    def record(self) -> dict[str, Any]:
        """The plan as plain values that tell what was measured; of a person's own files the name alone is held."""
        return {
            "models": [one.name for one in self.models],
            "probes": [{"probe": one.probe, **one.parameters} for one in self.probes],
            "data": [
                {"name": one.name, **({"scenes": one.scenes, "seed": one.seed} if one.scenes else {})}
                for one in self.data
            ],
            **{name: getattr(self, name) for name in ("shard", "batch", "threads", "precision", "device", "seed")},
        }

    def _check(self) -> None:
        for what, names in (
            ("models", [one.name for one in self.models]),
            ("data", [one.name for one in self.data]),
            ("probes", [repr(one) for one in self.probes]),
        ):
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None and what == "probes":
                twice = next(one.probe for one in self.probes if repr(one) == twice)
            if twice is not None:
                raise ParameterError(
                    Message(
                        "two of the {what} are called '{name}'; leave one out, or give them a 'name' each in a plan",
                        what=what,
                        name=twice,
                    )
                )
        if self.shard % self.batch:
            raise ParameterError(
                Message(
                    "shard is a multiple of batch, so that pictures are computed in the same batches however they are "
                    "divided; got {shard} and {batch}",
                    shard=self.shard,
                    batch=self.batch,
                )
            )
        if not isinstance(self.precision, str) or self.precision not in PRECISIONS:
            raise ParameterError(
                Message("precision is one of {names}, got '{value}'", names=", ".join(PRECISIONS), value=self.precision)
            )
        if self.precision != "float32":
            for one in self.probes:
                if not PROBES[one.probe].half:
                    raise ParameterError(
                        Message("{probe} is measured in float32 only; leave precision out", probe=one.probe)
                    )


def probe_of(text: str) -> dict[str, Any]:
    """A probe as a flag has it, ``NAME`` or ``NAME:KEY=VALUE,...``, as plain values. Raises ParameterError."""
    name, _, rest = text.partition(":")
    given: dict[str, Any] = {"probe": name.strip()}
    for part in filter(None, rest.split(",")):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise ParameterError(
                Message("a probe is NAME or NAME:KEY=VALUE,..., as in translation:side=9; got '{text}'", text=text)
            )
        given[key.replace("-", "_")] = read_yaml(value, text)
    return given


def _device(given: Any) -> str:
    """A device by its name; whether it is there is seen where it is used, which may be another machine."""
    if given is None:
        return str(choose_device())
    try:
        found = torch.device(str(given))
    except RuntimeError:
        raise ParameterError(Message("unknown device '{name}'; write cpu, cuda, cuda:1 or mps", name=given)) from None
    return "cuda:0" if str(found) == "cuda" else str(found)


def _several(values: Mapping[str, Any], name: str) -> Sequence[Any]:
    given = values.get(name)
    if given is None or (isinstance(given, (list, tuple)) and not given):
        raise ParameterError(Message("a plan names its {name}; there are none", name=name))
    return given if isinstance(given, (list, tuple)) else [given]


def _opened(given: Any) -> tuple[Any, ...]:
    """The models of a matched set, or the one model that is given."""
    if not isinstance(given, Mapping) or "set" not in given:
        return (given,)
    return matched_set(_text(_fields(given, "set", "models", ("set",)), "set")).models


def _model(given: Any, folder: Path | None) -> PlannedModel:
    if isinstance(given, Model):
        return PlannedModel(given.spec, str(given.spec))
    if isinstance(given, ModelSpec):
        _check_spec(given, name_of(given))
        return PlannedModel(given, name_of(given))
    if isinstance(given, str):
        given = {"model": given}
    fields = _fields(given, "model", "models", ("model", "name", *_FIELDS))
    text = _text(fields, "model")
    told = {name: _tupled(fields[name]) for name in _FIELDS if name in fields}
    if "weights_file" in told:
        told["weights_file"] = _path(folder, str(told["weights_file"]))
    size = told.get("input_size")
    if isinstance(size, int) and not isinstance(size, bool):
        told["input_size"] = (size, size)
    spec = ModelSpec.parse(text, **told)
    if spec.source.scheme == "local-dir" and folder is not None:
        spec = dataclasses.replace(spec, backbone=f"local-dir:{_path(folder, str(spec.source.folder))}")
    name = _text(fields, "name") if "name" in fields else name_of(spec)
    _check_spec(spec, name)
    return PlannedModel(spec, name)


def _check_spec(spec: ModelSpec, name: str) -> None:
    """Say what no model can be built from before any is; whether it can be built otherwise is seen when it is."""
    size = spec.input_size
    if size is not None and not (
        isinstance(size, tuple)
        and len(size) == 2
        and all(isinstance(one, int) and not isinstance(one, bool) and one > 0 for one in size)
    ):
        raise ParameterError(
            Message(
                "{model}: input_size is a number of pixels, or [height, width]; got {value}",
                model=name,
                value=str(size),
            )
        )
    kinds = get_args(HeadKind)
    if spec.head is not None and spec.head not in kinds:
        raise ParameterError(
            Message(
                "{model}: head is one of {names}; got {value}",
                model=name,
                names=", ".join(kinds),
                value=str(spec.head),
            )
        )
    for field in ("options", "block_options", "preprocessing"):
        pairs = getattr(spec, field)
        if not isinstance(pairs, tuple) or not all(
            isinstance(one, tuple) and len(one) == 2 and isinstance(one[0], str) for one in pairs
        ):
            raise ParameterError(
                Message(
                    "{model}: {field} has names and values, as in {field}: {example}; got {value}",
                    model=name,
                    field=field,
                    example="{NAME: VALUE}",
                    value=str(pairs),
                )
            )
    if spec.weights_file is not None and not Path(spec.weights_file).is_file():
        raise ParameterError(Message("{model}: there is no file '{path}'", model=name, path=spec.weights_file))
    if spec.source.scheme == "local-dir" and not spec.source.folder.is_dir():
        raise ParameterError(Message("{model}: there is no folder '{path}'", model=name, path=spec.source.folder))


def name_of(spec: ModelSpec) -> str:
    """What a model is called where others read it: its text, of a folder its last part, as paths are a person's own."""
    if spec.source.scheme != "local-dir":
        return str(spec)
    return str(dataclasses.replace(spec, backbone=f"local-dir:{spec.source.folder.name}"))


def _probe(given: Any) -> PlannedProbe:
    if isinstance(given, str):
        given = {"probe": given}
    if not isinstance(given, Mapping) or not isinstance(given.get("probe"), str):
        raise ParameterError(
            Message("a probe is its name, or 'probe' with its name and its parameters; got {value}", value=str(given))
        )
    name = str(given["probe"])
    made = PROBES.make(name, {str(key): value for key, value in given.items() if key != "probe"})
    return PlannedProbe(name, dataclasses.asdict(made))


def _data(given: Any, folder: Path | None) -> PlannedData:
    if isinstance(given, bool):
        given = {}
    if isinstance(given, int):
        given = {"scenes": given}
    if isinstance(given, (str, Path)):
        given = {"images": str(given)}
    fields = _fields(given, "images or scenes", "data", ("images", "scenes", "seed", "name"))
    if ("images" in fields) == ("scenes" in fields):
        raise ParameterError(
            Message("an entry of data is 'images', a folder, or 'scenes', how many; got {value}", value=str(given))
        )
    if "images" in fields:
        path = _path(folder, _text(fields, "images"))
        place = picture_place(path)
        if isinstance(place, StoredFile):
            if not place.name:
                raise ParameterError(Message("'{path}' names no folder in its bucket", path=place))
            if not shards_of(place) and not place.files(deep=False) and not place.files():
                raise ParameterError(Message("there is nothing at '{path}', or no one may list it", path=place))
            return PlannedData(str(fields.get("name", place.name)), images=path)
        if not place.is_dir() and not shards_of(place):
            raise ParameterError(
                Message("there is no folder '{path}' of pictures, and no .tar or .parquet file of them", path=path)
            )
        return PlannedData(str(fields.get("name", place.resolve().name)), images=str(place))
    count, seed = fields["scenes"], fields.get("seed", 0)
    for name, value, least in (("scenes", count, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ParameterError(
                Message("{name} is a whole number from {least}, got {value}", name=name, least=least, value=value)
            )
    words = counted("{n} scene", "{n} scenes", count)
    usual = Message("{scenes}, seed {seed}", scenes=words, seed=seed) if seed else words
    name = str(fields.get("name", usual))
    return PlannedData(name, scenes=count, seed=seed)


def _fields(given: Any, needed: str, what: str, known: Sequence[str]) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise ParameterError(
            Message("an entry of {what} has {needed}; got {value}", what=what, needed=needed, value=str(given))
        )
    for name in given:
        if name not in known:
            raise UnknownNameError(f"field of {what}", str(name)[:40], known)
    return dict(given)


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ParameterError(Message("'{name}' is a text, got {value}", name=name, value=repr(value)))
    return value


def _path(folder: Path | None, text: str) -> str:
    if "://" in text:
        return text
    path = Path(text).expanduser()
    return str(path if folder is None or path.is_absolute() else folder / path)


def _tupled(value: Any) -> Any:
    if isinstance(value, Mapping):
        return tuple(sorted((str(name), _tupled(one)) for name, one in value.items()))
    return tuple(map(_tupled, value)) if isinstance(value, list) else value
