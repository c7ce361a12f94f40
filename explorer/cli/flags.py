"""The flags of several commands, made from the fields of what they set, so that they cannot fall behind.

Torch and timm are imported where a command that needs them is asked for: ``explorer --help`` does without.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from explorer.registry import Parameter, parameters, question

SPEC = (
    "[random/ | lab/]BACKBONE[+BLOCK@STAGE][#SEED], e.g. resnet50.a1_in1k+mhsa@3; BACKBONE is a timm name, "
    "hf-hub:ORG/NAME, local-dir:PATH, tv:NAME for one of torchvision's or hf:ORG/NAME for one of transformers'"
)

DEFAULT_METHOD = "gradcam"

#: For --layer: the one that is shown where none is named.
USUAL = "usual"

#: The commands that draw attention maps, of which --head may also name one attention head.
WITH_HEADS = ("attend", "compare", "report")


class Parser(argparse.ArgumentParser):
    """One command's flags; what is wrong with them is one line."""

    @property
    def verb(self) -> str:
        """The command's name."""
        return self.prog.rpartition(" ")[2]

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())} (see {self.prog} --help)\n")


class Verbs:
    """The commands, one parser each. Flags that take importing torch are made for the one that is asked for alone."""

    def __init__(self, parser: Parser, arguments: Sequence[str]) -> None:
        self._commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
        self._asked, self._rest = (arguments[0], arguments[1:]) if arguments else ("", ())

    def add(self, name: str, run: Callable[[argparse.Namespace], Any], text: str) -> Parser:
        """Add a command: what it runs with its options, and what it does in one sentence."""
        one: Parser = self._commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        one.set_defaults(run=run)
        one.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
        return one

    def is_asked(self, parser: Parser) -> bool:
        """Whether this is the command that is asked for."""
        return parser.verb == self._asked

    def arguments(self, parser: Parser) -> Sequence[str] | None:
        """What follows the command's name; None where another one is asked for."""
        return self._rest if self.is_asked(parser) else None


class _Once(argparse.Action):
    """A flag that is given once: the last of several would be answered as if it were all."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: str | None = None) -> None:
        first = getattr(namespace, self.dest)
        if first is not None:
            parser.error(
                f"{option} is given once, as {_verb(parser)} shows one picture; got {first} and {values}. "
                "Several are answered by: explorer predict"
            )
        setattr(namespace, self.dest, values)


def _verb(parser: argparse.ArgumentParser) -> str:
    assert isinstance(parser, Parser)  # argparse types its actions by its own class
    return parser.verb


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
        if _verb(parser) in WITH_HEADS and re.fullmatch(r"-?\d+", values):
            namespace.head = int(values)
        else:
            namespace.kinds = (*getattr(namespace, "kinds", ()), values)


def add_picture(parser: Parser, moves: bool, scenes: bool = True, several: bool = False) -> None:
    """Picture and models; the moves too, which takes importing torch."""
    from explorer.images import samples

    shown = parser.add_mutually_exclusive_group(required=True)
    text = f"a picture, or a sample: {', '.join(samples())}"
    if several:
        shown.add_argument("--image", action="append", metavar="FILE", help=f"{text}; repeatable")
        text = "a folder of pictures; those of one class in one folder give the share of right answers"
        shown.add_argument("--images", metavar="DIR", help=text)
    else:
        shown.add_argument("--image", action=_Once, metavar="FILE", help=f"{text}; one")
    if scenes:
        shown.add_argument(
            "--scene",
            metavar="NAME=VALUE,...",
            help="a procedural scene instead, as in label=star,texture=dots,scale=0.8; its object is what moves",
        )
    _add_bands(parser)
    add_models(parser)
    if not moves:
        return
    from explorer.transforms import Transform

    group = parser.add_argument_group("move", "px of the first model's input; other inputs move by the same share")
    for name, one in parameters(Transform).items():
        if one.kind is bool:
            how: dict[str, Any] = {"action": "store_const", "const": True}
        elif one.kind is float:
            how = {"type": float, "metavar": one.unit.upper() or "FACTOR"}
        else:
            how = {"metavar": "NAME" if one.choices else "X,Y"}
        limits = "" if one.low is None else f" ({one.low:g} to {one.high:g})"
        choices = f": {', '.join(one.choices)}" if one.choices else ""
        group.add_argument(f"--{name}", dest=f"move_{name}", help=one.text + choices + limits, **how)


def _add_bands(parser: Parser) -> None:
    text = "bands to show of a picture that has many, from 1, as in 3,2,1 for red, green and blue (1,2,3)"
    parser.add_argument("--bands", metavar="N,N,N", help=text)


def add_query(parser: Parser, tokens: bool = True) -> None:
    """What is asked of attention: the places, what they stay on, the head and the layer."""
    parser.set_defaults(head=None)
    text = "the place asked about, px of the first model's input before the move, repeatable"
    text += ", or a token's name: class" * tokens
    parser.add_argument("--query", action="append", metavar="X,Y", help=f"{text} (the middle)")
    pins = ("image", "place")  # of explorer.comparison, which takes a second to import
    parser.add_argument("--pin", default="image", choices=pins, help="what the query stays on (%(default)s)")
    text = f"number in the order of the forward pass, from 0, dotted path or {USUAL}; for all or one a model"
    parser.add_argument("--layer", action="append", help=text)


def add_out(parser: Parser) -> None:
    """Where the answer is drawn."""
    text = "also draw it: a .png, a .svg, a self-contained .html, or all in DIR"
    parser.add_argument("--out", metavar="FILE|DIR", help=text)


def add_device(parser: Parser) -> None:
    """Where the models run."""
    parser.add_argument("--device", help="cpu, cuda, cuda:1 or mps; the best there is if left out")


def add_sets(parser: Parser) -> None:
    """Matched sets of models."""
    text = "the models of a matched set, after those named, as in --set resnet33ts; repeatable; see explorer sets"
    parser.add_argument("--set", dest="sets", action="append", metavar="NAME", help=text)


def add_models(parser: Parser) -> None:
    """Which models, and what is said of all or of one of them."""
    parser.add_argument("--model", action="append", metavar="SPEC", help=f"repeatable: {SPEC}")
    add_sets(parser)
    text = (
        "a model of your own, after those named: FUNCTION of a Python file, which is run, returns what explorer.wrap "
        "gives; repeatable"
    )
    parser.add_argument("--module", action="append", metavar="FILE.py:FUNCTION", help=text)
    add_device(parser)
    parser.add_argument("--seed", type=int, help="of random weights, inserted blocks, noise and random choices (0)")
    parser.add_argument("--input-size", metavar="PX|HxW", help="the models' input; their own if left out")
    text = "channels that the models read: 1 (grey), 3 or 4; of timm's models, their own if left out"
    parser.add_argument("--in-chans", type=int, metavar="N", help=text)
    text = "outputs of the models, of timm's models with random weights; 0 for none, their own if left out"
    parser.add_argument("--num-classes", type=int, metavar="N", help=text)
    text = "a safetensors file to lay over the model; of several models over the Nth, from 1; repeatable"
    parser.add_argument("--weights", action="append", metavar="[N=]FILE", help=text)
    add_head(parser)


def add_head(parser: Parser) -> None:
    """What the models' outputs are, or which attention head is drawn."""
    text = (
        "what the outputs are: softmax (one of several classes), sigmoid (one label, or independent ones) or none (no "
        "classes); of all models, or of the Nth, from 1; repeatable; as the configuration says if left out"
    )
    if parser.verb in WITH_HEADS:
        text += ". A number is the attention head that is drawn, from 0; the mean of all if left out"
    parser.add_argument("--head", action=_Head, metavar="[N=]KIND", help=text)


