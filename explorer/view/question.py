"""What does a person look at? The one question, declared once; `forms` has the ways in which it is written."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from explorer.attribution import METHODS, method_of
from explorer.attribution.labels import labels_of
from explorer.comparison.compare import MAX_MODELS as MAX_MODELS
from explorer.comparison.compare import Pin, compare
from explorer.comparison.result import Comparison
from explorer.errors import ExplorerError, ParameterError
from explorer.geometry import Point
from explorer.images import Bands, Picture, read_image, samples
from explorer.messages import Message
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.models.spec import ModelSpec
from explorer.registry import differing, parameters
from explorer.scenes import Scene
from explorer.transforms import Transform
from explorer.view.schema import of_entry

#: What is shown: a scene, a sample photograph's name or the path of a file, or a picture that has been read already.
Source = Scene | Picture | str
#: The attribution method where none is named.
DEFAULT_METHOD = "gradcam"
#: Places asked from at once: as many as there are colours of pins.
MAX_QUERIES = 4
#: In what places are measured: pixels of the first model's input, or shares of the frame, whatever its size.
Unit = Literal["px", "share"]


def entry_of(kind: Any, what: str, given: Any) -> Any:
    """Make a Scene or a Transform of an object with the names of its fields; what is one already is left as it is."""
    if not isinstance(given, Mapping):
        return given
    known = parameters(kind)
    for name in given:
        if name not in known:
            raise ParameterError(
                Message(
                    "a {what} has no field '{name}'; it has: {known}",
                    what=what,
                    name=str(name)[:40],
                    known=", ".join(known),
                )
            )
    return kind(**{name: value for name, value in given.items() if value is not None})


def _place(given: Any) -> Point:
    pair: Any = (given.get("x"), given.get("y")) if isinstance(given, Mapping) else given
    try:
        x, y = (float(one) for one in pair if not isinstance(one, (bool, str)))
    except (TypeError, ValueError):
        raise ParameterError(f"a place is (x, y) or {{x, y}}, two numbers; got {str(given)[:40]}") from None
    if not (math.isfinite(x) and math.isfinite(y)):
        raise ParameterError(f"a place is (x, y) or {{x, y}}, two finite numbers; got ({x:g}, {y:g})")
    return Point(x, y)


def _source(given: Any) -> Any:
    return os.fspath(given) if isinstance(given, os.PathLike) else entry_of(Scene, "scene", given)


def _transform(given: Any) -> Any:
    return entry_of(Transform, "move", given)


#: How a model's text is written.
SPEC = "[random/ | lab/]BACKBONE[+BLOCK@STAGE][#SEED]"
_PLACE = {
    "type": "object",
    "properties": {"x": {"type": "number"}, "y": {"type": "number"}},
    "required": ["x", "y"],
    "additionalProperties": False,
}
_Place = Annotated[InstanceOf[Point], BeforeValidator(_place), WithJsonSchema(_PLACE)]
_Spec = Annotated[str | InstanceOf[ModelSpec], WithJsonSchema({"type": "string", "description": SPEC})]
_Shown = Annotated[
    InstanceOf[Scene] | InstanceOf[Picture] | str,
    BeforeValidator(_source),
    WithJsonSchema({"anyOf": [of_entry(Scene), {"type": "string"}]}),
]
_Move = Annotated[InstanceOf[Transform], BeforeValidator(_transform), WithJsonSchema(of_entry(Transform))]
_Whole = Annotated[int, Field(strict=True)]


class View(BaseModel):
    """What does a person look at? Models, a picture, a move, queries, and how answers are explained.

    Attributes:
        models: one to six; a spec's text, or a ModelSpec where a field is set that has no text form.
        source: what is shown. A str is a sample photograph's name, else the path of a file.
        transform: the move, in pixels of the first model's input.
        queries: places before the move, at most four; the first is the one asked from. The centre if there is none.
        pin: what queries stay on when the picture is moved, see `explorer.comparison.compare.PINS`.
        method: an attribution method, or None for none.
        parameters: the method's parameters.
        layers: place of a model in ``models`` -> which of its layers is displayed, by number (negative from the end)
            or dotted path; by default the last that lies on the image.
        head: which head is displayed, or None for the mean over heads.
        target: class to explain, several as one ("151..268"), or None for each model's own first choice before the
            move.
        bands: which bands of the picture are shown, see `explorer.read_image`; None for the usual ones.
        heads: place of a model in ``models`` -> which of its heads is displayed, where that is not ``head``.
        unit: what the queries are in: pixels of the first model's input, or shares of the frame.

    Raises ParameterError. What a model's text means is read when it is asked for, see `specs`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: Annotated[tuple[_Spec, ...], Field(min_length=1, max_length=MAX_MODELS)]
    source: _Shown
    transform: _Move = Transform()
    queries: Annotated[tuple[_Place, ...], Field(max_length=MAX_QUERIES)] = ()
    pin: Pin = "image"
    method: str | None = DEFAULT_METHOD
    parameters: Mapping[str, Any] = Field(default_factory=dict)
    layers: Mapping[int, _Whole | str] = Field(default_factory=dict)
    head: _Whole | None = None
    target: _Whole | str | None = None
    bands: Annotated[tuple[_Whole, ...], Field(min_length=1, max_length=3)] | None = None
    heads: Mapping[int, _Whole] = Field(default_factory=dict)
    unit: Unit = "px"

    def __init__(self, *given: Any, **named: Any) -> None:
        names = list(type(self).model_fields)
        if len(given) > len(names):
            raise ParameterError(f"a view has {len(names)} fields, got {len(given)} values")
        placed = dict(zip(names, given))
        for name in placed:
            if name in named:
                raise ParameterError(f"a view's {name} is given twice")
        try:
            super().__init__(**placed, **named)
        except ValidationError as error:
            raise _in_words(error) from None

    @model_validator(mode="after")
    def _check(self) -> View:
        if self.bands is not None and isinstance(self.source, Scene):
            raise ParameterError(Message("bands are chosen of a picture; a scene has red, green and blue alone"))
        if isinstance(self.target, str):
            labels_of(self.target)  # raises for what names no classes
        if self.method is not None:
            method_of(self.method, self.parameters)  # raises for names and values that it does not take
        for what, chosen in (("layers", self.layers), ("heads", self.heads)):
            for place in chosen:
                if not 0 <= place < len(self.models):
                    raise ParameterError(
                        Message(
                            "{what}: model {place} is named, there are models 0 to {models}",
                            what=what,
                            place=place,
                            models=len(self.models) - 1,
                        )
                    )
        if self.unit == "share":
            for one in self.queries:
                if not all(0 <= part < 1 for part in one):
                    raise ParameterError(
                        Message(
                            "the pin ({x}, {y}) lies outside the picture; x and y go from 0 to 1",
                            x=f"{one.x:g}",
                            y=f"{one.y:g}",
                        )
                    )
        return self

    def changed(self, **fields: Any) -> View:
        """The same view but for some fields, checked anew."""
        return View(**{**{name: getattr(self, name) for name in View.model_fields}, **fields})

    def in_pixels(self, frame: tuple[int, int]) -> View:
        """The same view with its queries in pixels of a frame, (height, width) of the first model's input."""
        if self.unit == "px":
            return self
        places = tuple(Point(one.x * frame[1], one.y * frame[0]) for one in self.queries)
        return self.changed(queries=places, unit="px")

    @property
    def specs(self) -> tuple[ModelSpec, ...]:
        """The models' specs; raises ParameterError for a text that is none."""
        return tuple(ModelSpec.parse(one) if isinstance(one, str) else one for one in self.models)

    @property
    def texts(self) -> tuple[str, ...]:
        """The models as texts."""
        return tuple(map(str, self.models))

    @property
    def scene(self) -> Scene | None:
        """The scene that is shown; None for a picture."""
        return self.source if isinstance(self.source, Scene) else None

    @property
    def layer_of_each(self) -> tuple[int | str | None, ...]:
        """Which layer of each model is displayed; None for the last that lies on the image."""
        return tuple(self.layers.get(place) for place in range(len(self.models)))

    @property
    def head_of_each(self) -> tuple[int | None, ...]:
        """Which head of each model is displayed; None for the mean over heads."""
        return tuple(self.heads.get(place, self.head) for place in range(len(self.models)))

    def picture(self) -> Scene | Picture:
        """What is shown, read; raises ImageError."""
        return read(self.source, self.bands)

    def load(self, device: str | None = None) -> list[Model]:
        """The live models; see `explorer.load` for the errors."""
        return [load(spec, device) for spec in self.specs]

    def compare(
        self,
        models: Sequence[Model] | None = None,
        device: str | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Comparison:
        """What is there to see?

        Args:
            models: the live models, where they are loaded already.
            device: where they are loaded otherwise.
            progress: told the share done, from 0 to 1; what it raises cancels.
        """
        _ = self.specs  # what is wrong with a text, or a path, is told before minutes are spent on loading
        picture = self.picture()
        live = self.load(device) if models is None else models
        view = self.in_pixels(live[0].input_size)
        return compare(
            live,
            picture,
            view.transform,
            view.method,
            view.queries,
            view.target,
            progress,
            view.pin,
            **self.given(),
        )

    def given(self) -> dict[str, Any]:
        """The method's parameters that differ from its own values."""
        return {} if self.method is None else differing(METHODS[self.method], self.parameters)


def read(source: Source, bands: Bands | None = None) -> Scene | Picture:
    """A scene as it is, a picture read; raises ImageError."""
    if isinstance(source, str):
        return read_image(samples().get(source, source), bands)
    return source


#: What a field has to be, for messages.
_EXPECTED: Mapping[str, str] = {
    "models": "a list of models: texts as 'resnet50.a1_in1k+mhsa@3', or ModelSpecs",
    "source": "a scene, a picture, a sample photograph's name or the path of a file",
    "unit": "px or share",
    "pin": "image or place",
    "transform": "a move: a Transform, or an object with the names of its fields",
    "queries": Message("a list of places"),
    "method": Message("the name of an attribution method"),
    "parameters": Message("an object with the names of the method's parameters"),
    "layers": "an object: a model's place, from 0, and the number or dotted path of its layer",
    "heads": "an object: a model's place, from 0, and the number of its head",
    "head": Message("a whole number, from 0"),
    "target": Message("the index of a class, or several as '151..268'"),
    "bands": Message("one number or three, counted from 1"),
}


def _in_words(error: ValidationError) -> ExplorerError:
    """The first thing that is wrong, as one of our sentences."""
    first = error.errors(include_url=False)[0]
    cause, field = first.get("ctx", {}).get("error"), str(first["loc"][0]) if first["loc"] else "a view"
    if isinstance(cause, ExplorerError):
        return cause
    kind, got = first["type"], first["input"]
    if kind == "missing":
        expected = _EXPECTED[field]
        return ParameterError(f"a view needs {field}: {expected}")
    if kind == "extra_forbidden":
        return ParameterError(f"a view has no field '{field[:40]}'; it has: {', '.join(View.model_fields)}")
    if kind == "too_short" and field == "models":
        return ParameterError(Message("a view needs at least one model, got none"))
    if kind == "too_long" and field == "models":
        return ParameterError(
            Message("at most {most} models can be compared, got {count}", most=MAX_MODELS, count=_length(error, field))
        )
    if kind == "too_long" and field == "queries":
        return ParameterError(
            Message(
                "at most {most} places can be asked from at once, got {count}",
                most=MAX_QUERIES,
                count=_length(error, field),
            )
        )
    if kind == "literal_error":
        choices = first["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
        return ParameterError(
            Message("{field} is one of {choices}; got '{got}'", field=field, choices=choices, got=str(got)[:40])
        )
    expected = _EXPECTED[field]
    return ParameterError(
        Message("{field} is {expected}; got {got}", field=field, expected=expected, got=str(got)[:40])
    )


def _length(error: ValidationError, field: str) -> int:
    (first, *_) = (one for one in error.errors(include_url=False) if one["loc"][:1] == (field,))
    return int(first["ctx"].get("actual_length") or len(first["input"]))
