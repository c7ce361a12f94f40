"""What the laboratory found, in one sentence each, with the way to where it is seen.

The sentences are made from the table: which block keeps most and which least, by how much, and whether that is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations
from typing import Literal

from explorer.blocks import short_name
from explorer.lab.findings import GAP, LEARNT, SHAPE_BIAS, WHOLE, in_percent, in_points, shifted, zoomed
from explorer.lab.intervals import difference, judge
from explorer.lab.networks import LabModel, Training
from explorer.lab.summary import Index, Key, SetUp
from explorer.lab.table import load_few
from explorer.messages import Message, sentences
from explorer.scenes import PRESETS, Scene
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
        every: block -> its number, of all blocks that are compared, from least to most; none where one block is
            compared with itself.
        axis: what the numbers are, with their unit.
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
    every: Mapping[str, Estimate]
    axis: str

    @property
    def apart(self) -> float:
        """How far its two numbers lie from each other."""
        return abs(self.numbers[1].mean - self.numbers[0].mean)

    @property
    def middle(self) -> str:
        """The block in the middle of all."""
        return list(self.every)[len(self.every) // 2]


@dataclass(frozen=True)
class Topic:
    """A number in which blocks are compared.

    Attributes:
        name: see `Card`.
        training: on which scenes the models were trained.
        says: the sentence, of the block with least and the block with most.
        axis: see `Card`.
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
    axis: str
    key: Key
    scene: Scene
    lesson: tuple[str, int]
    before: Key | None = None
    unit: Unit = "points"
    move: Transform = Transform()  # noqa: RUF009 - frozen

    @property
    def within(self) -> Range:
        """Between which values its numbers lie."""
        return SHARE if self.unit == "%" else CHANGE

    def of(self, found: SetUp, block: str) -> dict[int, float]:
        """A block's number a seed."""
        after = found.of(block, self.key)
        if self.before is None:
            return after
        before = found.of(block, self.before)
        return {seed: before[seed] - value for seed, value in after.items() if seed in before}


_STAR, _ = PRESETS["star"]
_CONFLICT, _ = PRESETS["conflict"]
_SWAPPED, _ = PRESETS["swapped"]
OFF = Topic(
    Message("Translation"),
    "centred",
    Message("With the object 8 px off the centre, {least} loses {little} of its accuracy, {most} {much}."),
    Message("accuracy lost 8 px off the centre, points"),
    shifted(8),
    _STAR,
    ("equivariance-invariance-aliasing", 1),
    shifted(0),
    move=Transform(dx=8),
)
SCALE = Topic(
    Message("Scale"),
    "centred",
    Message("With the object at half its size, {least} loses {little} of its accuracy, {most} {much}."),
    Message("accuracy lost at half the size, points"),
    zoomed(0.5),
    _STAR,
    ("scale", 2),
    zoomed(1.0),
    move=Transform(zoom=0.5),
)
SHAPE = Topic(
    Message("Shape"),
    "cue",
    Message("Where shape and texture disagree, {most} goes by the shape in {much}, {least} in {little}."),
    Message("answers that go by the shape, of those that go by shape or texture, %"),
    SHAPE_BIAS,
    _CONFLICT,
    ("texture-and-shape", 1),
    unit="%",
)
_CONTEXT = Topic(
    Message("Context"),
    "centred",
    Message("Another class's background costs {most} {much}, {least} {little}."),
    Message("accuracy lost on another class's background, points"),
    GAP,
    _SWAPPED,
    ("background", 1),
)
TOPICS: Sequence[Topic] = (OFF, SCALE, SHAPE, _CONTEXT)
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
    learnt = learnt_blocks(found["centred"])
    made = [_extremes(found[topic.training], learnt, topic) for topic in TOPICS if topic.training in found]
    if "aug" in found:
        made.append(_trained(found["centred"], found["aug"], learnt))
    return [one for one in made if one is not None]


