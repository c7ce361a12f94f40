"""What all probes share: how they are declared, how they run, what they yield."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, get_args

from explorer.errors import MethodError
from explorer.figures.sheet import Section
from explorer.messages import Message
from explorer.probes.result import ProbeResult, Score
from explorer.probes.rows import Pooled, Row
from explorer.probes.rows import Step as Step
from explorer.probes.stimuli import default
from explorer.registry import Registry, check_fields

if TYPE_CHECKING:
    from torch import Tensor

    from explorer.images import Bands
    from explorer.images.folders import FoundPicture
    from explorer.models.model import Model
    from explorer.probes.passes import Passes
    from explorer.probes.stimuli import Shown, Stimuli

Bias = Literal["locality", "translation", "relations", "scale", "context", "shape", "cost", "maps"]
BIASES: tuple[Bias, ...] = get_args(Bias)
#: What each bias asks, in one sentence.
QUESTIONS: dict[Bias, str] = {
    "locality": "How far does a model look, how far could it look, and how far does its evidence lie?",
    "translation": "When things move, does the answer stay (invariance) and do features move along (equivariance)?",
    "relations": "Does it matter where the parts are, to each other and in the frame?",
    "scale": "Does the answer stay when things get smaller or larger?",
    "context": "How much of the answer comes from what lies around the object?",
    "shape": "Does the answer follow the shape or the texture?",
    "cost": "What does each kind of attention cost as the image and the width grow, and how often is the answer right?",
    "maps": "Can a map be believed: does it follow the object, and does the answer rest on what it marks?",
}


class Extremes(NamedTuple):
    """Of the models with the largest and the least score of one measure: their names and numbers, in words."""

    measure: str
    most: str
    high: str
    least: str
    low: str

    @property
    def plain(self) -> str:
        """The sentence that fits every measure."""
        return self.say(Message("The {measure} is highest for {most}, {high}, and lowest for {least}, {low}."))

    def say(self, template: str, **values: Any) -> str:
        """Fill in a sentence that has places for them, and further values."""
        return Message(template, **self._asdict(), **values)


class Example(NamedTuple):
    """One of the pictures that a probe shows: what was done to it, in words, and (3, H, W) in 0..1."""

    name: str
    image: Tensor


#: The name of the picture that nothing was done to.
AS_IT_IS = Message("as it is")


@dataclass(frozen=True)
class Run:
    """What a probe is run with, beside its own parameters.

    Attributes:
        passes: forward passes of the model, in batches that fit the memory.
        seed: of every random choice.
    """

    passes: Passes
    seed: int


@dataclass(frozen=True)
class Probe:
    """Measures one bias. Its fields are its parameters; its docstring's first line is the question that it answers.

    A parameter named ``mode`` ("model" or "paper") says how pictures are brought to the input, one named ``border``
    what fills in beside a picture that is moved; both stand in the result.
    """

    bias: ClassVar[Bias]
    #: The formula in plain text, as it stands in the source.
    formula: ClassVar[str]
    #: Paper and equation or section.
    source: ClassVar[str]
    #: What this does not show, in one sentence.
    limits: ClassVar[str]
    #: Whether it looks at pictures or scenes at all.
    looks: ClassVar[bool] = True
    #: What stands in the result for what it shows, where it does not look at what is given.
    shows: ClassVar[str] = Message("no picture")
    #: What `default` shows, in words.
    by_itself: ClassVar[str] = Message("24 scenes, or the sample photographs")
    #: Whether its answer does not depend on the precision of the forward passes (shown by a test): bf16 may be used.
    half: ClassVar[bool] = False
    #: What a place in its figures is, which a click on the page goes to: a shift, a zoom or a layer.
    link: ClassVar[Literal["", "shift", "zoom", "layer"]] = ""
    #: The measure of `scores` that stands for the probe beside other probes, or "" for none.
    headline: ClassVar[str] = ""
    #: What can be measured in parts whose rows, put together, are those of the whole: every picture by itself.
    parts: ClassVar[Literal["", "pictures", "pictures and scenes"]] = ""
    #: Whether it reads pictures while it measures, and leaves out itself those that cannot be read.
    streams: ClassVar[bool] = False
    #: Conditions of its rows that depend on how much is shown, and how those of parts give that of the whole.
    pooled: ClassVar[Mapping[str, Pooled]] = {}

    def __post_init__(self) -> None:
        check_fields(self)

    def stimuli(
        self,
        images: Any,  # noqa: ARG002 - the contract
        models: Sequence[Model],  # noqa: ARG002
        seed: int,  # noqa: ARG002
        bands: Bands | None = None,  # noqa: ARG002
    ) -> Stimuli | None:
        """What all models are shown where the probe has a layout of its own; None for the usual reading of images."""
        return None

    def default(self, model: Model, seed: int) -> Stimuli:
        """What a model is shown where nothing is asked for; ``by_itself`` says it."""
        return default(model, seed)

    def label(self, found: FoundPicture) -> str | None:
        """What a folder's picture is shown as: its class, as a rule; None for one that the probe does not show."""
        return found.label

    def examples(
        self,
        model: Model,  # noqa: ARG002 - the contract
        shown: Shown,  # noqa: ARG002
        seed: int,  # noqa: ARG002
    ) -> Sequence[Example]:
        """Some of the pictures that `measure` shows a model, made of the first stimulus; none where it changes none."""
        return ()

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        """Measure one model.

        Yields between steps, never while it holds the model's lock or is inside inference_mode: the generator is
        advanced from several threads and may be closed at any yield. Raises MethodError, with the reason, where the
        probe cannot serve the model.
        """
        raise NotImplementedError

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        """The numbers that stand for one model's rows (complete or so far), ``rows[0]["model"]`` the model."""
        raise NotImplementedError

    def finding(self, found: Extremes) -> str:
        """What was found, as one sentence about the models with the largest and the least headline."""
        return found.plain

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        """How it is drawn: all models together, the colour of each that of its place in ``result.models``."""
        raise NotImplementedError


PROBES: Registry[type[Probe]] = Registry("probe", ("bias", "formula", "source", "limits"))


def need_one_class(model: Model, why: str) -> None:
    """Raises MethodError for a model whose answer is not one of several classes; ``why`` that is needed."""
    if model.head.kind == "sigmoid":
        raise MethodError(
            Message(
                "{why}; {spec} gives independent labels (p after the sigmoid), of which any number may hold",
                why=why,
                spec=model.spec,
            )
        )


def need_imagenet(model: Model, why: str) -> None:
    """Raises MethodError for a model whose classes are not as many as ImageNet's; ``why`` they have to be."""
    if model.num_classes != 1000:
        raise MethodError(
            Message("{why}; {spec} has {count} classes", why=why, spec=model.spec, count=model.num_classes)
        )


def need_classes(model: Model) -> None:
    """Raises MethodError for a model that has no classes to answer."""
    if model.headless:
        raise MethodError(
            Message(
                "{spec} answers no classes: {headless_reason}", spec=model.spec, headless_reason=model.headless_reason
            )
        )
