"""The ``explorer`` command: what the page and the library can do, from a shell.

Flags for moves and for attribution methods are made from the fields of `Transform` and of the METHODS entry, so that
they cannot fall behind. Torch and timm are imported when a command needs them: ``explorer --help`` does not.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import inspect
import io
import json
import logging
import math
import os
import re
import sys
import textwrap
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, get_args

from explorer.cli.lab import add_flags as add_lab_flags
from explorer.cli.lab import run as run_lab
from explorer.errors import ExplorerError, ImageError, NoAttentionError, ParameterError, UnknownNameError, WriteError
from explorer.writing import (
    NO_ROOM,
    cannot_write,
    check_writable,
    make_folder,
    make_temporary_folder,
    reason,
    temporary_folder,
)

if TYPE_CHECKING:
    from explorer.attention.maps import AttentionMap
    from explorer.attribution.result import Attribution
    from explorer.blocks.explain import Explanation
    from explorer.comparison.result import Comparison, ModelView, Prediction
    from explorer.figures.sheet import Sheet
    from explorer.geometry import Point
    from explorer.images import Picture
    from explorer.models.model import Model
    from explorer.models.spec import HeadKind, ModelSpec
    from explorer.scenes import Scene
    from explorer.transforms import Transform
    from explorer.view import View

_DESCRIPTION = "See what attention does to a vision model: move what is in the picture, compare what models attend to."
_SPEC = "[random/ | lab/]BACKBONE[+BLOCK@STAGE][#SEED], e.g. resnet50.a1_in1k+mhsa@3; BACKBONE is a timm name"
#: Attribution methods are asked for by these; both need the methods' own flags.
_EXPLAINING = ("attribute", "compare", "report")
_DEFAULT_METHOD = "gradcam"
#: For --layer: the one that is shown where none is named.
_USUAL = "usual"


@dataclasses.dataclass(frozen=True)
class _Result:
    """What a command has found: one JSON object, lines to read, and how to draw it."""

    record: dict[str, Any]
    lines: list[str]
    sheet: Callable[[], Sheet] | None = None
    #: Writes the numbers as .csv or .json, where a command has more of them than a figure shows.
    save: Callable[[Path], Path] | None = None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, or 2 after one line on standard error."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    # What libraries have to say is not the user's answer; one line of error stays one line.
    warnings.simplefilter("ignore")
    logging.getLogger("timm").setLevel(logging.ERROR)
    try:
        options = _parser(arguments).parse_args(arguments)
        if options.command == "serve":
            return _serve(options)
        drawing = getattr(options, "out", None)  # commands that draw nothing have no such flag
        if drawing is not None:
            _check_out(drawing, options.command)
        # Nothing but the answer on standard output, whatever a library prints.
        files: list[str] = []
        failed: WriteError | None = None
        with contextlib.redirect_stdout(sys.stderr):
            result: _Result = options.run(options)
            try:
                for file in _write(result, drawing, options.command) if drawing is not None else ():
                    files.append(file)
            except WriteError as error:  # what was found is told all the same
                failed = error
        if options.json:
            record = {"command": options.command, **result.record, **({"files": files} if files else {})}
            _print(json.dumps(_plain(record), ensure_ascii=False, allow_nan=False))
        else:
            _print("\n".join([*result.lines, *(f"wrote {file}" for file in files)]))
        if failed is not None:
            written = f"; written is {', '.join(files)}" if files else ""
            raise WriteError(f"{failed}. What was found is printed all the same{written}")
    except ExplorerError as error:
        return _failed(str(error))
    except BrokenPipeError:  # the reader, `head` for example, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        return _failed(f"'{error.filename or 'a file'}' cannot be written: {reason(error)}")  # by a library
    except KeyboardInterrupt:
        return 130
    return 0


def _failed(text: str) -> int:
    print(f"explorer: error: {' '.join(text.split())}", file=sys.stderr)
    return 2


def _print(text: str) -> None:
    """Write the answer to standard output, which may lead to a file on a full disk."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the exit would try once more
        raise cannot_write("standard output", error) from error


# ---------------------------------------------------------------------------------------------------- the flags


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())} (see {self.prog} --help)\n")


