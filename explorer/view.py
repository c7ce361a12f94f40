"""What a person looks at, as one value; and as code, or as a command line, that gives the same numbers."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from explorer.attribution import METHODS
from explorer.comparison.compare import MAX_MODELS, PINS, Pin, compare
from explorer.comparison.result import Comparison
from explorer.errors import ParameterError
from explorer.geometry import Point
from explorer.images import Bands, Picture, read_image, samples
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.models.spec import ModelSpec
from explorer.probes import PROBES
from explorer.probes.result import ProbeResult
from explorer.scenes import Scene
from explorer.transforms import Transform

#: What is shown: a scene, a sample photograph's name or the path of a file, or a picture that has been read already.
Source = Scene | Picture | str
_METHOD = "gradcam"
#: A line of code that is longer is cut into one argument a line.
_WIDTH = 100


@dataclass(frozen=True)
class View:
    """What does a person look at? Models, a picture, a move, queries, and how answers are explained.

    Attributes:
        models: one to six; a spec's text, or a ModelSpec where a field is set that has no text form.
        source: what is shown. A str is a sample photograph's name, else the path of a file.
        transform: the move, in pixels of the first model's input.
        queries: places, in pixels of the first model's input before the move; the first is the one asked from. The
            centre if there is none.
        pin: what queries stay on when the picture is moved, see `explorer.compare.PINS`.
        method: an attribution method, or None for none.
        parameters: the method's parameters.
        layers: place of a model in ``models`` -> which of its layers is displayed, by number (negative from the end)
            or dotted path; by default the last that lies on the image.
        head: which head is displayed, or None for the mean over heads.
        target: class to explain, or None for each model's own first choice before the move.
        bands: which bands of the picture are shown, see `explorer.read_image`; None for the usual ones.

    Raises ParameterError.
    """

    models: tuple[str | ModelSpec, ...]
    source: Source
    transform: Transform = Transform()  # noqa: RUF009 - frozen
    queries: tuple[Point, ...] = ()
    pin: Pin = "image"
    method: str | None = _METHOD
    parameters: Mapping[str, Any] = field(default_factory=dict)
    layers: Mapping[int, int | str] = field(default_factory=dict)
    head: int | None = None
    target: int | None = None
    bands: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "models", tuple(self.models))
        object.__setattr__(self, "queries", tuple(Point(*one) for one in self.queries))
        if not self.models:
            raise ParameterError("a view needs at least one model, got none")
        if len(self.models) > MAX_MODELS:
            raise ParameterError(f"at most {MAX_MODELS} models can be compared, got {len(self.models)}")
        for one in self.models:
            _spec(one)
        if self.pin not in PINS:
            raise ParameterError(f"pin is one of {', '.join(PINS)}; got '{self.pin}'")
        if self.bands is not None and isinstance(self.source, Scene):
            raise ParameterError("bands are chosen of a picture; a scene has red, green and blue alone")
        if self.method is not None:
            entry = METHODS[self.method]
            known = [one.name for one in dataclasses.fields(entry)]
            for name in self.parameters:
                if name not in known:
                    raise ParameterError(
                        f"{self.method} has no parameter '{name}'; it has: {', '.join(known) or 'none'}"
                    )
            entry(**self.parameters)
        for place in self.layers:
            if not 0 <= place < len(self.models):
                raise ParameterError(f"layers: model {place} is named, there are models 0 to {len(self.models) - 1}")

    @property
    def specs(self) -> tuple[ModelSpec, ...]:
        """The models' specs."""
        return tuple(_spec(one) for one in self.models)

    @property
    def layer_of_each(self) -> tuple[int | str | None, ...]:
        """Which layer of each model is displayed; None for the last that lies on the image."""
        return tuple(self.layers.get(place) for place in range(len(self.models)))

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
        picture = self.picture()  # a wrong path is told before minutes are spent on loading
        return compare(
            self.load(device) if models is None else models,
            picture,
            self.transform,
            self.method,
            self.queries,
            self.target,
            progress,
            self.pin,
            **self._given(),
        )

    def python(self) -> str:
        """Python that computes this view and prints each model's answers and largest attention at each query."""
        return "\n".join(("import explorer", "", *self.statements(), "", *self.printing(), ""))

    def statements(self, picture: str | None = None) -> list[str]:
        """Lines of Python that make ``result``, the comparison; ``picture``: an expression in the source's place."""
        shown, note = _source_code(self.source, self.bands) if picture is None else (picture, "")
        lines = [*filter(None, [note]), *_expected(self.specs)]
        arguments = ["models", shown]
        if self.transform != Transform():
            arguments.append(_call("explorer.Transform", _changed(self.transform)))
        if self.method != _METHOD:
            arguments.append(f"method={_literal(self.method)}")
        if self.queries:
            places = [_literal(one) for one in self.queries]
            arguments.append(f"query={places[0]}" if len(places) == 1 else f"query=[{', '.join(places)}]")
        if self.target is not None:
            arguments.append(f"target={self.target}")
        if self.pin != "image":
            arguments.append(f"pin={_literal(self.pin)}")
        arguments += [f"{name}={_literal(value)}" for name, value in self._given().items()]
        specs = [_spec_code(spec) for spec in self.specs]
        line = f"models = [explorer.load(spec) for spec in [{', '.join(specs)}]]"
        if len(line) > _WIDTH:
            lines += ["models = [", *(f"    explorer.load({spec})," for spec in specs), "]"]
        else:
            lines.append(line)
        lines += _fitted("result = explorer.compare", arguments)
        return lines

    def printing(self) -> list[str]:
        """Lines of Python that print what ``result`` holds."""
        which = [f"head={self.head}"] if self.head is not None else []
        loop = "for row in result.rows:"
        if len(set(self.layer_of_each)) > 1:
            loop = f"for row, layer in zip(result.rows, {_literal(list(self.layer_of_each))}):"
            which.insert(0, "layer=layer")
        elif self.layers:
            which.insert(0, f"layer={_literal(self.layer_of_each[0])}")
        sides, answers = '("before", "after")', "row.predictions"
        return [
            loop,
            '    print(row.spec, f"({row.state} weights)")',
            f"    for side, answer in zip({sides}, {answers}):",
            '        top = [f"{one.label} {one.probability:.6f}" for one in answer.top]',
            '        print(f"  {side}:", ", ".join(top) or answer.reason)',
            f"    for places, maps in zip(row.asked, row.attention({', '.join(which)})):",
            f"        for side, place, values in zip({sides}, places, maps):",
            "            if place is not None:",
            '                print(f"  {side}, attention from ({place.x:g}, {place.y:g}): "',
            '                      f"largest {float(values.max()):.6f}")',
        ]

    def command(self) -> str:
        """The command line that gives the same numbers; raises ParameterError where there is none."""
        parts = ["explorer", "compare", *_source_flags(self.source)]
        if self.bands is not None:
            parts += _flag("bands", ",".join(map(str, self.bands)))
        given = self._given()
        seed = given.pop("seed", None)
        parts += _model_flags(self.specs, seed is not None)
        for name, value in _changed(self.transform).items():
            parts += [f"--{name}"] if value is True else _flag(name, _text(value))
        for place in self.queries:
            parts += _flag("query", _text(place))
        if self.pin != "image":
            parts += _flag("pin", self.pin)
        layers = ["usual" if one is None else str(one) for one in self.layer_of_each]
        for layer in layers if len(set(layers)) > 1 else layers[:1] if self.layers else []:
            parts += _flag("layer", layer)
        if self.head is not None:
            parts += _flag("head", str(self.head))
        if self.target is not None:
            parts += _flag("target", str(self.target))
        if self.method != _METHOD:
            parts += _flag("method", self.method or "none")
        parts += _parameter_flags(given)
        if seed is not None:
            parts += _flag("seed", str(seed))
        return shlex.join(parts)

    def _given(self) -> dict[str, Any]:
        """The method's parameters that differ from its own values."""
        return {} if self.method is None else _differing(METHODS[self.method], self.parameters)


