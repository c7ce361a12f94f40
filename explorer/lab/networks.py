"""The laboratory's networks: one trunk of timm's, with every block, equal in parameters."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from timm.layers.conv_bn_act import ConvNormAct
from timm.layers.mlp import Mlp
from timm.layers.norm import LayerNorm2d
from timm.models.metaformer import MetaFormer
from torch import Tensor, nn

from explorer.blocks import BLOCKS
from explorer.errors import UnknownNameError, WeightsError
from explorer.messages import Message
from explorer.models.spec import ModelSpec
from explorer.models.weights import RECORD, lay_over, read_note, read_tensors
from explorer.resources import asset
from explorer.scenes import CLASSES
from explorer.seeding import Seeded

#: Height and width of the laboratory's pictures, px.
SIZE = 48
#: Width and depth of the MetaFormer's one stage; its stem gives a grid of 12 x 12.
WIDTH, DEPTH, GRID = 48, 3, (12, 12)
#: Width and grid of the second stage of a trunk of two levels, which has the last of the three layers.
SECOND_WIDTH, SECOND_GRID = 52, (6, 6)
#: Channels of the dense head: a heat-map for each class, the offset of a centre in its place, a width and a height.
CHANNELS = len(CLASSES) + 4
#: Parameters that every network comes as near to as the width of its MLPs, within bounds, allows.
PARAMETERS, _WIDTHS = 92_000, (1, 8 * WIDTH)
#: Mean and standard deviation by which pictures in 0..1 are normalised.
MEAN, STD = 0.5, 0.25
#: The file beside the weights that says what each is.
MANIFEST = "manifest.json"
#: Parameters of blocks that differ from the block's own defaults. Attention over places gets positions, as in its
#: papers; c2f_gate a quarter of the channels, as at full width it alone would exceed a network's parameters.
BLOCK_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "mhsa": {"position": "absolute", "heads": 4},
    "axial": {"position": "absolute", "heads": 4},
    "channel": {"groups": 4},
    "c2f_gate": {"width": WIDTH // 4},
}
Training = Literal["centred", "aug", "cue"]
#: Blocks that are trained to find objects.
DETECTING_BLOCKS = ("none", "conv", "mhsa", "axial", "coord", "c2f", "ca_c2f")
_LEVELS: Sequence[Mapping[str, Any]] = ({"levels": 2}, {"levels": 2, "pyramid": True})
#: What is varied of single blocks, trained on centred scenes: a parameter of the block; the padding of every
#: convolution, those of the stem included; or the trunk, of two levels, with or without a feature pyramid.
SERIES: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "mhsa": (
        *({"position": position} for position in ("none", "relative")),
        *({"heads": heads} for heads in (1, 2, 8)),
        *_LEVELS,
    ),
    "axial": ({"position": "none"}, {"merge": "sequence"}),
    "conv": tuple({"padding": padding} for padding in ("reflect", "circular")),
    "c2f": (*({"padding": padding} for padding in ("reflect", "circular")), *_LEVELS),
}


@dataclass(frozen=True)
class LabModel:
    """One of the laboratory's models, untrained or trained.

    Attributes:
        block: name in BLOCKS.
        backbone: "metaformer", whose only mixing of places beyond its stem the block is; or "detect", the same trunk
            with a head that finds objects.
        training: on which scenes: "centred"; "aug", anywhere and at all sizes; or "cue", whose texture always agrees
            with the shape and whose background says nothing.
        options: what differs from BLOCK_OPTIONS, as sorted pairs; see SERIES.
    """

    block: str
    backbone: str = "metaformer"
    training: Training = "centred"
    options: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, spec: ModelSpec) -> LabModel:
        """Read a spec with origin "lab"; raises UnknownNameError for one the laboratory does not have."""
        name = str(ModelSpec(spec.backbone, "lab", spec.block, spec.stage))
        known = _by_name()
        if name not in known:
            raise UnknownNameError(Message("laboratory model"), name, known)
        return known[name]

    def spec(self, seed: int = 0) -> ModelSpec:
        """The spec of this model: lab/BLOCK[(NAME=VALUE,...)][-aug|-cue] or lab/detect+BLOCK."""
        if self.backbone != "metaformer":
            return ModelSpec(self.backbone, "lab", self.block, seed=seed)
        options = ",".join(f"{name}={value}".lower() for name, value in self.options)
        suffix = "" if self.training == "centred" else f"-{self.training}"
        return ModelSpec(f"{self.block}({options}){suffix}" if options else self.block + suffix, "lab", seed=seed)


def all_models() -> list[LabModel]:
    """Every model of the experiment: each block on three kinds of scenes, those that detect, and the series."""
    trainings: tuple[Training, ...] = get_args(Training)
    return [
        *(LabModel(block, training=training) for training in trainings for block in BLOCKS),
        *(LabModel(block, "detect", "aug") for block in DETECTING_BLOCKS),
        *(
            LabModel(block, options=tuple(sorted(changed.items())))
            for block, several in SERIES.items()
            for changed in several
        ),
    ]


@lru_cache(maxsize=1)
def _by_name() -> Mapping[str, LabModel]:
    return MappingProxyType({str(model.spec()): model for model in all_models()})


def file_name(model: LabModel, seed: int) -> str:
    """The name of a model's weights file, without ending."""
    name = str(model.spec()).removeprefix("lab/")
    return re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-") + f"-{seed}"


