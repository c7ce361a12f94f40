"""From flags to values: models, moves, places, pictures, and the view that they make."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from explorer.cli.flags import USUAL, WITH_HEADS
from explorer.errors import ExplorerError, ImageError, ParameterError, UnknownNameError
from explorer.registry import parameters

if TYPE_CHECKING:
    from explorer.comparison.result import Comparison
    from explorer.geometry import Point
    from explorer.images import Picture
    from explorer.models.model import Model
    from explorer.models.spec import HeadKind, ModelSpec
    from explorer.scenes import Scene
    from explorer.transforms import Transform
    from explorer.view import View


def kinds_of(options: argparse.Namespace, count: int) -> list[HeadKind | None]:
    """What --head says of each of ``count`` models; what names a model goes before what is said of all."""
    from explorer.models.spec import HeadKind

    of_all: HeadKind | None = None
    of_one: dict[int, HeadKind] = {}
    known = get_args(HeadKind)
    for text in getattr(options, "kinds", ()):
        match = re.fullmatch(r"(?:(\d+)=)?(\w+)", text)
        kind: Any = match[2] if match else text
        if match is None or kind not in known:
            number = ", or the number of an attention head" if options.command in WITH_HEADS else ""
            raise ParameterError(
                f"--head is one of {', '.join(known)}, as in --head sigmoid or 2=sigmoid{number}; got '{text}'"
            )
        if match[1] is None:
            of_all = kind
        elif 1 <= int(match[1]) <= count:
            of_one[int(match[1])] = kind
        else:
            raise ParameterError(f"--head {text}: there are models 1 to {count}")
    return [of_one.get(number, of_all) for number in range(1, count + 1)]


def named_by(options: argparse.Namespace) -> list[str]:
    """The texts of the models that are named, one by one and in matched sets."""
    if not options.sets:
        return list(options.model or ())
    from explorer.models.sets import matched_set

    return [*(options.model or ()), *(text for name in options.sets for text in matched_set(name).models)]


def specs_of(options: argparse.Namespace) -> list[ModelSpec]:
    from explorer.models.spec import BUILT_WITH, ModelSpec

    built = {name: getattr(options, name, None) for name in BUILT_WITH}
    given = tuple((name, value) for name, value in sorted(built.items()) if value is not None)
    fields: dict[str, Any] = {"input_size": input_size_of(options), "options": given}
    own = [_wrapped(text) for text in options.module or ()]
    # A wrapped model is found by its spec as long as somebody holds it.
    options.wrapped = own
    named_models = named_by(options)
    if not named_models and not own:
        raise ParameterError(
            "name a model, as in --model lab/mhsa, a matched set with --set NAME, or one of your own with "
            "--module FILE.py:FUNCTION"
        )
    count = len(named_models)
    files: list[str | None] = [None] * count
    for text in options.weights or ():
        match = re.fullmatch(r"(\d+)=(.+)", text)
        number = int(match[1]) if match else 1
        if not match and count > 1:
            raise ParameterError(f"--weights belongs to one model, got {count}; say which, as in 2={text}")
        if not 1 <= number <= count:
            raise ParameterError(f"--weights {text}: there are models 1 to {count}")
        files[number - 1] = match[2] if match else text
    if options.seed is not None and options.seed < 0:
        raise ParameterError(f"--seed is 0, 1, 2, ..., got {options.seed}")
    specs = [
        ModelSpec.parse(text, weights_file=file, head=kind, **fields)
        for text, file, kind in zip(named_models, files, kinds_of(options, count))
    ]
    # What a spec says itself goes before what is said for all of them.
    named = [re.search(r"#\d+$", text) is not None for text in named_models]
    said = [
        one if has or options.seed is None else dataclasses.replace(one, seed=options.seed)
        for one, has in zip(specs, named)
    ]
    return [*said, *(model.spec for model in own)]


def _wrapped(text: str) -> Model:
    """The model that FUNCTION of FILE.py returns, for --module; the file is run."""
    from explorer.models.model import Model

    file, _, name = text.rpartition(":")
    path = Path(file)
    if not file.endswith(".py") or not name.isidentifier():
        raise ParameterError(f"--module is FILE.py:FUNCTION, as in net.py:model, got '{text}'")
    if not path.is_file():
        raise ParameterError(f"--module {text}: there is no file '{file}'")
    described = importlib.util.spec_from_file_location(path.stem, path)
    assert described is not None
    assert described.loader is not None
    program = importlib.util.module_from_spec(described)
    sys.path.insert(0, str(path.resolve().parent))  # what stands beside it may be imported, as of a script
    try:
        described.loader.exec_module(program)
        made = getattr(program, name)()
    except ExplorerError:
        raise
    except Exception as error:
        raise ParameterError(f"--module {text}: {type(error).__name__}: {error}") from error
    finally:
        sys.path.pop(0)
    if not isinstance(made, Model):
        raise ParameterError(
            f"--module {text}: a function that returns what explorer.wrap gives is expected, got {type(made).__name__}"
        )
    return made


def input_size_of(options: argparse.Namespace) -> tuple[int, int] | None:
    if options.input_size is None:
        return None
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", options.input_size)
    if match is None:
        raise ParameterError(f"--input-size is a number of pixels or HEIGHTxWIDTH, got '{options.input_size}'")
    return int(match[1]), int(match[2] or match[1])


def transform_of(options: argparse.Namespace) -> Transform:
    from explorer.transforms import Transform

    given = {name: getattr(options, f"move_{name}") for name in parameters(Transform)}
    if given["centre"] is not None:
        given["centre"] = _point(given["centre"], "--centre")
    return Transform(**{name: value for name, value in given.items() if value is not None})


def _point(text: str, flag: str) -> Point:
    from explorer.geometry import Point

    try:
        x, y = map(float, text.split(","))
    except ValueError:
        raise ParameterError(f"{flag} is a place X,Y in pixels, as in 112,80; got '{text}'") from None
    return Point(x, y)


def query_of(options: argparse.Namespace) -> tuple[list[Point], str | None]:
    """(places, token): at most one of them."""
    texts = getattr(options, "query", None) or []
    tokens = [text for text in texts if re.fullmatch(r"[A-Za-z][\w ]*", text)]
    if tokens and len(texts) > 1:
        raise ParameterError(f"--query is one token's name, or places; got {' and '.join(texts)}")
    return [_point(text, "--query") for text in texts if text not in tokens], tokens[0] if tokens else None


def layers_of(options: argparse.Namespace) -> list[int | str | None]:
    """A layer for each model; None for the usual one."""
    texts, count = options.layer or [USUAL], len(named_by(options)) + len(options.module or ())
    if len(texts) not in (1, count):
        raise ParameterError(f"--layer is given once, or once for each of the {count} models; got {len(texts)}")
    found = [None if text == USUAL else int(text) if re.fullmatch(r"-?\d+", text) else text for text in texts]
    return found * count if len(found) == 1 else found


def read_one(source: str | Path, options: argparse.Namespace) -> Picture:
    """A picture, or a sample by its name, its bands as asked for."""
    from explorer.images import read_image, samples

    return read_image(samples().get(str(source), source), bands_of(options))


def source_of(options: argparse.Namespace) -> Picture | Scene:
    """The one picture or scene that is shown."""
    bands = bands_of(options)
    if options.scene is None:
        return read_one(options.image, options)
    if bands is not None:
        raise ParameterError("--bands chooses bands of a picture; a scene has red, green and blue alone")
    return scene_of(options.scene)


def bands_of(options: argparse.Namespace) -> tuple[int, ...] | None:
    """Which bands of pictures are shown; None for the usual ones."""
    text = options.bands
    if text is not None and not re.fullmatch(r"\d+(,\d+,\d+)?", text):
        raise ParameterError(f"--bands is one number or three, counted from 1, as in 3,2,1; got '{text}'")
    return None if text is None else tuple(map(int, text.split(",")))


def shown_by(options: argparse.Namespace) -> Iterator[tuple[Picture | Scene, str]]:
    """What predict is asked about, one after the other, each with its label or "" (and what was left out)."""
    from explorer.images.folders import Folder

    if options.scene is not None:
        yield source_of(options), ""
        return
    for one in options.image or ():
        yield read_one(one, options), ""
    if options.images is not None:
        folder = Folder(Path(options.images))
        for found in folder:
            try:
                picture = read_one(found.path, options)
            except ImageError as error:
                folder.leave_out(found.path, error)
                continue
            # Two of one name in two folders are told apart.
            name = found.path.relative_to(folder.root).as_posix()
            yield dataclasses.replace(picture, name=name), found.label
        options.left_out = folder.notes


def scene_of(text: str) -> Scene:
    from explorer.scenes import Scene

    declared = parameters(Scene)
    given: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise ParameterError(f"--scene is NAME=VALUE,... as in label=star,scale=0.8; got '{part}'")
        if name not in declared:
            raise UnknownNameError("property of a scene", name, declared)
        try:
            given[name] = declared[name].kind(value)
        except ValueError:
            raise ParameterError(f"--scene: {name} is a number, got '{value}'") from None
    return Scene(**given)


def parameters_of(options: argparse.Namespace, entry: type) -> dict[str, Any]:
    """The parameters of an entry that flags give."""
    given = {name: getattr(options, f"parameter_{name}", None) for name in parameters(entry)}
    return {name: value for name, value in given.items() if value is not None}


def view_of(options: argparse.Namespace, method: str | None, source: Picture | Scene | str) -> View:
    """What is asked for; raises ParameterError before a model is loaded."""
    from explorer.attribution import METHODS
    from explorer.view import View

    given: dict[str, Any] = {}
    if method is not None:
        given = parameters_of(options, METHODS[method])
        if "seed" in parameters(METHODS[method]) and options.seed is not None:
            given["seed"] = options.seed
    named = layers_of(options) if hasattr(options, "layer") else []
    layers = {place: layer for place, layer in enumerate(named) if layer is not None}
    return View(
        models=tuple(specs_of(options)),
        source=source,
        transform=transform_of(options),
        queries=tuple(query_of(options)[0]),
        pin=getattr(options, "pin", "image"),
        method=method,
        parameters=given,
        head=getattr(options, "head", None),
        target=getattr(options, "target", None),
        layers=layers,
        bands=bands_of(options),
    )


def answered(options: argparse.Namespace, method: str | None) -> tuple[Picture | Scene, list[Model], Comparison]:
    """Read the picture and every flag first, then load the models, which may take minutes, and ask them."""
    from explorer.models.device import choose_device

    picture = source_of(options)
    view = view_of(options, method, picture)
    models = view.load(str(choose_device(options.device)))
    return picture, models, view.compare(models)