class Measured(Protocol):
    """Which probe, of which models, and how: a ProbeResult says it, and a ProbeRequest."""

    @property
    def probe(self) -> str: ...
    @property
    def models(self) -> Sequence[Any]: ...
    @property
    def parameters(self) -> Mapping[str, Any]: ...
    @property
    def seed(self) -> int: ...
    @property
    def dtype(self) -> str: ...


@dataclass(frozen=True)
class ProbeRequest:
    """What is to be measured, before it is.

    Attributes:
        probe: name in PROBES.
        models: a spec's text each, or a ModelSpec.
        parameters: of the probe.
        seed: of every random choice.
        dtype: of the forward passes.
    """

    probe: str
    models: tuple[str | ModelSpec, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    dtype: str = "float32"


#: What a probe is shown: as `Source`, how many scenes, several pictures, or None for what it takes by itself.
Shown = Source | int | Sequence[Picture | str] | None


def probe_python(asked: ProbeResult | ProbeRequest, shown: Shown = None) -> str:
    """Python that measures the same.

    Args:
        asked: what was measured, or is to be. A result does not hold what it was measured on.
        shown: that; None where the probe was left to take its usual stimuli. A folder is a path.
    """
    one: Measured = asked
    specs = [_spec(text) for text in one.models]
    lines = ["import explorer", ""]
    arguments = [_literal(one.probe), f"[{', '.join(map(_spec_code, specs))}]"]
    several = shown if isinstance(shown, (list, tuple)) else None
    codes = [_source_code(source) for source in several or ([] if shown is None else [shown])]
    lines += [note for _, note in codes if note]
    lines += _expected(specs)
    if codes:
        arguments.append(codes[0][0] if several is None else f"[{', '.join(code for code, _ in codes)}]")
    if one.seed:
        arguments.append(f"seed={one.seed}")
    if one.dtype != "float32":
        arguments.append(f"precision={_literal(one.dtype)}")
    given = _differing(PROBES[one.probe], one.parameters)
    arguments += [f"{name}={_literal(value)}" for name, value in given.items()]
    lines += _fitted("result = explorer.probe", arguments)
    lines += [
        "for name, score in result.summary.items():",
        '    print(f"{name}: {score.value:.6g} {score.unit} (95 %: {score.low} to {score.high}, n = {score.n})")',
        "",
    ]
    return "\n".join(lines)


def probe_command(asked: ProbeResult | ProbeRequest, shown: Shown = None) -> str:
    """The command line that measures the same; as for `probe_python`. Raises ParameterError where there is none."""
    one: Measured = asked
    parts = ["explorer", "probe", one.probe]
    if isinstance(shown, int):
        parts += _flag("scenes", str(shown))
    elif isinstance(shown, str) and shown not in samples() and Path(shown).is_dir():
        parts += _flag("images", shown)
    elif shown is not None:
        for source in shown if isinstance(shown, (list, tuple)) else [shown]:
            parts += _source_flags(source)
    parts += _model_flags([_spec(text) for text in one.models], bool(one.seed))
    parts += _parameter_flags(_differing(PROBES[one.probe], one.parameters))
    if one.seed:
        parts += _flag("seed", str(one.seed))
    if one.dtype != "float32":
        parts += _flag("precision", one.dtype)
    return shlex.join(parts)


def read(source: Source, bands: Bands | None = None) -> Scene | Picture:
    """A scene as it is, a picture read; raises ImageError."""
    if isinstance(source, str):
        return read_image(samples().get(source, source), bands)
    return source


def scene_text(scene: Scene) -> str:
    """A scene as the command reads it, ``label=star,texture=dots``: the label, and what differs from `Scene`'s own."""
    return ",".join(f"{name}={_text(value)}" for name, value in {"label": scene.label, **_changed(scene)}.items())


# ------------------------------------------------------------------------------------------------ words of a language


def _spec(one: str | ModelSpec) -> ModelSpec:
    return ModelSpec.parse(one) if isinstance(one, str) else one


def _changed(entry: Any) -> dict[str, Any]:
    """The fields of a dataclass that differ from their defaults."""
    return {
        one.name: getattr(entry, one.name)
        for one in dataclasses.fields(entry)
        if getattr(entry, one.name) != one.default
    }


def _differing(kind: Any, parameters: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {one.name: one.default for one in dataclasses.fields(kind)}
    return {
        name: value
        for name, value in parameters.items()
        if value is not None and (name not in defaults or value != defaults[name])
    }


def _number(value: float) -> str:
    """A number that reads back as the same one."""
    whole = value.is_integer() and abs(value) < 1e15
    return str(int(value)) if whole else repr(float(value))


def _literal(value: Any) -> str:
    """A value in Python."""
    if isinstance(value, Point):
        return f"explorer.Point({_number(float(value.x))}, {_number(float(value.y))})"
    if isinstance(value, float):
        return _number(float(value))
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return f"[{', '.join(map(_literal, value))}]" if isinstance(value, list) else repr(value)


def _text(value: Any) -> str:
    """A value on a command line."""
    if isinstance(value, Point):
        return f"{_number(float(value.x))},{_number(float(value.y))}"
    return _number(float(value)) if isinstance(value, float) else str(value)


def _call(name: str, given: Mapping[str, Any]) -> str:
    return f"{name}({', '.join(f'{key}={_literal(value)}' for key, value in given.items())})"


def _fitted(start: str, arguments: Sequence[str]) -> list[str]:
    """A call on one line where it fits, else an argument a line."""
    line = f"{start}({', '.join(arguments)})"
    return [line] if len(line) <= _WIDTH else [f"{start}(", *(f"    {one}," for one in arguments), ")"]


def _spec_code(spec: ModelSpec) -> str:
    given = {name: value for name, value in _changed(spec).items() if name in _TEXTLESS}
    if not given:
        return _literal(str(spec))
    if spec.weights_file is not None:
        given["weights_file"] = _own(spec.weights_file)
    fields = ", ".join(f"{key}={_literal(value)}" for key, value in given.items())
    return f"explorer.ModelSpec.parse({_literal(str(spec))}, {fields})"


#: Fields of a ModelSpec that its text form does not hold.
_TEXTLESS = ("options", "block_options", "input_size", "weights_file", "preprocessing", "head")


def _own(path: str) -> str:
    """The name of a person's own file; its folder is no concern of others."""
    return Path(path).name


def _beside(name: str, what: str) -> str:
    # A name may hold anything, line ends too: as a literal it stays in its comment.
    return f"# {_literal(name)} is your own {what}: put it beside this code."


def _expected(specs: Sequence[ModelSpec]) -> list[str]:
    """A comment for each file of weights that is a person's own."""
    files = [spec.weights_file for spec in specs if spec.weights_file is not None]
    return [_beside(_own(file), "file of weights") for file in dict.fromkeys(files)]


def _source_code(source: Any, bands: Bands | None = None) -> tuple[str, str]:
    """An expression for what is shown, and a line of comment or ""."""
    if bands is not None:
        code, note = _source_code(source)
        return f"explorer.read_image({code}, bands={tuple(bands)!r})", note
    if isinstance(source, Scene):
        return _call("explorer.Scene", {"label": source.label, **_changed(source)}), ""
    if isinstance(source, Picture):
        return _literal(source.name), _beside(source.name, "picture")
    if isinstance(source, str):
        if source in samples():
            return f"explorer.samples()[{_literal(source)}]", ""
        if Path(source).is_dir():
            return _literal(source), ""
        return _literal(_own(source)), _beside(_own(source), "picture")
    return _literal(source), ""


def _source_flags(source: Any) -> list[str]:
    if isinstance(source, Scene):
        return _flag("scene", scene_text(source))
    if isinstance(source, Picture):
        return _flag("image", f"./{source.name}" if source.name in samples() else source.name)
    return _flag("image", source if source in samples() else _own(source))


def _model_flags(specs: Sequence[ModelSpec], seeded: bool) -> list[str]:
    """``seeded``: whether --seed is given too, which is then also the seed of models that name none."""
    parts: list[str] = []
    for number, spec in enumerate(specs, 1):
        if spec.options or spec.block_options or spec.preprocessing:
            raise ParameterError(f"'{spec}' has options that no command line can say; use the Python")
        named = re.search(r"#\d+$", str(spec)) is not None
        parts += _flag("model", f"{spec}#{spec.seed}" if seeded and not named else str(spec))
        if spec.weights_file is not None:
            file = _own(spec.weights_file)
            parts += _flag("weights", file if len(specs) == 1 else f"{number}={file}")
        if spec.head is not None:
            parts += _flag("head", spec.head if len(specs) == 1 else f"{number}={spec.head}")
    sizes = {spec.input_size for spec in specs}
    if len(sizes) > 1:
        raise ParameterError("models with input sizes of their own cannot be said on one command line; use the Python")
    size = sizes.pop()
    return parts if size is None else [*parts, *_flag("input-size", f"{size[0]}x{size[1]}")]


def _parameter_flags(given: Mapping[str, Any]) -> list[str]:
    parts: list[str] = []
    for name, value in given.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            parts.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            parts += _flag(flag, _text(value))
    return parts


def _flag(name: str, value: str) -> list[str]:
    """A flag and its value; joined where the value could be taken for a flag."""
    plain = not value.startswith("-") or re.fullmatch(r"-\d+|-\d*\.\d+", value)
    return [f"--{name}", value] if plain else [f"--{name}={value}"]