def build(model: LabModel, seed: int, width: int | None = None) -> nn.Module:
    """Build a network with weights drawn from a seed: (B, 3, 48, 48), normalised, to (B, 12) logits.

    One that detects gives (B, CHANNELS, 12, 12) for each place; see `explorer.detection.decode`.

    Args:
        model: which.
        seed: of the weights.
        width: of the MLPs, where it is known; else `width_of` finds it.
    """
    width = width_of(model) if width is None else width
    with Seeded(seed):
        return _made(model, width)


@lru_cache(maxsize=128)
def width_of(model: LabModel) -> int:
    """The width of the MLPs that brings the parameters nearest to `PARAMETERS`, those of all models."""
    low, high = _WIDTHS

    def parameters(width: int) -> int:
        with torch.device("meta"):  # counting needs no memory
            network = _made(model, width)
        return sum(parameter.numel() for parameter in network.parameters())

    while high - low > 1:  # their number grows with the width
        middle = (low + high) // 2
        low, high = (middle, high) if parameters(middle) <= PARAMETERS else (low, middle)
    return min((low, high), key=lambda width: abs(parameters(width) - PARAMETERS))


def _made(model: LabModel, hidden: int) -> MetaFormer:
    """A MetaFormer whose token mixer is the block; MLPs of the given hidden width.

    Two 3x3 convolutions of stride 2 are its stem (Xiao et al. 2021, "Early convolutions help transformers see
    better"), in place of one of 7x7.
    """
    changed = dict(model.options)
    padding, levels, pyramid = (changed.pop(*one) for one in (("padding", "zeros"), ("levels", 1), ("pyramid", False)))
    network = (Detector if model.backbone == "detect" else Pyramid if pyramid else MetaFormer)(
        depths=(DEPTH,) if levels == 1 else (DEPTH - 1, 1),
        dims=(WIDTH,) if levels == 1 else (WIDTH, SECOND_WIDTH),
        token_mixers=nn.Identity,
        norm_layers=LayerNorm2d,
        num_classes=len(CLASSES),
        use_mlp_head=False,
    )
    stem = nn.Sequential(
        ConvNormAct(3, WIDTH // 2, 3, stride=2), ConvNormAct(WIDTH // 2, WIDTH, 3, stride=2, apply_act=False)
    )
    network.set_submodule("stem", stem)
    options = {**BLOCK_OPTIONS.get(model.block, {}), **changed}
    for stage, (width, grid) in zip(network.stages.children(), ((WIDTH, GRID), (SECOND_WIDTH, SECOND_GRID))):
        for layer in stage.get_submodule("blocks").children():
            layer.token_mixer = BLOCKS[model.block](width, grid, **options)
            layer.mlp = Mlp(width, hidden, act_layer=nn.ReLU, use_conv=True)
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1):
            module.padding_mode = padding
    return network