class _Once(argparse.Action):
    """A flag that is given once: the last of several would be answered as if it were all."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: str | None = None) -> None:
        if getattr(namespace, self.dest) is not None:
            command = parser.prog.rpartition(" ")[2]
            parser.error(
                f"{option} is given once, as {command} shows one picture; got {getattr(namespace, self.dest)} and "
                f"{values}. Several are answered by: explorer predict"
            )
        setattr(namespace, self.dest, values)


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The command's parser; of attribution methods it knows the flags of the one that ``arguments`` name."""
    parser = _Parser(prog="explorer", description=_DESCRIPTION, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)

    def command(name: str, run: Callable[[argparse.Namespace], Any], text: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        one.set_defaults(run=run)
        one.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
        return one

    serve = command("serve", _serve, "Open the page in a browser on this machine.")
    serve.add_argument("--model", action="append", metavar="SPEC", help=f"on opening, repeatable: {_SPEC}")
    _add_head(serve)
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    serve.add_argument("--port", type=int, default=7860, help="TCP port (%(default)s)")
    serve.add_argument("--device", help="cpu, cuda, cuda:1 or mps; the best there is if left out")
    serve.add_argument("--open", action="store_true", help="open it in the browser")
    text = "a lesson to begin with, repeatable; the README says how to write one"
    serve.add_argument("--lesson", action="append", default=[], metavar="FILE", help=text)
    text = "a name under which the page may be opened beside its own, as that of a proxy before it; repeatable"
    serve.add_argument("--allow-host", action="append", default=[], metavar="NAME", help=text)
    text = "look up models that visitors name on the hub with this machine's token, private ones too"
    serve.add_argument("--allow-hub-token", action="store_true", help=text)

    models = command("models", _models, "List timm's models with parameters, input size and attention layouts.")
    models.add_argument("--search", default="", metavar="PART", help="a part of the name, or a pattern with * and ?")
    models.add_argument("--limit", type=int, default=25, metavar="N", help="at most so many (%(default)s)")
    blocks = command("blocks", _blocks, "List the attention blocks that can be inserted, or explain one.")
    blocks.add_argument("name", nargs="?", metavar="NAME", help="explain this block; all are listed if left out")
    blocks.add_argument("--measure", action="store_true", help="count and time its cost beside full attention's")
    methods = command("methods", _methods, "List the attribution methods with their parameters.")
    probes = command("probes", _probes, "List the probes, each with the question it answers and its parameters.")

    predict = command("predict", _predict, "What do models answer?")
    predict.add_argument("--top", type=int, default=5, metavar="N", help="how many classes (%(default)s)")
    attend = command("attend", _attend, "What do models attend to?")
    attribute = command("attribute", _attribute, "What do models' answers rest on?")
    compare = command("compare", _compare, "Compare models on a picture before and after a move.")
    report = command(
        "report", _report, "Write an evidence bundle: figures, numbers, provenance, code that checks them."
    )
    text = "also measure this bias, repeatable; see explorer probes"
    report.add_argument("--probe", action="append", default=[], metavar="NAME", help=text)
    report.add_argument("--out", dest="file", default="evidence.zip", metavar="FILE", help="a .zip file (%(default)s)")
    probe = command("probe", _probe, "Measure one bias of models, as numbers with units and intervals.")
    probe.add_argument("name", metavar="NAME", help="see explorer probes")
    bench = command("bench", _bench, "What does seeing attention cost? Ratios against the bare model, in one process.")
    bench.add_argument("--repeats", type=int, default=15, metavar="N", help="alternating runs a pair (%(default)s)")
    train = command("train", _train, "Train laboratory models: one recipe, the same scenes, only the block differs.")
    train.add_argument(
        "spec",
        nargs="*",
        metavar="SPEC",
        help="lab/BLOCK, lab/resnet+BLOCK or lab/BLOCK-aug, also with #SEED; all if none",
    )
    train.add_argument(
        "--seeds", type=int, default=3, metavar="N", help="seeds 0 to N - 1 of each that names none (%(default)s)"
    )
    train.add_argument(
        "--out", dest="folder", default="out/checkpoints", metavar="DIR", help="weights and manifest (%(default)s)"
    )
    train.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes that share the cores (%(default)s)"
    )
    train.add_argument("--device", help="cpu, cuda, cuda:1 or mps; the best there is if left out")
    for name, kind, text in (
        ("images", int, "pictures"),
        ("epochs", int, "times each is seen"),
        ("batch", int, "pictures a step"),
        ("rate", float, "highest learning rate"),
    ):
        train.add_argument(f"--{name}", type=kind, metavar="N", help=f"{text}; the set-up's own if left out")
    fit = command(
        "fit", _fit, "Fine-tune an inserted block: an untrained one behind a closed gate shows nothing learnt."
    )
    fit.add_argument("spec", metavar="SPEC", help="a model with a block, as in resnet50.a1_in1k+mhsa@3")
    shown = fit.add_mutually_exclusive_group(required=True)
    text = "a folder with one folder of pictures a class, or with train and val that have"
    shown.add_argument("--images", metavar="DIR", help=text)
    shown.add_argument("--scenes", type=int, nargs="?", const=1000, metavar="N", help="N procedural scenes (1000)")
    fit.add_argument("--all", action="store_true", help="train the whole network, not the block and its gate alone")
    text = "what to write; see --weights of the other commands (%(default)s)"
    fit.add_argument("--out", dest="file", default="fitted.safetensors", metavar="FILE", help=text)
    fit.add_argument("--input-size", metavar="PX|HxW", help="the model's input; its own if left out")
    fit.add_argument("--device", help="cpu, cuda, cuda:1 or mps; the best there is if left out")
    for name, kind, text in (
        ("epochs", int, "times each picture is seen at most (20)"),
        ("rate", float, "highest learning rate (0.002)"),
        ("batch", int, "pictures a step (32)"),
        ("patience", int, "epochs without improvement before it stops (4)"),
        ("held-out", float, "share of each class that is held out (0.2)"),
        ("seed", int, "of a new classifier and of the order (0)"),
    ):
        fit.add_argument(f"--{name}", type=kind, metavar="N", help=text)
    add_lab_flags(command("lab", _lab, "Measure the trained laboratory models, or show what was measured."))
    asked = arguments[0] if arguments else ""
    for one in (attend, compare, report):
        one.set_defaults(head=None)
    for one in (predict, attend, attribute, compare, report, bench):
        _add_picture(one, moves=asked == one.prog.rpartition(" ")[2], scenes=one is not bench)
    for one in (attend, compare, report):
        text = "the place asked about, px of the first model's input before the move, repeatable"
        if one is not report:
            text += ", or a token's name: class"
        one.add_argument("--query", action="append", metavar="X,Y", help=f"{text} (the middle)")
        pins = ("image", "place")  # of explorer.compare, which takes a second to import
        one.add_argument("--pin", default="image", choices=pins, help="what the query stays on (%(default)s)")
        text = f"number in the order of the forward pass, from 0, dotted path or {_USUAL}; for all or one a model"
        one.add_argument("--layer", action="append", help=text)
    for one in (attribute, compare, report):
        one.add_argument("--target", type=int, metavar="CLASS", help="index of the class; the model's own first choice")
        text = "see explorer methods" + ("" if one is attribute else ", or none")
        one.add_argument("--method", default=_DEFAULT_METHOD, help=f"{text} (%(default)s)")
    if asked in _EXPLAINING:
        _add_method({"attribute": attribute, "compare": compare, "report": report}[asked], arguments[1:])
    _add_stimuli(probe)
    if asked == "probe":
        _add_probe(probe, arguments[1:])
    for one in (models, blocks, methods, probes, predict, attend, attribute, compare, bench, probe):
        one.add_argument(
            "--out", metavar="FILE|DIR", help="also draw it: a .png, a .svg, a self-contained .html, or all in DIR"
        )
    return parser


def _add_picture(parser: argparse.ArgumentParser, moves: bool, scenes: bool) -> None:
    """Picture and models; the moves too, which takes importing torch."""
    from explorer.images import samples

    shown = parser.add_mutually_exclusive_group(required=True)
    text = f"a picture, or a sample: {', '.join(samples())}"
    if parser.prog.endswith(" predict"):
        shown.add_argument("--image", action="append", metavar="FILE", help=f"{text}; repeatable")
        text = "a folder of pictures; those of one class in one folder give the share of right answers"
        shown.add_argument("--images", metavar="DIR", help=text)
    else:
        shown.add_argument("--image", action=_Once, metavar="FILE", help=f"{text}; one")
    if not parser.prog.endswith(" report"):  # whose code names the file alone
        text = "bands to show of a picture that has many, from 1, as in 3,2,1 for red, green and blue (1,2,3)"
        parser.add_argument("--bands", metavar="N,N,N", help=text)
    if scenes:
        shown.add_argument(
            "--scene",
            metavar="NAME=VALUE,...",
            help="a procedural scene instead, as in label=star,texture=dots,scale=0.8; its object is what moves",
        )
    _add_models(parser)
    group = parser.add_argument_group("move", "px of the first model's input; other inputs move by the same share")
    if not moves:
        return
    from explorer.transforms import Transform

    for one in dataclasses.fields(Transform):
        rules = one.metadata
        if one.type == "bool":
            how: dict[str, Any] = {"action": "store_const", "const": True}
        elif one.type == "float":
            how = {"type": float, "metavar": rules["unit"].upper() or "FACTOR"}
        else:
            how = {"metavar": "NAME" if rules["choices"] else "X,Y"}
        limits = "" if rules["low"] is None else f" ({rules['low']:g} to {rules['high']:g})"
        choices = f": {', '.join(rules['choices'])}" if rules["choices"] else ""
        group.add_argument(f"--{one.name}", dest=f"move_{one.name}", help=rules["text"] + choices + limits, **how)


