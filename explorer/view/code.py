"""A view, or what a probe measures, as Python or as a command line that gives the same numbers."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from explorer.errors import ParameterError
from explorer.geometry import Point
from explorer.images import Bands, Picture, samples
from explorer.messages import Message
from explorer.models.spec import BUILT_WITH, ModelSpec
from explorer.probes import PROBES
from explorer.probes.result import ProbeResult
from explorer.registry import differing
from explorer.scenes import Scene
from explorer.transforms import Transform
from explorer.view.question import DEFAULT_METHOD, View

#: A line of code that is longer is cut into one argument a line.
_WIDTH = 100


def python(view: View) -> str:
    """Python that computes this view and prints each model's answers and largest attention at each query."""
    return "\n".join(("import explorer", "", *statements(view), "", *printing(view), ""))


def statements(view: View, picture: str | None = None) -> list[str]:
    """Lines of Python that make ``result``, the comparison; ``picture``: an expression in the source's place."""
    _need_pixels(view)
    shown, note = _source_code(view.source, view.bands) if picture is None else (picture, "")
    lines = [*filter(None, [note]), *_expected(view.specs)]
    arguments = ["models", shown]
    if view.transform != Transform():
        arguments.append(_call("explorer.Transform", changed_fields(view.transform)))
    if view.method != DEFAULT_METHOD:
        arguments.append(f"method={_literal(view.method)}")
    if view.queries:
        places = [_literal(one) for one in view.queries]
        arguments.append(f"query={places[0]}" if len(places) == 1 else f"query=[{', '.join(places)}]")
    if view.target is not None:
        arguments.append(f"target={_literal(view.target)}")
    if view.pin != "image":
        arguments.append(f"pin={_literal(view.pin)}")
    arguments += [f"{name}={_literal(value)}" for name, value in view.given().items()]
    specs = [_spec_code(spec) for spec in view.specs]
    line = f"models = [explorer.load(spec) for spec in [{', '.join(specs)}]]"
    if len(line) > _WIDTH:
        lines += ["models = [", *(f"    explorer.load({spec})," for spec in specs), "]"]
    else:
        lines.append(line)
    lines += _fitted("result = explorer.compare", arguments)
    return lines


def _need_pixels(view: View) -> None:
    if view.queries and view.unit != "px":
        raise ParameterError(
            "this view's places are shares of the frame, and code has them in pixels: take view.in_pixels(frame), the "
            "frame being (height, width) of the first model's input"
        )


def printing(view: View) -> list[str]:
    """Lines of Python that print what ``result`` holds."""
    which, loops = [], {"row": "result.rows"}
    for name, of_each in (("layer", view.layer_of_each), ("head", view.head_of_each)):
        if len(set(of_each)) > 1:
            loops[name] = _literal(list(of_each))
            which.append(f"{name}={name}")
        elif of_each[0] is not None:
            which.append(f"{name}={_literal(of_each[0])}")
    loop = "for row in result.rows:"
    if len(loops) > 1:
        loop = f"for {', '.join(loops)} in zip({', '.join(loops.values())}):"
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


def command(view: View) -> str:
    """The command line that gives the same numbers; raises ParameterError where there is none."""
    _need_pixels(view)
    parts = ["explorer", "compare", *_source_flags(view.source)]
    if view.bands is not None:
        parts += _flag("bands", ",".join(map(str, view.bands)))
    given = view.given()
    seed = given.pop("seed", None)
    parts += _model_flags(view.specs, seed is not None)
    for name, value in changed_fields(view.transform).items():
        parts += [f"--{name}"] if value is True else _flag(name, _text(value))
    for place in view.queries:
        parts += _flag("query", _text(place))
    if view.pin != "image":
        parts += _flag("pin", view.pin)
    layers = ["usual" if one is None else str(one) for one in view.layer_of_each]
    for layer in layers if len(set(layers)) > 1 else layers[:1] if view.layers else []:
        parts += _flag("layer", layer)
    if len(set(view.head_of_each)) > 1:
        raise ParameterError(Message("a head for each model cannot be said on one command line; use the Python"))
    if view.head_of_each[0] is not None:
        parts += _flag("head", str(view.head_of_each[0]))
    if view.target is not None:
        parts += _flag("target", str(view.target))
    if view.method != DEFAULT_METHOD:
        parts += _flag("method", view.method or "none")
    parts += _parameter_flags(given)
    if seed is not None:
        parts += _flag("seed", str(seed))
    return shlex.join(parts)


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