def add_stimuli(parser: Parser) -> None:
    """What a probe is run on: models, and pictures or scenes."""
    add_models(parser)
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--image", action="append", metavar="FILE", help="a picture or a sample's name, repeatable")
    text = "a folder of pictures, those of one class in one folder; DOG_mask.png is the object of DOG.jpg"
    shown.add_argument("--images", metavar="DIR", help=text)
    shown.add_argument("--scenes", type=int, metavar="N", help="N procedural scenes, classes in turn")
    shown.add_argument("--scene", metavar="NAME=VALUE,...", help="one procedural scene, as in label=star,texture=dots")
    _add_bands(parser)
    text = "bfloat16 where a probe's answer does not depend on it (%(default)s)"
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"), help=text)


def add_probe(parser: Parser, arguments: Sequence[str] | None) -> None:
    """The parameters of the probe that is asked for; an unknown one is refused later, in words."""
    if arguments is None:
        return
    from explorer.probes import PROBES

    for name in arguments:
        if name in PROBES:
            group = parser.add_argument_group(name, question(PROBES[name]))
            add_parameters(group, parameters(PROBES[name]))
            return


def _target(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def add_method(parser: Parser, arguments: Sequence[str] | None, optional: bool = True) -> None:
    """The class, the attribution method, and the parameters of the one that is asked for; others are refused later."""
    text = "index of the class, or several as one, as in 151..268; the model's own first choice"
    parser.add_argument("--target", type=_target, metavar="CLASS", help=text)
    text = "see explorer methods" + ", or none" * optional
    parser.add_argument("--method", default=DEFAULT_METHOD, help=f"{text} (%(default)s)")
    if arguments is None:
        return
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--method", default=DEFAULT_METHOD)
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            method = finder.parse_known_args([one for one in arguments if one != "--help"])[0].method
        except SystemExit:  # --method without a name: the real parser says so
            return
    from explorer.attribution import METHODS

    if method not in METHODS:
        return
    # --seed is there for all.
    declared = {name: one for name, one in parameters(METHODS[method]).items() if name != "seed"}
    add_parameters(parser.add_argument_group(method, question(METHODS[method])), declared)


def add_parameters(group: Any, declared: Mapping[str, Parameter]) -> None:
    """A flag for each parameter that an entry of a registry declares."""
    for name, one in declared.items():
        default = "" if one.default is None else f" ({one.default})"
        choices = f": {', '.join(map(str, one.choices))}" if one.choices and ":" not in one.text else ""
        if one.kind is bool:
            how: dict[str, Any] = {"action": argparse.BooleanOptionalAction, "default": None}
        else:
            what = (one.unit if one.unit == "px" else "N") if one.is_number else "NAME"
            # What a value has to be beyond its kind the entry says itself, and in a sentence.
            how = {"type": one.kind if one.kind in (int, float) else str, "metavar": what.upper()}
        group.add_argument(
            "--" + name.replace("_", "-"),
            dest=f"parameter_{name}",
            help=(one.text + choices + default).replace("%", "%%"),
            **how,
        )