def _add_models(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", action="append", required=True, metavar="SPEC", help=f"repeatable: {_SPEC}")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 or mps; the best there is if left out")
    parser.add_argument("--seed", type=int, help="of random weights, inserted blocks, noise and random choices (0)")
    parser.add_argument("--input-size", metavar="PX|HxW", help="the models' input; their own if left out")
    text = "a safetensors file to lay over the model; of several models over the Nth, from 1; repeatable"
    parser.add_argument("--weights", action="append", metavar="[N=]FILE", help=text)
    _add_head(parser)


def _add_head(parser: argparse.ArgumentParser) -> None:
    text = (
        "what the outputs are: softmax (one of several classes), sigmoid (one label, or independent ones) or none (no "
        "classes); of all models, or of the Nth, from 1; repeatable; as the configuration says if left out"
    )
    if parser.prog.rpartition(" ")[2] in _WITH_HEADS:
        text += ". A number is the attention head that is drawn, from 0; the mean of all if left out"
    parser.add_argument("--head", action=_Head, metavar="[N=]KIND", help=text)


def _add_stimuli(parser: argparse.ArgumentParser) -> None:
    """What a probe is run on: models, and pictures or scenes."""
    _add_models(parser)
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--image", action="append", metavar="FILE", help="a picture or a sample's name, repeatable")
    text = "a folder of pictures, those of one class in one folder; DOG_mask.png is the object of DOG.jpg"
    shown.add_argument("--images", metavar="DIR", help=text)
    shown.add_argument("--scenes", type=int, metavar="N", help="N procedural scenes, classes in turn")
    shown.add_argument("--scene", metavar="NAME=VALUE,...", help="one procedural scene, as in label=star,texture=dots")
    text = "bfloat16 where a probe's answer does not depend on it (%(default)s)"
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"), help=text)