#: What a probe is shown: a scene, a picture, its name or path, how many scenes, several pictures, or None for its own.
ProbeSource = Scene | Picture | Path | str | int | Sequence[Picture | str] | None


def probe_python(asked: ProbeResult | ProbeRequest, shown: ProbeSource = None) -> str:
    """Python that measures the same.

    Args:
        asked: what was measured, or is to be. A result does not hold what it was measured on.
        shown: that; None where the probe was left to take its usual stimuli. A folder is a path: as a text of one of
            this machine, as a Path of one of somebody else's.
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
    given = differing(PROBES[one.probe], one.parameters)
    arguments += [f"{name}={_literal(value)}" for name, value in given.items()]
    lines += _fitted("result = explorer.probe", arguments)
    lines += [
        "for name, score in result.summary.items():",
        '    print(f"{name}: {score.value:.6g} {score.unit} (95 %: {score.low} to {score.high}, n = {score.n})")',
        "",
    ]
    return "\n".join(lines)


def probe_command(asked: ProbeResult | ProbeRequest, shown: ProbeSource = None) -> str:
    """The command line that measures the same; as for `probe_python`. Raises ParameterError where there is none."""
    one: Measured = asked
    parts = ["explorer", "probe", one.probe]
    if isinstance(shown, int):
        parts += _flag("scenes", str(shown))
    elif isinstance(shown, str) and shown not in samples() and Path(shown).is_dir():
        parts += _flag("images", shown)
    elif isinstance(shown, Path):
        parts += _flag("images", str(shown))
    elif shown is not None:
        for source in shown if isinstance(shown, (list, tuple)) else [shown]:
            parts += _source_flags(source)
    parts += _model_flags([_spec(text) for text in one.models], bool(one.seed))
    parts += _parameter_flags(differing(PROBES[one.probe], one.parameters))
    if one.seed:
        parts += _flag("seed", str(one.seed))
    if one.dtype != "float32":
        parts += _flag("precision", one.dtype)
    return shlex.join(parts)


def scene_text(scene: Scene) -> str:
    """A scene as the command reads it, ``label=star,texture=dots``: the label, and what differs from `Scene`'s own."""
    return ",".join(f"{name}={_text(value)}" for name, value in {"label": scene.label, **changed_fields(scene)}.items())


# ------------------------------------------------------------------------------------------------ words of a language


def _spec(one: str | ModelSpec) -> ModelSpec:
    return ModelSpec.parse(one) if isinstance(one, str) else one


def changed_fields(entry: Any) -> dict[str, Any]:
    """The fields of a dataclass that differ from their defaults."""
    return {
        one.name: getattr(entry, one.name)
        for one in dataclasses.fields(entry)
        if getattr(entry, one.name) != one.default
    }


def number(value: float) -> str:
    """A number that reads back as the same one."""
    whole = value.is_integer() and abs(value) < 1e15
    return str(int(value)) if whole else repr(float(value))


def _literal(value: Any) -> str:
    """A value in Python."""
    if isinstance(value, Point):
        return f"explorer.Point({number(float(value.x))}, {number(float(value.y))})"
    if isinstance(value, float):
        return number(float(value))
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return f"[{', '.join(map(_literal, value))}]" if isinstance(value, list) else repr(value)


def _text(value: Any) -> str:
    """A value on a command line."""
    if isinstance(value, Point):
        return f"{number(float(value.x))},{number(float(value.y))}"
    return number(float(value)) if isinstance(value, float) else str(value)


def _call(name: str, given: Mapping[str, Any]) -> str:
    return f"{name}({', '.join(f'{key}={_literal(value)}' for key, value in given.items())})"


