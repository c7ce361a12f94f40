"""Matched sets: published models that differ in their attention and hardly in anything else.

The catalogue (``assets/sets.yaml``) names their models alone; what differs besides is read from timm.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from timm.models import get_pretrained_cfg
from torch import nn

from explorer.errors import UnknownNameError
from explorer.messages import Message
from explorer.models.catalogue import describe
from explorer.models.loading import size_of
from explorer.models.spec import ModelSpec
from explorer.plain import read_yaml
from explorer.resources import asset


@dataclass(frozen=True)
class SetMember:
    """One model of a set, as timm declares it.

    Attributes:
        model: its text.
        recipe: tag of its weights, which names the recipe of its training.
        parameters: how many.
        multiply_adds: of one forward pass of one picture at ``input_size``, or None where it is not known.
        input_size: (height, width), px.
        crop_pct: share of the resized picture's shorter side that is seen.
        depth: convolutions and linear layers with weights, those inside of ``parts`` left out.
        parts: kinds of modules that not every model of the set has, outermost alone: its attention, and what else is
            particular to it.
    """

    model: str
    recipe: str
    parameters: int
    multiply_adds: int | None
    input_size: tuple[int, int]
    crop_pct: float
    depth: int
    parts: tuple[str, ...]


@dataclass(frozen=True)
class MatchedSet:
    """Models to be compared side by side.

    Attributes:
        name: as ``--set`` takes it.
        title: what it is called.
        models: their texts, as `ModelSpec.parse` reads them.
    """

    name: str
    title: str
    models: tuple[str, ...]

    def members(self) -> tuple[SetMember, ...]:
        """Its models as timm declares them; built on the meta device, nothing is fetched."""
        return _members(self)

    def columns(self) -> dict[str, list[str]]:
        """What its models have of their own, and what differs besides: title -> a value a model, the model first.

        What all have in common is left out.
        """
        members = self.members()
        parts = [", ".join(one.parts) or "–" for one in members]
        differing = {
            Message("recipe"): [one.recipe for one in members],
            Message("input, px"): [f"{one.input_size[1]} x {one.input_size[0]}" for one in members],
            Message("share seen"): [f"{one.crop_pct:g}" for one in members],
            Message("other layers with weights"): [str(one.depth) for one in members],
            Message("parameters, millions"): [f"{one.parameters / 1e6:.1f}" for one in members],
            Message("multiply-adds, billions"): [_billions(one.multiply_adds) for one in members],
        }
        return {
            Message("model"): list(self.models),
            Message("parts that not all have"): parts,
            **{title: values for title, values in differing.items() if len(set(values)) > 1},
        }


def _billions(number: int | None) -> str:
    return "?" if number is None else f"{number / 1e9:.1f}"


@lru_cache(maxsize=1)
def matched_sets() -> Mapping[str, MatchedSet]:
    """The sets of the catalogue, by their names."""
    file = asset("sets.yaml")
    told = read_yaml(file.read_text(encoding="utf-8"), str(file))
    return {name: MatchedSet(name, one["title"], tuple(one["models"])) for name, one in told.items()}


def matched_set(name: str) -> MatchedSet:
    """The set of a name; ``matched_set("resnet33ts").models`` are the texts of its models. Raises UnknownNameError."""
    known = matched_sets()
    if name not in known:
        raise UnknownNameError("matched set", name, known)
    return known[name]


@lru_cache(maxsize=16)
def _members(one: MatchedSet) -> tuple[SetMember, ...]:
    described = {text: describe(text)[1] for text in one.models}
    kinds = {text: {_kind(part) for part in network.modules()} for text, network in described.items()}
    # The networks themselves may be of different classes that mean the same.
    everywhere = set.intersection(*kinds.values()) | {_kind(network) for network in described.values()}
    members = []
    for text, network in described.items():
        found, inside = _particular(network, everywhere)
        weighted = [
            part
            for name, part in network.named_modules()
            if isinstance(part, (nn.modules.conv._ConvNd, nn.Linear)) and not name.startswith(inside)
        ]
        config = get_pretrained_cfg(text)
        assert config is not None
        members.append(
            SetMember(
                model=text,
                recipe=text.partition(".")[2],
                parameters=sum(parameter.numel() for parameter in network.parameters()),
                multiply_adds=size_of(ModelSpec.parse(f"random/{text}")).multiply_adds,
                input_size=(int(config.input_size[1]), int(config.input_size[2])),
                crop_pct=float(config.crop_pct),
                depth=len(weighted),
                parts=tuple(found),
            )
        )
    return tuple(members)


def _particular(network: nn.Module, everywhere: set[str]) -> tuple[list[str], tuple[str, ...]]:
    """The kinds of the outermost modules that are not everywhere, the most frequent first, and where they lie."""
    counts: Counter[str] = Counter()
    places: list[str] = []
    for name, part in network.named_modules():
        if _kind(part) not in everywhere and not (name + ".").startswith(tuple(places)):
            counts[_kind(part)] += 1
            places.append(name + ".")
    return [kind for kind, _ in counts.most_common()], tuple(places)


def _kind(part: nn.Module) -> str:
    return type(part).__name__