def _add_probe(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Add the flags of the probe that is asked for; an unknown one is refused later, in words."""
    from explorer.probes import PROBES

    for name in arguments:
        if name in PROBES:
            group = parser.add_argument_group(name, _question(PROBES[name]))
            _add_parameters(group, dataclasses.fields(PROBES[name]))
            return


def _add_method(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Add the flags of the attribution method that is asked for; an unknown one is refused later, in words."""
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--method", default=_DEFAULT_METHOD)
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            method = finder.parse_known_args([one for one in arguments if one != "--help"])[0].method
        except SystemExit:  # --method without a name: the real parser says so
            return
    from explorer.attribution import METHODS

    if method not in METHODS:
        return
    fields = [one for one in dataclasses.fields(METHODS[method]) if one.name != "seed"]  # --seed is there for all
    _add_parameters(parser.add_argument_group(method, _question(METHODS[method])), fields)


def _add_parameters(group: Any, fields: Sequence[dataclasses.Field[Any]]) -> None:
    """A flag for each parameter that an entry of a registry declares."""
    for one in fields:
        rules = one.metadata
        whole, real = "int" in str(one.type), "float" in str(one.type)
        default = "" if one.default is None else f" ({one.default})"
        choices = f": {', '.join(rules['choices'])}" if rules["choices"] and ":" not in rules["text"] else ""
        how: dict[str, Any] = {
            "type": int if whole else float if real else str,
            "metavar": (rules["unit"] if rules["unit"] == "px" else "N" if whole or real else "NAME").upper(),
        }
        if "bool" in str(one.type):
            how = {"action": argparse.BooleanOptionalAction, "default": None}
        group.add_argument(
            "--" + one.name.replace("_", "-"),
            dest=f"parameter_{one.name}",
            help=(rules["text"] + choices + default).replace("%", "%%"),
            **how,
        )


# ------------------------------------------------------------------------------------------- from flags to values


#: The commands that draw attention maps, of which --head may also name one attention head.
_WITH_HEADS = ("attend", "compare", "report")


class _Head(argparse.Action):
    """--head: a kind of classification head; of commands that draw attention maps also the number of an attention head.

    Kinds are gathered in ``options.kinds``, a number is ``options.head``.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,  # noqa: ARG002 - argparse's signature
    ) -> None:
        if parser.prog.rpartition(" ")[2] in _WITH_HEADS and re.fullmatch(r"-?\d+", values):
            namespace.head = int(values)
        else:
            namespace.kinds = (*getattr(namespace, "kinds", ()), values)


def _kinds(options: argparse.Namespace, count: int) -> list[HeadKind | None]:
    """What --head says of each of ``count`` models; what names a model goes before what is said of all."""
    from explorer.models.spec import HeadKind

    of_all: HeadKind | None = None
    of_one: dict[int, HeadKind] = {}
    known = get_args(HeadKind)
    for text in getattr(options, "kinds", ()):
        match = re.fullmatch(r"(?:(\d+)=)?(\w+)", text)
        kind: Any = match[2] if match else text
        if match is None or kind not in known:
            number = ", or the number of an attention head" if options.command in _WITH_HEADS else ""
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


def _specs(options: argparse.Namespace) -> list[ModelSpec]:
    from explorer.models.spec import ModelSpec

    fields: dict[str, Any] = {"input_size": _input_size(options)}
    count = len(options.model)
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
        for text, file, kind in zip(options.model, files, _kinds(options, count))
    ]
    # What a spec says itself goes before what is said for all of them.
    named = [re.search(r"#\d+$", text) is not None for text in options.model]
    return [
        one if has or options.seed is None else dataclasses.replace(one, seed=options.seed)
        for one, has in zip(specs, named)
    ]


def _input_size(options: argparse.Namespace) -> tuple[int, int] | None:
    if options.input_size is None:
        return None
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", options.input_size)
    if match is None:
        raise ParameterError(f"--input-size is a number of pixels or HEIGHTxWIDTH, got '{options.input_size}'")
    return int(match[1]), int(match[2] or match[1])


def _transform(options: argparse.Namespace) -> Transform:
    from explorer.transforms import Transform

    given = {one.name: getattr(options, f"move_{one.name}") for one in dataclasses.fields(Transform)}
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


def _query(options: argparse.Namespace) -> tuple[list[Point], str | None]:
    """(places, token): at most one of them."""
    texts = getattr(options, "query", None) or []
    tokens = [text for text in texts if re.fullmatch(r"[A-Za-z][\w ]*", text)]
    if tokens and len(texts) > 1:
        raise ParameterError(f"--query is one token's name, or places; got {' and '.join(texts)}")
    return [_point(text, "--query") for text in texts if text not in tokens], tokens[0] if tokens else None


def _layers(options: argparse.Namespace) -> list[int | str | None]:
    """A layer for each model; None for the usual one."""
    texts, count = options.layer or [_USUAL], len(options.model)
    if len(texts) not in (1, count):
        raise ParameterError(f"--layer is given once, or once for each of the {count} models; got {len(texts)}")
    found = [None if text == _USUAL else int(text) if re.fullmatch(r"-?\d+", text) else text for text in texts]
    return found * count if len(found) == 1 else found


def _picture(options: argparse.Namespace) -> Picture | Scene:
    return _read(options) if options.scene is None else _scene(options.scene)


def _read(options: argparse.Namespace) -> Picture:
    return _read_one(options.image, options)


def _read_one(source: Any, options: argparse.Namespace) -> Picture:
    """A picture, or a sample by its name, its bands as asked for."""
    from explorer.images import read_image, samples

    text = getattr(options, "bands", None)
    if text is not None and not re.fullmatch(r"\d+(,\d+,\d+)?", text):
        raise ParameterError(f"--bands is one number or three, counted from 1, as in 3,2,1; got '{text}'")
    return read_image(samples().get(source, source), None if text is None else tuple(map(int, text.split(","))))


def _shown_by(options: argparse.Namespace) -> Iterator[tuple[Picture | Scene, str]]:
    """What predict is asked about, one after the other, each with its label or "" (and what was left out)."""
    from explorer.images.folders import Folder

    if options.scene is not None:
        yield _scene(options.scene), ""
        return
    for one in options.image or ():
        yield _read_one(one, options), ""
    if options.images is not None:
        folder = Folder(Path(options.images))
        for found in folder:
            try:
                picture = _read_one(found.path, options)
            except ImageError as error:
                folder.leave_out(found.path, error)
                continue
            # Two of one name in two folders are told apart.
            name = found.path.relative_to(folder.root).as_posix()
            yield dataclasses.replace(picture, name=name), found.label
        options.left_out = folder.notes


def _scene(text: str) -> Scene:
    from explorer.scenes import Scene

    kinds = {one.name: one.type for one in dataclasses.fields(Scene)}
    given: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise ParameterError(f"--scene is NAME=VALUE,... as in label=star,scale=0.8; got '{part}'")
        if name not in kinds:
            raise UnknownNameError("property of a scene", name, kinds)
        try:
            given[name] = {"int": int, "float": float}.get(str(kinds[name]), str)(value)
        except ValueError:
            raise ParameterError(f"--scene: {name} is a number, got '{value}'") from None
    return Scene(**given)


def _view(options: argparse.Namespace, method: str | None, source: Picture | Scene | str) -> View:
    """What is asked for; raises ParameterError before a model is loaded."""
    from explorer.attribution import METHODS
    from explorer.view import View

    parameters: dict[str, Any] = {}
    if method is not None:
        names = [one.name for one in dataclasses.fields(METHODS[method])]
        given = {name: getattr(options, f"parameter_{name}", None) for name in names}
        parameters = {name: value for name, value in given.items() if value is not None}
        if "seed" in names and options.seed is not None:
            parameters["seed"] = options.seed
    return View(
        models=tuple(_specs(options)),
        source=source,
        transform=_transform(options),
        queries=tuple(_query(options)[0]),
        pin=getattr(options, "pin", "image"),
        method=method,
        parameters=parameters,
        head=getattr(options, "head", None),
        target=getattr(options, "target", None),
    )


def _answers(options: argparse.Namespace, method: str | None) -> tuple[Picture | Scene, list[Model], Comparison]:
    """Read the picture and every flag first, then load the models, which may take minutes, and ask them."""
    from explorer.models.device import choose_device

    picture = _picture(options)
    view = _view(options, method, picture)
    models = view.load(str(choose_device(options.device)))
    return picture, models, view.compare(models)


# -------------------------------------------------------------------------------------------------- the commands


def _serve(options: argparse.Namespace) -> int:
    from explorer.models.spec import ModelSpec

    if not 0 <= options.port <= 65535:
        raise ParameterError(f"--port is a number from 0 to 65535, got {options.port}")
    models = options.model or []
    for text in models:
        ModelSpec.parse(text)  # a mistake is told before the page is built
    heads = {text: kind for text, kind in zip(models, _kinds(options, len(models))) if kind is not None}
    if getattr(options, "kinds", ()) and not heads:
        raise ParameterError("--head says what the outputs of a --model are; name one")
    temporary_folder()  # gradio needs one while it is imported
    from explorer.ui.page import serve

    given: dict[str, Any] = {"lessons": options.lesson, "allow_hosts": options.allow_host}
    given |= {"allow_hub_token": options.allow_hub_token, "heads": heads}
    where = (options.model, options.host, options.port, options.device, options.open)
    try:
        if not options.json:
            serve(*where, **given)
            return 0
        with contextlib.redirect_stdout(sys.stderr):
            launched = serve(*where, False, **given)
    except OSError as error:
        first = str(error).strip().splitlines()[0]
        raise ParameterError(f"cannot listen on {options.host}:{options.port}; try another --port ({first})") from error
    print(json.dumps({"command": "serve", "url": launched[1]}), flush=True)
    threading.Event().wait()  # until it is interrupted
    return 0


def _models(options: argparse.Namespace) -> _Result:
    from explorer.attention.layouts import layouts_of, mixers
    from explorer.models.catalogue import describe, search

    if options.limit < 1:
        raise ParameterError(f"--limit is 1 or more, got {options.limit}")
    found = search(options.search, options.limit)
    if not found:
        raise UnknownNameError("model", options.search, [one.name for one in search("", None)])
    rows, lines = [], []
    for one in found:
        try:
            entry, module = describe(one.name)
            layouts, note = list(layouts_of(module)), ""
            mixed = list(mixers(module))
        except ExplorerError as error:
            entry, layouts, mixed, note = one, [], [], str(error)
        height, width = entry.input_size
        rows.append({**dataclasses.asdict(entry), "layouts": layouts, "mixed_by": mixed, "note": note})
        size = "?" if entry.parameters is None else f"{entry.parameters / 1e6:.1f} M"
        known = f"no attention map; mixed by {', '.join(mixed)}" if mixed else "no attention map known"
        words = note or ", ".join(layouts) or known
        lines.append(f"{entry.name:40} {size:>9}  {f'{width} x {height} px':14} {words}")
    if len(found) == options.limit:
        lines.append(f"(the first {options.limit}; more with --limit)")
    return _listing(f"models with '{options.search}'" if options.search else "models", rows, lines)


def _blocks(options: argparse.Namespace) -> _Result:
    from explorer.blocks import BLOCKS
    from explorer.blocks.explain import explain

    if options.name is not None:
        return _block(options)
    if options.measure:
        raise ParameterError("--measure needs a block's name, as in explorer blocks axial --measure")
    rows, lines = [], []
    for name, block in BLOCKS.items():
        one = explain(name)
        rows.append({**_explained(one), "text": inspect.getdoc(block)})
        lines.append(f"{name:10} {one.kind or 'no map':9} {one.question}")
        lines.append(f"{'':20} cost {one.order}")
    return _listing("blocks", rows, lines)


def _block(options: argparse.Namespace) -> _Result:
    from explorer.blocks.cost import measured_cost
    from explorer.blocks.explain import explain

    one = explain(options.name)
    shown = f"{one.kind} ({one.kind_title}): {one.map}" if one.kind else ""
    parts = [
        (f"{one.name}: {one.title}", (one.question, one.definition)),
        ("Formula", (one.plain,)),
        ("Cost, n = H W positions and d channels", (one.order, one.cost, one.correction)),
        ("Map", (shown, one.means, one.means_not)),
        ("Strengths", one.strengths),
        ("Weaknesses", one.weaknesses),
        ("Parameters", tuple(f"{key}: {about.help} ({about.default})" for key, about in one.options.items())),
        ("Source", (one.source,)),
    ]
    lines: list[str] = []
    for title, texts in parts:
        wrapped = [line for text in texts if text for line in textwrap.wrap(text, 110, break_on_hyphens=False)]
        if wrapped:
            lines += [title, *(f"  {line}" for line in wrapped), ""]
    lines += ["In Python", *(f"  {line}".rstrip() for line in one.example.splitlines())]
    record = _explained(one)
    if options.measure:
        measured = [measured_cost(name) for name in dict.fromkeys((one.name, "mhsa"))]
        record["measured"] = [dataclasses.asdict(each) for each in measured]
        lines += ["", "Measured, a forward pass of one picture (one thread)"]
        for each in measured:
            lines.append(f"  {each}")
            lines += [
                f"    {point.side:3} x {point.side:<3} n = {point.positions:<5} "
                f"{point.multiply_adds / 1e6:10.3f} M multiply-adds {point.milliseconds:9.3f} ms"
                for point in each.points
            ]
    return _Result(record, lines, _sheet_of(f"explorer: {one.name}", lines))


def _explained(one: Explanation) -> dict[str, Any]:
    """The explanation as plain values; its diagram stays behind."""
    return {key: value for key, value in dataclasses.asdict(one).items() if key != "diagram"}


def _methods(options: argparse.Namespace) -> _Result:  # noqa: ARG001 - the contract of all commands
    from explorer.attribution import METHODS

    rows: list[dict[str, Any]] = []
    lines = []
    for name, method in METHODS.items():
        parameters = {
            one.name: {"default": one.default, "type": str(one.type), **one.metadata}
            for one in dataclasses.fields(method)
        }
        row = {"name": name, "question": _question(method), "unit": method.unit, "live": method.live}
        rows.append({**row, "parameters": parameters, "text": inspect.getdoc(method)})
        flags = ", ".join(f"--{key.replace('_', '-')}" for key in parameters)
        lines.append(f"{name:20} {row['question']}" + (f" [{flags}]" if flags else ""))
    return _listing("methods", rows, lines)


def _probes(_: argparse.Namespace) -> _Result:
    from explorer.probes import PROBES

    rows, lines = [], []
    for name, probe in PROBES.items():
        parameters = {one.name: {"default": one.default, **one.metadata} for one in dataclasses.fields(probe)}
        rows.append(
            {
                "name": name,
                "bias": probe.bias,
                "question": _question(probe),
                "formula": probe.formula,
                "source": probe.source,
                "limits": probe.limits,
                "parameters": parameters,
            }
        )
        flags = ", ".join(f"--{key.replace('_', '-')}" for key in parameters)
        lines.append(f"{name:26} {_question(probe)}" + (f" [{flags}]" if flags else ""))
    return _listing("probes", rows, lines)


def _listing(name: str, rows: list[dict[str, Any]], lines: list[str]) -> _Result:
    return _Result({"rows": rows}, lines, _sheet_of(f"explorer: {name}", lines))


def _sheet_of(title: str, lines: list[str]) -> Callable[[], Sheet]:
    def sheet() -> Sheet:
        from explorer.figures.results import lines_sheet

        return lines_sheet(title, [" ".join(line.split()) for line in lines])

    return sheet


#: Most pictures that predict draws together.
_DRAWN = 24


def _predict(options: argparse.Namespace) -> _Result:
    if options.top < 1:
        raise ParameterError(f"--top is 1 or more, got {options.top}")
    from explorer.images import Picture
    from explorer.models.device import choose_device
    from explorer.models.labels import class_numbers
    from explorer.models.loading import load
    from explorer.scenes import motion

    transform, specs = _transform(options), _specs(options)
    several = options.images is not None or len(options.image or ()) > 1
    # One, and those that are named, are read before models are loaded, which may take minutes.
    shown: Any = _shown_by(options) if options.images is not None else list(_shown_by(options))
    device = str(choose_device(options.device))
    models = [load(spec, device) for spec in specs]
    known = [class_numbers(model.labels, model.num_classes) for model in models]
    records: list[dict[str, Any]] = []
    lines: list[str] = []
    sheets: list[Any] = []
    right, judged = [0] * len(models), [0] * len(models)
    for picture, label in shown:
        words = str(transform) if isinstance(picture, Picture) else motion.in_words(transform)
        rows, said, drawn = _predicted(options, picture, models, transform, words)
        for place, row in enumerate(rows):
            truth = known[place].get(label.lower().replace("_", " "), known[place].get(label))
            if label and truth is not None and row["prediction"]:
                judged[place] += 1
                right[place] += row["prediction"][0]["index"] == truth
        lines += said
        records.append({**_context(picture, words), **({"label": label} if several else {}), "models": rows})
        if options.out is not None and len(records) <= _DRAWN:
            sheets += drawn
    if options.out is not None and len(records) > _DRAWN:
        raise ParameterError(f"--out draws at most {_DRAWN} pictures, got {len(records)}; leave it out, or give fewer")
    if not records:
        raise ParameterError(f"'{options.images}' has no picture that can be read: {' '.join(options.left_out)}")

    def sheet() -> Sheet:
        from explorer.figures.results import joined, prediction_sheet

        return joined(f"Prediction. Picture: {records[0]['transform']}", [prediction_sheet(*one) for one in sheets])

    if not several:
        return _Result(records[0], lines, sheet)
    top1 = [
        {"model": str(model.spec), "right": good, "n": count, "top1": good / count if count else None}
        for model, good, count in zip(models, right, judged)
    ]
    for one in top1:
        if one["n"]:
            lines.append(f"{one['model']}: {one['top1']:.1%} right, {one['right']} of {one['n']} pictures with a label")
    notes = list(getattr(options, "left_out", ()))
    versions = records[0]["versions"]
    pictures = [{key: value for key, value in one.items() if key != "versions"} for one in records]
    return _Result({"pictures": pictures, "top1": top1, "notes": notes, "versions": versions}, [*lines, *notes], sheet)


def _predicted(
    options: argparse.Namespace, picture: Picture | Scene, models: Sequence[Model], transform: Transform, words: str
) -> tuple[list[dict[str, Any]], list[str], list[Any]]:
    """One picture's answers of all models: as records, as lines, and as what is drawn of them."""
    import torch

    from explorer.comparison.compare import prediction, seen

    rows, lines, sheets = [], _about(picture, words), []
    first = models[0].input_size
    for model in models:
        move = transform.scaled(model.input_size[1] / first[1], model.input_size[0] / first[0])
        with model.lock, torch.inference_mode():
            shown = seen(model, picture, move)
            answer = prediction(model, model.logits(shown)[0], options.top)
        head = _head(str(model.spec), model.state, str(model.device), shown.shape[-2:])
        rows.append({**head, **_prediction(answer), "notes": list(model.notes)})
        lines += [_title(head), *(f"  {one.probability:7.2%}  {one.label} ({one.index})" for one in answer.top)]
        if answer.top and model.head.kind != "softmax":
            lines.append(f"  {answer.unit}; answer, the labels with p of 0.5 and more: {answer.answer}")
        lines += [f"  {note}" for note in (answer.reason, *model.notes) if note]
        if options.out is not None:
            sheets.append((answer, shown[0].cpu(), str(model.spec), model.state))
    return rows, lines, sheets


def _attend(options: argparse.Namespace) -> _Result:
    from explorer.figures.results import attention_sheet, joined

    picture, models, found = _answers(options, None)
    layers, (_, token) = _layers(options), _query(options)
    rows, lines, sheets = [], _about(picture, found.transform), []
    for model, view, layer in zip(models, found.rows, layers):
        if not view.maps:
            raise NoAttentionError(f"{view.spec}: {' '.join(view.notes)}")
        chosen = list(view.maps) if layer is None else [_wanted(view, layer)]
        item = chosen[0].weights.shape[0] - 1
        head = _head(view.spec, view.state, view.device, model.input_size)
        lines.append(_title(head))
        asked = []
        for place in [token] if token else [after for _, after in view.asked]:
            if place is None and any(one.per_query for one in chosen):
                raise ParameterError(f"{view.spec}: the query has left the frame; it goes with the picture's move")
            records = [_attention(one, place, options.head, item, strict=layer is not None) for one in chosen]
            asked.append({"query": place, "layers": records})
            lines += [f"  {view.maps.index(one):3}  {_map_line(one, record)}" for one, record in zip(chosen, records)]
            sheets.append((chosen, view.images[1], view.spec, place, options.head, item))
        rows.append({**head, **asked[0], "further": asked[1:], "notes": view.notes})
        lines += [f"  {note}" for note in view.notes]

    def sheet() -> Sheet:
        return joined(f"Attention. Picture: {found.transform}", [attention_sheet(*one) for one in sheets])

    return _Result({**_context(picture, found), "models": rows}, lines, sheet)


def _attribute(options: argparse.Namespace) -> _Result:
    from explorer.attribution import METHODS
    from explorer.errors import MethodError
    from explorer.figures.results import attribution_sheet, joined

    picture, models, found = _answers(options, options.method)
    rows, lines, sheets = [], _about(picture, found.transform), []
    for model, view in zip(models, found.rows):
        if view.attributions is None:
            reason = METHODS[options.method].unavailable(model)
            raise MethodError(f"{options.method} cannot serve {view.spec}: {reason}")
        one = view.attributions[1]
        head = _head(view.spec, view.state, view.device, model.input_size)
        rows.append({**head, **_attribution(one), "notes": view.notes})
        x, y = _peak(one, model.input_size)
        largest = f"largest at ({x:.0f}, {y:.0f}) px: {float(one.values.max()):.3g}"
        delta = "" if one.delta is None else f"; convergence delta {one.delta:.3g}"
        where = f" at {one.layer}" if one.layer else ""
        lines += [_title(head), f"  {one.method}{where}, of {one.target}: {largest} ({one.unit}){delta}"]
        lines += [f"  {note}" for note in (*view.notes, one.note) if note]
        sheets.append((one, view.images[1], view.spec))

    def sheet() -> Sheet:
        return joined(f"Attribution. Picture: {found.transform}", [attribution_sheet(*one) for one in sheets])

    return _Result({**_context(picture, found), "models": rows}, lines, sheet)


def _compare(options: argparse.Namespace) -> _Result:
    from explorer.figures.results import comparison_sheet

    picture, models, found = _answers(options, None if options.method == "none" else options.method)
    layers, (_, token) = _layers(options), _query(options)
    named = [(view, layer) for view, layer in zip(found.rows, layers) if layer is not None]
    if len(named) == len(layers) and all(view.map(layer) is None for view, layer in named):
        _wanted(*named[0])  # raises
    rows, lines = [], _about(picture, found.transform)
    for model, view, layer in zip(models, found.rows, layers):
        head = _head(view.spec, view.state, view.device, model.input_size)
        chosen = view.map(layer)
        asked: list[dict[str, Any]] = [{"queries": places, "attention": None} for places in view.asked]
        if chosen is not None:
            last = chosen.weights.shape[0] - 1
            for one in asked:
                one["attention"] = [
                    _attention(chosen, token or place, options.head, min(item, last), strict=False)
                    for item, place in enumerate(one["queries"])
                ]
        attributions = None if view.attributions is None else [_attribution(one) for one in view.attributions]
        pulled = difference = None
        if view.pulled_back is not None and view.difference is not None:
            hidden = ~view.pulled_back.valid
            pulled = view.pulled_back.values.float().masked_fill(hidden, math.nan)
            difference = view.difference.float().masked_fill(hidden, math.nan)
        rows.append(
            {
                **head,
                "shift": view.shift,
                **asked[0],
                "further": asked[1:],
                "predictions": [_prediction(one) for one in view.predictions],
                "attributions": attributions,
                "pulled_back": pulled,
                "difference": difference,
                "notes": view.notes,
            }
        )
        lines.append(_title(head))
        for name, answer in zip(("before", "after"), view.predictions):
            top = ", ".join(f"{one.label.split(',')[0]} {one.probability:.1%}" for one in answer.top[:3])
            unit = "" if model.head.kind == "softmax" or not top else f"; {answer.unit}; answer: {answer.answer}"
            lines.append(f"  {name:7} {top or answer.reason}{unit}")
        if chosen is not None:
            lines += [f"  attention: {_map_line(chosen, one['attention'][-1])}" for one in asked]
        lines += [f"  {note}" for note in view.notes]
    record = {**_context(picture, found), "method": found.method, "models": rows}
    return _Result(record, lines, lambda: comparison_sheet(found, layers, options.head, token))


def _probe(options: argparse.Namespace) -> _Result:
    from tqdm import tqdm

    from explorer.images import samples
    from explorer.models.device import choose_device
    from explorer.models.loading import load
    from explorer.probes import PROBES, probe, sheet, spoken

    kind = PROBES[options.name]
    given = {one.name: getattr(options, f"parameter_{one.name}") for one in dataclasses.fields(kind)}
    images: Any = options.images or options.scenes
    if options.image is not None:
        images = [str(samples().get(one, one)) for one in options.image]
    elif options.scene is not None:
        images = _scene(options.scene)
    device = str(choose_device(options.device))
    specs = _specs(options)
    with tqdm(total=100, unit="%", disable=None, file=sys.stderr) as bar:
        result = probe(
            options.name,
            [load(spec, device) for spec in specs],
            images,
            seed=options.seed or 0,
            precision=options.precision,
            progress=lambda share: bar.update(int(100 * share) - bar.n),
            **{name: value for name, value in given.items() if value is not None},
        )
    return _Result(result.record(), spoken(result), lambda: sheet(result), result.save)


def _report(options: argparse.Namespace) -> _Result:
    from explorer.evidence.bundle import check, report
    from explorer.images import read_image, samples
    from explorer.models.device import choose_device
    from explorer.probes import PROBES, probe

    source = options.image if options.scene is None else _scene(options.scene)
    if isinstance(source, str):
        read_image(samples().get(source, source))
    if (token := _query(options)[1]) is not None:
        raise ParameterError(f"--query is a place X,Y in pixels, as in 112,80; got '{token}'")
    view = _view(options, None if options.method == "none" else options.method, source)
    layers = {place: layer for place, layer in enumerate(_layers(options)) if layer is not None}
    view = dataclasses.replace(view, layers=layers)
    for name in options.probe:
        PROBES[name]  # raises
    check(options.file)
    models = view.load(str(choose_device(options.device)))
    measured = [probe(name, models, seed=options.seed or 0) for name in options.probe]
    file = _or_elsewhere(lambda path: report(view, path, measured, models), Path(options.file))
    with zipfile.ZipFile(file) as bundle:
        held = bundle.namelist()
    return _Result({"file": str(file), "holds": held}, [f"wrote {file}", *(f"  {name}" for name in held)])


# --------------------------------------------------------------------------------------------------- the records


def _bench(options: argparse.Namespace) -> _Result:
    if options.repeats < 1:
        raise ParameterError(f"--repeats is 1 or more, got {options.repeats}")
    from explorer.bench import run
    from explorer.models.device import choose_device
    from explorer.models.loading import load

    picture, specs = _read(options), _specs(options)
    device = str(choose_device(options.device))
    measured = run([load(spec, device) for spec in specs], picture.image, options.repeats)
    rows = [dataclasses.asdict(one) for one in measured]
    lines = [
        f"{one.ratio:6.2f}  {one.name}, {one.goal}: {one.first * 1e3:.1f} / {one.second * 1e3:.1f} ms, "
        f"n = {one.n}, {one.model}" + (f" ({one.note})" if one.note else "")
        for one in measured
    ]
    return _listing("bench", rows, lines)


def _lab(options: argparse.Namespace) -> _Result:
    return _Result(*run_lab(options))


def _train(options: argparse.Namespace) -> _Result:
    from tqdm import tqdm

    from explorer.lab.grid import train_grid
    from explorer.lab.networks import MANIFEST, LabModel, all_models
    from explorer.lab.training import RECIPES, Progress
    from explorer.models.device import choose_device
    from explorer.models.spec import ModelSpec

    if options.seeds < 1:
        raise ParameterError(f"--seeds is {options.seeds}; at least one seed is trained")
    given = {
        name: value for name in ("images", "epochs", "batch", "rate") if (value := getattr(options, name)) is not None
    }
    wanted = [(text, ModelSpec.parse(text)) for text in options.spec] or [("", model.spec()) for model in all_models()]
    # Seeds outermost: a grid that is interrupted has every model before it has one of them often.
    runs = [
        (LabModel.of(spec), seed)
        for seed in range(max(options.seeds, *(spec.seed + 1 for _, spec in wanted)))
        for text, spec in wanted
        if (seed == spec.seed if "#" in text else seed < options.seeds)
    ]
    folder = make_folder(options.folder)
    check_writable(folder / MANIFEST)
    device = choose_device(options.device)
    lines: list[str] = []
    with tqdm(total=len(runs), unit="run", disable=None, file=sys.stderr) as bar:

        def stepped(now: Progress) -> None:
            bar.set_postfix_str(
                f"{now.spec} step {now.step}/{now.steps}, loss {now.loss:.3f}", refresh=now.step % 10 == 0
            )

        def finished(record: dict[str, Any]) -> None:
            bar.update()
            accuracy = record["accuracy"]["in distribution"]
            lines.append(f"{record['spec']}: {100 * accuracy:.1f} % of {record['n']} scenes, {record['seconds']:.0f} s")

        for backbone, own in RECIPES.items():
            part = [run for run in runs if run[0].backbone == backbone]
            if part:
                manifest = train_grid(
                    part, folder, dataclasses.replace(own, **given), device, options.workers, stepped, finished
                )
    return _Result({"folder": str(folder), **manifest}, [*lines, f"{folder / 'manifest.json'}"])


def _fit(options: argparse.Namespace) -> _Result:
    from tqdm import tqdm

    from explorer.lab.fit_data import FitRecipe
    from explorer.lab.fitting import FitProgress, fit
    from explorer.models.spec import ModelSpec

    file = Path(options.file)
    if file.suffix != ".safetensors":
        raise ParameterError(f"--out is a .safetensors file in a folder that can be written, got '{file}'")
    check_writable(file)
    names = ("epochs", "rate", "batch", "patience", "held_out", "seed", "scenes")
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    recipe = FitRecipe(**given, whole=options.all)
    spec = ModelSpec.parse(options.spec, input_size=_input_size(options))
    with tqdm(unit="step", disable=None, file=sys.stderr) as bar:

        def stepped(now: FitProgress) -> None:
            bar.total = now.epochs * now.steps
            bar.set_postfix_str(f"epoch {now.epoch}/{now.epochs}, loss {now.loss:.3f}", refresh=False)
            bar.update()

        found = fit(spec, options.images, recipe, options.device, stepped)
    _or_elsewhere(found.save, file)
    before, after = found.record["before"], found.record["after"]
    lines = [
        f"{spec}: {100 * before['accuracy']:.1f} % before, {100 * after['accuracy']:.1f} % after, of "
        f"{found.record['held_out']} held-out pictures (loss {before['loss']:.3f}, {after['loss']:.3f})",
        *(f"  {note}" for note in found.notes),
        f"wrote {file}",
    ]
    record = {**found.record, "history": found.history, "notes": found.notes, "file": str(file)}
    return _Result(record, lines)


def _context(picture: Picture | Scene, found: Comparison | str) -> dict[str, Any]:
    from explorer.comparison.compare import versions
    from explorer.images import Picture

    shown: dict[str, Any]
    if isinstance(picture, Picture):
        width, height = picture.image.size
        shown = {"image": {"name": picture.name, "width": width, "height": height, "notes": picture.notes}}
    else:
        shown = {"scene": dataclasses.asdict(picture)}
    transform = found if isinstance(found, str) else found.transform
    return {**shown, "transform": transform, "versions": dict(versions())}


def _about(picture: Picture | Scene, transform: str) -> list[str]:
    from explorer.images import Picture

    if isinstance(picture, Picture):
        return [f"{picture.name}: {transform}", *picture.notes]
    return [f"scene of {picture.label}, {picture.texture}, on {picture.background}: {transform}"]


def _head(spec: str, state: str, device: str, input_size: Sequence[int]) -> dict[str, Any]:
    return {"model": spec, "weights": state, "device": device, "input_size": list(input_size)}


def _title(head: dict[str, Any]) -> str:
    height, width = head["input_size"]
    return f"{head['model']}  [{head['weights']} weights, {width} x {height} px, {head['device']}]"


def _prediction(one: Prediction) -> dict[str, Any]:
    top = [dataclasses.asdict(score) for score in one.top]
    return {"prediction": top, "unit": one.unit, "answer": list(one.labels), "reason": one.reason}


def _attribution(one: Attribution) -> dict[str, Any]:
    return {
        "method": one.method,
        "target": one.target,
        "layer": one.layer,
        "unit": one.unit,
        "parameters": dict(one.parameters),
        "delta": one.delta,
        "note": one.note,
        "values": one.values,
    }


def _attention(
    one: AttentionMap, query: Point | str | None, head: int | None, item: int, strict: bool
) -> dict[str, Any]:
    """A map as a record; where the query or head is not there, its ``values`` are null and ``error`` says why."""
    record: dict[str, Any] = {
        "layer": one.layer,
        "mechanism": one.mechanism,
        "kind": one.kind,
        "layout": None if one.layout is None else one.layout.name,
        "grid": one.grid,
        "heads": one.heads,
        "head": head,
        "unit": one.unit,
        "weights": one.state,
        "note": one.note,
        "values": None,
        "error": "",
    }
    try:
        if one.layout is None:
            record["head"] = head or 0
            record["values"] = one.matrix(head or 0, item)
        elif one.per_query and query is None:
            raise ParameterError("the query has left the frame")
        else:
            record["values"] = one.row(query if one.per_query else None, head, item)
    except ParameterError as error:
        if strict:
            raise
        record["error"] = str(error)
    return record


def _map_line(one: AttentionMap, record: dict[str, Any]) -> str:
    where = "no position on the image" if one.grid is None else f"{one.grid[0]} x {one.grid[1]} cells"
    layout = "" if one.layout is None else f"{one.layout.name}, "
    text = f"{one.layer}: {one.kind}, {layout}{where}, {one.heads} heads, {one.unit} ({one.state})"
    if record["error"]:
        return f"{text}: {record['error']}"
    return text


def _peak(one: Attribution, frame: Sequence[int]) -> tuple[float, float]:
    rows, columns = one.values.shape
    index = int(one.values.argmax())
    return (index % columns + 0.5) * frame[1] / columns, (index // columns + 0.5) * frame[0] / rows


def _wanted(view: ModelView, layer: int | str) -> AttentionMap:
    found = view.map(layer)
    if found is not None:
        return found
    if isinstance(layer, int):
        raise ParameterError(f"{view.spec}: --layer {layer} asked for, it has layers 0 to {len(view.maps) - 1}")
    raise UnknownNameError(f"layer of {view.spec}", layer, [one.layer for one in view.maps])


def _question(entry: type) -> str:
    return (inspect.getdoc(entry) or "").split("\n", 1)[0]


def _plain(value: Any) -> Any:
    """Turn tensors, tuples and what JSON does not have (NaN) into what it has."""
    if hasattr(value, "detach"):
        return _plain(value.detach().cpu().float().tolist())
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


# ----------------------------------------------------------------------------------------------------- the files


def _endings(command: str) -> tuple[str, ...]:
    figures = (".png", ".svg", ".html")
    return (*figures, ".csv", ".json") if command == "probe" else figures


def _targets(out: str, command: str) -> Iterator[Path]:
    path = Path(out)
    if path.suffix.lower() in _endings(command):
        yield path
    else:
        yield from (path / f"{command}{ending}" for ending in _endings(command))


def _check_out(out: str, command: str) -> None:
    """Refuse a place that cannot be written before minutes of work are spent on it."""
    path = Path(out)
    if not path.is_dir() and path.suffix.lower() not in _endings(command) and (path.suffix or path.exists()):
        *most, last = _endings(command)
        raise ParameterError(f"--out is a {', '.join(most)} or {last} file, or a folder; got '{out}'")
    for file in _targets(out, command):
        if file != path:
            make_folder(path)
        check_writable(file)


def _write(result: _Result, out: str, command: str) -> Iterator[str]:
    """Write the files of an answer; gives the name of each once it is there."""
    from explorer.figures.saving import save

    assert result.sheet is not None  # commands that draw nothing take no --out
    sheet = result.sheet()
    for path in _targets(out, command):
        numbers = result.save is not None and path.suffix.lower() in (".csv", ".json")
        yield str(result.save(path) if numbers and result.save else save(sheet, path))


def _or_elsewhere(save: Callable[[Path], Path], file: Path) -> Path:
    """Save what took long to find; a WriteError where that fails says where it is kept: among the temporary files."""
    try:
        return save(file)
    except WriteError as error:
        try:
            folder = make_temporary_folder("explorer-kept-", temporary_folder())
            try:
                kept = save(folder / file.name)
            except WriteError:
                folder.rmdir()
                raise
        except WriteError:
            raise WriteError(
                f"{error}. There is no room for it among the temporary files either: it is lost"
            ) from error
        raise WriteError(f"{error}. It is kept as '{kept}'; move it from there") from error