def _fitted(start: str, arguments: Sequence[str]) -> list[str]:
    """A call on one line where it fits, else an argument a line."""
    line = f"{start}({', '.join(arguments)})"
    return [line] if len(line) <= _WIDTH else [f"{start}(", *(f"    {one}," for one in arguments), ")"]


def _spec_code(spec: ModelSpec) -> str:
    given = {name: value for name, value in changed_fields(spec).items() if name in TEXTLESS}
    if not given:
        return _literal(str(spec))
    if spec.weights_file is not None:
        given["weights_file"] = own_name(spec.weights_file)
    fields = ", ".join(f"{key}={_literal(value)}" for key, value in given.items())
    return f"explorer.ModelSpec.parse({_literal(str(spec))}, {fields})"


#: Fields of a ModelSpec that its text form does not hold.
TEXTLESS = ("options", "block_options", "input_size", "weights_file", "preprocessing", "head")


def own_name(path: str) -> str:
    """The name of a person's own file; its folder is no concern of others."""
    return Path(path).name


def _beside(name: str, what: str) -> str:
    # A name may hold anything, line ends too: as a literal it stays in its comment.
    return f"# {_literal(name)} is your own {what}: put it beside this code."


def _expected(specs: Sequence[ModelSpec]) -> list[str]:
    """A comment for each file of weights, and each module, that is a person's own."""
    files = [spec.weights_file for spec in specs if spec.weights_file is not None]
    modules = [str(spec) for spec in specs if spec.source.scheme == "module"]
    return [
        *(_beside(own_name(file), Message("file of weights")) for file in dict.fromkeys(files)),
        *(
            f"# {_literal(module)} is your own module: give it to explorer.wrap before, as it was, and keep the model."
            for module in dict.fromkeys(modules)
        ),
    ]


def _source_code(source: Any, bands: Bands | None = None) -> tuple[str, str]:
    """An expression for what is shown, and a line of comment or ""."""
    if bands is not None:
        code, note = _source_code(source)
        return f"explorer.read_image({code}, bands={tuple(bands)!r})", note
    if isinstance(source, Path):
        return _literal(str(source)), _beside(str(source), "folder of pictures")
    if isinstance(source, Scene):
        return _call("explorer.Scene", {"label": source.label, **changed_fields(source)}), ""
    if isinstance(source, Picture):
        return _literal(source.name), _beside(source.name, "picture")
    if isinstance(source, str):
        if source in samples():
            return f"explorer.samples()[{_literal(source)}]", ""
        if Path(source).is_dir():
            return _literal(source), ""
        return _literal(own_name(source)), _beside(own_name(source), "picture")
    return _literal(source), ""


def _source_flags(source: Any) -> list[str]:
    if isinstance(source, Scene):
        return _flag("scene", scene_text(source))
    if isinstance(source, Picture):
        return _flag("image", f"./{source.name}" if source.name in samples() else source.name)
    return _flag("image", source if source in samples() else own_name(source))


def _model_flags(specs: Sequence[ModelSpec], seeded: bool) -> list[str]:
    """``seeded``: whether --seed is given too, which is then also the seed of models that name none."""
    parts: list[str] = []
    for number, spec in enumerate(specs, 1):
        if not dict(spec.options).keys() <= set(BUILT_WITH) or spec.block_options or spec.preprocessing:
            raise ParameterError(
                Message("'{spec}' has options that no command line can say; use the Python", spec=spec)
            )
        named = re.search(r"#\d+$", str(spec)) is not None
        parts += _flag("model", f"{spec}#{spec.seed}" if seeded and not named else str(spec))
        if spec.weights_file is not None:
            file = own_name(spec.weights_file)
            parts += _flag("weights", file if len(specs) == 1 else f"{number}={file}")
        if spec.head is not None:
            parts += _flag("head", spec.head if len(specs) == 1 else f"{number}={spec.head}")
    sizes, built = ({getattr(spec, name) for spec in specs} for name in ("input_size", "options"))
    if len(sizes) > 1 or len(built) > 1:
        raise ParameterError(
            Message(
                "models with input sizes, channels or outputs of their own cannot be said on one command line; use the "
                "Python"
            )
        )
    for name, value in built.pop():
        parts += _flag(name.replace("_", "-"), str(value))
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