class Pyramid(MetaFormer):
    """A MetaFormer of two levels whose head reads both, the coarse one enlarged and added (Lin et al. 2017, FPN)."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.lateral = nn.Conv2d(WIDTH, SECOND_WIDTH, 1)

    def forward_features(self, x: Tensor) -> Tensor:
        """(B, 3, 48, 48) to (B, SECOND_WIDTH, 12, 12)."""
        fine = self.stages[0](self.stem(x))
        coarse = self.stages[1](fine)
        return self.lateral(fine) + F.interpolate(coarse, size=fine.shape[-2:])


class Detector(MetaFormer):
    """A MetaFormer that answers for every place, before any pooling: see `explorer.detection`."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.reset_classifier(0)
        self.dense = nn.Conv2d(WIDTH, CHANNELS, 1)
        # As rare as objects are, else the first steps do nothing but unlearn an even guess (Lin et al. 2017).
        assert self.dense.bias is not None
        nn.init.constant_(self.dense.bias[: len(CLASSES)], -4.0)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, 48, 48) to (B, CHANNELS, 12, 12)."""
        return self.dense(self.head.get_submodule("norm")(self.forward_features(x)))


@lru_cache(maxsize=1)
def manifest() -> Mapping[str, Mapping[str, Any]]:
    """The record of every trained model that ships, by its spec; empty where none does."""
    file = asset("checkpoints", MANIFEST)
    if not file.is_file():
        return MappingProxyType({})
    return MappingProxyType({record["spec"]: record for record in read_manifest(file.parent)})


def read_manifest(folder: Path) -> list[dict[str, Any]]:
    """The records of the trained models of a folder, as its manifest has them. Raises WeightsError."""
    file = folder / MANIFEST
    what = Message("'{file}' is no manifest of trained models", file=file)
    remedy = Message("remove it, and explorer train --out with its folder writes it anew")
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(Message("{what} ({error}); {remedy}", what=what, error=error, remedy=remedy)) from error
    records = read.get("models") if isinstance(read, dict) else None
    if not isinstance(records, list):
        raise WeightsError(Message("{what}: it has no list 'models'; {remedy}", what=what, remedy=remedy))
    for record in records:
        wrong = _wrong(record, ("spec",)) if isinstance(record, dict) else "spec"
        name = record.get("file") if isinstance(record, dict) else None
        if not wrong and not (isinstance(name, str) and name and Path(name).name == name and "\\" not in name):
            wrong = "file"
        if not wrong and not isinstance(record.get("sha256", ""), str):
            wrong = "sha256"
        if wrong:
            raise WeightsError(
                Message(
                    "{what}: '{wrong}' of a model in it is missing or of the wrong form; {remedy}",
                    what=what,
                    wrong=wrong,
                    remedy=remedy,
                )
            )
    return records


def _wrong(record: Mapping[str, Any], needed: Collection[str] = ("spec", "seed", "width")) -> str:
    """The first entry of a record of training that is needed and missing, or of the wrong form, or ""."""
    kinds = {"spec": str, "backbone": str, "training": str, "seed": int, "width": int}
    for name, kind in kinds.items():
        if (name in needed or name in record) and type(record.get(name)) is not kind:
            return name
    if record.get("backbone", "metaformer") not in ("metaformer", "detect"):
        return "backbone"
    if not 0 <= record.get("seed", 0) < 2**63:
        return "seed"
    # Before it is built: a record may name any width.
    low, high = _WIDTHS
    return "" if low <= record.get("width", low) <= high else "width"


def _check_hash(file: Path) -> None:
    """Raise a WeightsError where a file is not the one that the manifest beside it was written for."""
    if not (file.parent / MANIFEST).is_file():
        return
    expected = {record["file"]: record.get("sha256") for record in read_manifest(file.parent)}.get(file.name)
    try:
        found = sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise WeightsError(
            Message("'{name}' cannot be read ({error})", name=file.name, error=error.strerror or error)
        ) from error
    if expected is not None and found != expected:
        raise WeightsError(
            Message(
                "'{name}' is not the file that {list} beside it was written for: its SHA-256 is {found}…, not "
                "{expected}…. It was changed or damaged; get it anew, or remove it and train it again",
                name=file.name,
                list=MANIFEST,
                found=found[:12],
                expected=expected[:12],
            )
        )


def available() -> tuple[str, ...]:
    """Specs of the trained models that ship."""
    return tuple(manifest())


def nbytes(spec: ModelSpec) -> int:
    """Bytes that a trained network takes, at most; see `trained` for the errors."""
    file, _ = _file(spec)
    try:
        return 2 * file.stat().st_size  # stored as float16
    except OSError as error:
        raise WeightsError(
            Message("'{name}' cannot be read: {error}", name=file.name, error=error.strerror or error)
        ) from error


def trained(spec: ModelSpec) -> tuple[nn.Module, LabModel]:
    """Build a trained network: one that ships, or one whose weights ``spec.weights_file`` holds.

    Raises UnknownNameError for a model or a seed that there is not, and WeightsError for a file that does not fit.
    """
    model = LabModel.of(spec)
    file, record = _file(spec)
    _check_hash(file)
    network = build(model, record["seed"], record["width"])
    lay_over(network, read_tensors(file), file.name)
    return network, model


def _file(spec: ModelSpec) -> tuple[Path, dict[str, Any]]:
    """The file of a trained network's weights, and the record of its training."""
    model = LabModel.of(spec)
    if spec.weights_file is not None:
        file = Path(spec.weights_file)
        record = read_record(file)
        if record["spec"] != str(model.spec(record["seed"])):
            raise WeightsError(
                Message("'{name}' holds '{held}', not '{spec}'", name=file.name, held=record["spec"], spec=model.spec())
            )
        return file, record
    name = str(model.spec(spec.seed))
    if name not in manifest():
        raise UnknownNameError(Message("trained model"), name, available())
    record = dict(manifest()[name])
    if wrong := _wrong(record):
        raise WeightsError(
            Message(
                "{list}: '{wrong}' of '{name}' is missing or of the wrong form", list=MANIFEST, wrong=wrong, name=name
            )
        )
    return asset("checkpoints", record["file"]), record


def read_record(file: Path) -> dict[str, Any]:
    """The record that training wrote into a weights file; raises WeightsError for a file of another kind."""
    record = read_note(file, RECORD)
    if record is None:
        raise WeightsError(
            Message("'{name}' was not written by explorer train: it has no record of its training", name=file.name)
        )
    if wrong := _wrong(record):
        raise WeightsError(
            Message(
                "'{name}': '{wrong}' in the record of its training is missing or of the wrong form",
                name=file.name,
                wrong=wrong,
            )
        )
    return record
