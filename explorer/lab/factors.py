"""Architecture or training? Two blocks, each trained on two kinds of scenes, and what explains more of the difference.

Of the two blocks that differ most in a number, both trainings give a 2 x 2 of means. Its main effects are the block's,
averaged over both trainings, and the training's, averaged over both blocks; where what the block does depends on the
training (their interaction), both stand for less than they seem to, and the sentence says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from explorer.lab.cards import OFF, SCALE, SHAPE, Topic, in_words, learnt_blocks, shipped_few
from explorer.lab.intervals import judge
from explorer.lab.networks import Training
from explorer.lab.summary import SetUp
from explorer.messages import Message, sentences
from explorer.statistics import Estimate, Range, interval

#: What is asked, each with the training that brings the difference out and the one that is put against it.
_ASKED: Sequence[tuple[Topic, Training, Training]] = (
    (OFF, "centred", "aug"),
    (SCALE, "centred", "aug"),
    (SHAPE, "cue", "centred"),
)
#: Trainings in a few words, as the sentence has them.
TRAINED: Mapping[str, str] = {
    "centred": Message("on centred objects"),
    "aug": Message("on objects anywhere, of all sizes"),
    "cue": Message("where shape and texture agree"),
}


@dataclass(frozen=True)
class Factors:
    """A 2 x 2 of blocks and trainings.

    Attributes:
        topic: the number.
        blocks: the one with least and the one with most after the first training.
        trainings: both.
        cells: (training, block) -> the number over all seeds of that model.
        block: the block's main effect over the seeds that all four have, paired by seed; not negative.
        training: the training's likewise.
        interaction: by how much the blocks' difference shrinks, or grows, from the first training to the second.
        more: which main effect is shown to be larger, "block" or "training"; "" where neither is.
        depends: whether the interaction is shown.
        seeds: that all four have.
    """

    topic: Topic
    blocks: tuple[str, str]
    trainings: tuple[Training, Training]
    cells: Mapping[tuple[str, str], Estimate]
    block: Estimate
    training: Estimate
    interaction: Estimate
    more: str
    depends: bool
    seeds: int

    @property
    def sentence(self) -> str:
        """What explains more of the difference, in words with numbers."""
        of = {"block": in_words(self.block, "points"), "training": in_words(self.training, "points")}
        main = Message(_MORE[self.more], seeds=self.seeds, **of)
        first, second = (
            abs(self.cells[one, self.blocks[1]].mean - self.cells[one, self.blocks[0]].mean) for one in self.trainings
        )
        apart = {"first": f"{100 * first:.0f}", "second": f"{100 * second:.0f}"}
        where = {name: TRAINED[one] for name, one in zip(("one", "other"), self.trainings)}
        return sentences(main, Message(_DEPENDS if self.depends else _ALIKE, **apart, **where))


_MORE = {
    "training": Message(
        "Training explains more: it makes {training}, averaged over both blocks; the block makes {block}, averaged "
        "over both trainings."
    ),
    "block": Message(
        "The block explains more: it makes {block}, averaged over both trainings; training makes {training}, averaged "
        "over both blocks."
    ),
    "": Message(
        "Neither is shown to explain more ({seeds} seeds): training makes {training}, averaged over both blocks, the "
        "block {block}, averaged over both trainings."
    ),
}
_DEPENDS = Message(
    "But they act together: the two blocks are {first} points apart when trained {one}, {second} when trained {other}."
)
_ALIKE = Message(
    "That they act together is not shown: the two blocks are {first} points apart when trained {one}, {second} when "
    "trained {other}."
)


def factors(found: Mapping[str, SetUp]) -> list[Factors]:
    """The tables that there are numbers for, of what is lost off the centre, at half the size, and of shape bias.

    The blocks are those of the cards: of all whose centred models have learnt the task, the one with least and the one
    with most after the first training, which both trainings were measured with.

    Args:
        found: the set-ups by name.
    """
    if "centred" not in found:
        return []
    learnt = learnt_blocks(found["centred"])
    made = (
        _made(topic, (first, second), found[first], found[second], learnt)
        for topic, first, second in _ASKED
        if first in found and second in found
    )
    return [one for one in made if one is not None]


def shipped_factors() -> list[Factors]:
    """The tables of the laboratory's table that ships."""
    return factors(shipped_few())


def _made(
    topic: Topic, trainings: tuple[Training, Training], plain: SetUp, other: SetUp, learnt: Sequence[str]
) -> Factors | None:
    both = {block: (topic.of(plain, block), topic.of(other, block)) for block in learnt}
    both = {block: pair for block, pair in both.items() if all(pair)}
    if len(both) < 2:
        return None
    ranked = sorted(both, key=lambda block: interval(list(both[block][0].values()), topic.within).mean)
    blocks = (ranked[0], ranked[-1])
    values = {(training, block): both[block][at] for at, training in enumerate(trainings) for block in blocks}
    seeds = sorted(set.intersection(*(set(one) for one in values.values())))
    if not seeds:
        return None
    # A row a seed: the first training with both blocks, then the second.
    rows = [[values[where][seed] for where in product(trainings, blocks)] for seed in seeds]
    effects = {
        "block": [(b - a + d - c) / 2 for a, b, c, d in rows],
        "training": [(c - a + d - b) / 2 for a, b, c, d in rows],
    }
    effects = {name: _upwards(one) for name, one in effects.items()}
    gap = [one - other for one, other in zip(effects["training"], effects["block"])]
    crossed = [(b - a) - (d - c) for a, b, c, d in rows]
    change = Range(-2.0, 2.0, difference=True)
    # Both questions are asked of the same four cells, so Holm's correction holds for the two together.
    judged = judge({"more": interval(gap, change), "depends": interval(crossed, change)})
    more = judged["more"]
    return Factors(
        topic=topic,
        blocks=blocks,
        trainings=trainings,
        cells={where: interval(list(one.values()), topic.within) for where, one in values.items()},
        block=interval(effects["block"], change),
        training=interval(effects["training"], change),
        interaction=interval(crossed, change),
        more=("training" if more.estimate.mean > 0 else "block") if more.shown else "",
        depends=bool(judged["depends"].shown),
        seeds=len(seeds),
    )


def _upwards(values: Sequence[float]) -> list[float]:
    """Values whose mean is not negative: how large an effect is, whichever way it goes."""
    sign = -1 if sum(values) < 0 else 1
    return [sign * one for one in values]
