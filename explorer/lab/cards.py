"""What the laboratory found, in one sentence each, with the way to where it is seen.

The sentences are made from the table: which block keeps most and which least, by how much, and whether that is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

from explorer.blocks import short_name
from explorer.lab.findings import GAP, LEARNT, SHAPE_BIAS, WHOLE, in_percent, in_points, shifted, zoomed
from explorer.lab.intervals import difference, judge
from explorer.lab.networks import LabModel, Training
from explorer.lab.summary import Key, SetUp, shipped
from explorer.messages import Message, sentences
from explorer.scenes import Scene
from explorer.statistics import CHANGE, SHARE, Estimate, Range, interval
from explorer.transforms import Transform

#: Shares are told in per cent, differences of shares in points.
Unit = Literal["%", "points"]


@dataclass(frozen=True)
class Card:
    """A finding of the laboratory.

    Attributes:
        name: what it is about, in a word or two.
        sentence: what was found, with its numbers and their 95 % intervals over seeds.
        models: the two models that it tells of.
        numbers: one for each of them, as shares.
        unit: of the numbers, "%" or points: see `told`.
        shown: whether their difference is shown; see `cards`.
        seeds: how many the numbers are from.
        scene: what shows it, where its object is moved like this.
        move: see ``scene``.
        lesson: name of the lesson that is about it, and which of its steps, from 1.
    """

    name: str
    sentence: str
    models: tuple[LabModel, LabModel]
    numbers: tuple[Estimate, Estimate]
    unit: Unit
    shown: bool
    seeds: int
    scene: Scene
    move: Transform
    lesson: tuple[str, int]


@dataclass(frozen=True)
class _Topic:
    """A number in which blocks are compared.

    Attributes:
        name: see `Card`.
        training: on which scenes the models were trained.
        says: the sentence, of the block with least and the block with most.
        key: the number; where ``before`` is given, what is lost from that.
        scene: what shows it.
        lesson: see `Card`.
        before: see ``key``.
        unit: see `Card`.
        move: of the object.
    """

    name: str
    training: Training
    says: str
    key: Key
    scene: Scene
    lesson: tuple[str, int]
    before: Key | None = None
    unit: Unit = "points"
    move: Transform = Transform()  # noqa: RUF009 - frozen


_STAR = Scene("star", "checks", "red gradient", seed=1)
_OFF = _Topic(
    Message("Translation"),
    "centred",
    Message("With the object 8 px off the centre, {least} loses {little} of its accuracy, {most} {much}."),
    shifted(8),
    _STAR,
    ("equivariance-invariance-aliasing", 1),
    shifted(0),
    move=Transform(dx=8),
)
_TOPICS: Sequence[_Topic] = (
    _OFF,
    _Topic(
        Message("Scale"),
        "centred",
        Message("With the object at half its size, {least} loses {little} of its accuracy, {most} {much}."),
        zoomed(0.5),
        _STAR,
        ("scale", 2),
        zoomed(1.0),
        move=Transform(zoom=0.5),
    ),
    _Topic(
        Message("Shape"),
        "cue",
        Message("Where shape and texture disagree, {most} goes by the shape in {much}, {least} in {little}."),
        SHAPE_BIAS,
        Scene("heart", "stripes", "green gradient", seed=4),
        ("texture-and-shape", 1),
        unit="%",
    ),
    _Topic(
        Message("Context"),
        "centred",
        Message("Another class's background costs {most} {much}, {least} {little}."),
        GAP,
        Scene("drop", "speckle", "red weave", seed=1),
        ("background", 1),
    ),
)
_EITHER = Message("That they differ is not shown ({seeds} seeds).")
_ONE_SEED = Message("From one seed: it may be chance.")


def cards(found: Mapping[str, SetUp]) -> list[Card]:
    """The findings: one a bias, and one that tells architecture from training; those that there are numbers for.

    Of the blocks whose centred models have learnt the task (see `explorer.lab.findings.LEARNT`) a card names the one
    with least and the one with most. A difference counts as shown where a t test paired by seed finds it after Holm's
    correction for all pairs of those blocks.

    Args:
        found: the set-ups by name.
    """
    if "centred" not in found:
        return []
    learnt = _learnt(found["centred"])
    made = [_extremes(found[topic.training], learnt, topic) for topic in _TOPICS if topic.training in found]
    if "aug" in found:
        made.append(_trained(found["centred"], found["aug"], learnt))
    return [one for one in made if one is not None]


def shipped_cards() -> list[Card]:
    """The findings of the table that ships."""
    return cards({name: shipped(name) for name in ("centred", "aug", "cue")})


def _extremes(found: SetUp, learnt: Sequence[str], topic: _Topic) -> Card | None:
    values = {block: own for block in learnt if (own := _values(found, block, topic))}
    if len(values) < 2:
        return None
    means = {block: interval(list(own.values()), _range(topic)) for block, own in values.items()}
    least, *_, most = sorted(means, key=lambda block: means[block].mean)
    pairs = {pair: difference(values[pair[0]], values[pair[1]], _range(topic)) for pair in combinations(values, 2)}
    judged = judge({" ".join(pair): one for pair, one in pairs.items()})
    shown = next(judged[" ".join(pair)].shown for pair in pairs if set(pair) == {least, most})
    said = Message(
        topic.says,
        least=Message(short_name(least)),
        little=_in_words(means[least], topic.unit),
        most=Message(short_name(most)),
        much=_in_words(means[most], topic.unit),
    )
    models = (LabModel(least, training=topic.training), LabModel(most, training=topic.training))
    seeds = min(len(values[least]), len(values[most]))
    return _card(topic.name, said, models, (means[least], means[most]), shown, seeds, topic)


def _trained(plain: SetUp, varied: SetUp, learnt: Sequence[str]) -> Card | None:
    """Does the block that loses most off the centre lose it by its architecture, or by its training?"""
    values = {block: (_values(plain, block, _OFF), _values(varied, block, _OFF)) for block in learnt}
    values = {block: pair for block, pair in values.items() if all(pair)}
    if not values:
        return None
    lost = {block: interval(list(pair[0].values()), CHANGE).mean for block, pair in values.items()}
    block = max(lost, key=lambda one: lost[one])
    before, after = values[block]
    numbers = (interval(list(before.values()), CHANGE), interval(list(after.values()), CHANGE))
    shown = judge({block: difference(before, after, CHANGE)})[block].shown
    said = Message(
        "8 px off the centre, {block} loses {much} when it was trained on centred objects, {little} when on objects "
        "anywhere.",
        block=Message(short_name(block)),
        much=_in_words(numbers[0], _OFF.unit),
        little=_in_words(numbers[1], _OFF.unit),
    )
    models = (LabModel(block), LabModel(block, training="aug"))
    return _card(Message("Architecture or training?"), said, models, numbers, shown, min(len(before), len(after)), _OFF)


def _card(
    name: str,
    said: str,
    models: tuple[LabModel, LabModel],
    numbers: tuple[Estimate, Estimate],
    shown: bool | None,
    seeds: int,
    topic: _Topic,
) -> Card:
    doubt = Message(_ONE_SEED) if shown is None else "" if shown else Message(_EITHER, seeds=seeds)
    told_of = sentences(said, doubt)
    return Card(name, told_of, models, numbers, topic.unit, bool(shown), seeds, topic.scene, topic.move, topic.lesson)


def _learnt(found: SetUp) -> list[str]:
    means = {block: found.mean(block, WHOLE) for block in found.blocks}
    return [block for block, one in means.items() if one is not None and one.mean >= LEARNT]


def _values(found: SetUp, block: str, topic: _Topic) -> dict[int, float]:
    """A block's number a seed."""
    after = found.of(block, topic.key)
    if topic.before is None:
        return after
    before = found.of(block, topic.before)
    return {seed: before[seed] - value for seed, value in after.items() if seed in before}


def _range(topic: _Topic) -> Range:
    """Between which values its numbers lie."""
    return SHARE if topic.unit == "%" else CHANGE


def _in_words(one: Estimate, unit: Unit) -> str:
    return in_percent(one) if unit == "%" else in_points(one)


def told(one: Estimate, unit: Unit) -> str:
    """A card's number in words, without its interval."""
    return _in_words(replace(one, low=None, high=None), unit)