#: The set-ups that cards are about.
COMPARED: Sequence[Training] = ("centred", "aug", "cue")


@lru_cache(maxsize=1)
def shipped_few() -> Mapping[str, SetUp]:
    """The set-ups of the table that ships with the few rows that cards need, by name."""
    keys = [key for topic in TOPICS for key in (topic.key, topic.before) if key is not None]
    index = Index(load_few([*keys, WHOLE]))
    found = {name: SetUp(index, name) for name in COMPARED}
    return {name: one for name, one in found.items() if one.blocks}


def shipped_cards() -> list[Card]:
    """The findings of the table that ships."""
    return cards(shipped_few())


def largest(found: Sequence[Card], most: int = 3) -> list[Card]:
    """The findings in which blocks lie farthest apart, those that are shown first."""
    compared = [one for one in found if one.every]
    return sorted(compared, key=lambda one: (not one.shown, -one.apart))[:most]


def _extremes(found: SetUp, learnt: Sequence[str], topic: Topic) -> Card | None:
    values = {block: own for block in learnt if (own := topic.of(found, block))}
    if len(values) < 2:
        return None
    means = {block: interval(list(own.values()), topic.within) for block, own in values.items()}
    every = {block: means[block] for block in sorted(means, key=lambda one: means[one].mean)}
    least, *_, most = every
    pairs = {pair: difference(values[pair[0]], values[pair[1]], topic.within) for pair in combinations(values, 2)}
    judged = judge({" ".join(pair): one for pair, one in pairs.items()})
    shown = next(judged[" ".join(pair)].shown for pair in pairs if set(pair) == {least, most})
    said = Message(
        topic.says,
        least=Message(short_name(least)),
        little=in_words(means[least], topic.unit),
        most=Message(short_name(most)),
        much=in_words(means[most], topic.unit),
    )
    models = (LabModel(least, training=topic.training), LabModel(most, training=topic.training))
    seeds = min(len(values[least]), len(values[most]))
    return _card(topic.name, said, models, (means[least], means[most]), shown, seeds, topic, every)


def _trained(plain: SetUp, varied: SetUp, learnt: Sequence[str]) -> Card | None:
    """Does the block that loses most off the centre lose it by its architecture, or by its training?"""
    values = {block: (OFF.of(plain, block), OFF.of(varied, block)) for block in learnt}
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
        much=in_words(numbers[0], OFF.unit),
        little=in_words(numbers[1], OFF.unit),
    )
    models = (LabModel(block), LabModel(block, training="aug"))
    seeds = min(len(before), len(after))
    return _card(Message("Architecture or training?"), said, models, numbers, shown, seeds, OFF, {})


def _card(
    name: str,
    said: str,
    models: tuple[LabModel, LabModel],
    numbers: tuple[Estimate, Estimate],
    shown: bool | None,
    seeds: int,
    topic: Topic,
    every: Mapping[str, Estimate],
) -> Card:
    doubt = Message(_ONE_SEED) if shown is None else "" if shown else Message(_EITHER, seeds=seeds)
    return Card(
        name=name,
        sentence=sentences(said, doubt),
        models=models,
        numbers=numbers,
        unit=topic.unit,
        shown=bool(shown),
        seeds=seeds,
        scene=topic.scene,
        move=topic.move,
        lesson=topic.lesson,
        every=every,
        axis=topic.axis,
    )


def learnt_blocks(found: SetUp) -> list[str]:
    """The blocks whose models have learnt the task; see `explorer.lab.findings.LEARNT`."""
    means = {block: found.mean(block, WHOLE) for block in found.blocks}
    return [block for block, one in means.items() if one is not None and one.mean >= LEARNT]


def in_words(one: Estimate, unit: Unit) -> str:
    """A card's number in words, with its interval."""
    return in_percent(one) if unit == "%" else in_points(one)


def told(one: Estimate, unit: Unit) -> str:
    """A card's number in words, without its interval."""
    return in_words(replace(one, low=None, high=None), unit)
