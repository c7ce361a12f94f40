"""Which model: a backbone, where its weights come from, and at most one inserted block."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from explorer.errors import ParameterError
from explorer.messages import Message

WeightsState = Literal["pretrained", "lab", "identity-init", "random", "file", "own"]
Origin = Literal["pretrained", "random", "lab"]
Scheme = Literal["timm", "hf-hub", "local-dir", "tv", "hf", "module"]
#: Options of timm's that the command has flags for: --in-chans and --num-classes.
BUILT_WITH = ("in_chans", "num_classes")
HeadKind = Literal["softmax", "sigmoid", "none"]
WEIGHTS_STATES: Mapping[WeightsState, str] = {
    "pretrained": "weights as published for this model",
    "lab": "trained in the laboratory with one recipe; only the block differs",
    "identity-init": "untrained block behind a closed gate; predictions are the backbone's own",
    "random": "random weights: the map shows the architecture, not anything learnt",
    "file": "weights from a safetensors file",
    "own": "weights as they were in the module that was wrapped",
}


class Source(NamedTuple):
    """Where a backbone's configuration and weights come from, taken apart once so that no spelling decides anything.

    ``str`` gives the one way in which it is written.

    Attributes:
        scheme: "timm" for a name of timm's own, "hf-hub" for a repository of the hub, "local-dir" for a folder, "tv"
            for a model of torchvision's, "hf" for a repository of transformers', "module" for a module that a program
            wrapped.
        name: timm's or torchvision's name; ``ORG/NAME[@REVISION]``; a path, in which ``~`` is the home folder; or
            ``CLASS@KEY`` of a module.
    """

    scheme: Scheme
    name: str

    @classmethod
    def parse(cls, text: str) -> Source:
        """Read ``NAME``, ``hf-hub:ORG/NAME``, ``local-dir:PATH``, ``tv:NAME`` or ``hf:ORG/NAME``.

        The scheme may be in any case, as timm takes it.

        Raises ParameterError for another scheme, or for none of the characters that have to follow it.
        """
        before, colon, after = text.partition(":")
        if not colon:
            return cls("timm", text.strip())
        scheme = _SCHEMES.get(before.strip().lower())
        if scheme is None:
            raise ParameterError(
                Message(
                    "'{text}': there is no source '{before}:'; write hf-hub:ORG/NAME for a model of timm's on the hub, "
                    "hf:ORG/NAME for one of transformers', local-dir:PATH for a folder, tv:NAME for one of "
                    "torchvision's, or a model's name alone for one of timm's",
                    text=text,
                    before=before,
                )
            )
        name = after.strip()
        if not name or "\0" in name:
            raise ParameterError(
                Message(
                    "'{text}': after {scheme}: {expected} is expected",
                    text=text,
                    scheme=scheme,
                    expected=_AFTER[scheme],
                )
            )
        return cls(scheme, name)

    @property
    def folder(self) -> Path:
        """The folder of a ``local-dir``."""
        path = Path(self.name)
        # On a machine that knows no home folder the sign stays, and no such folder is found.
        with contextlib.suppress(RuntimeError):
            path = path.expanduser()
        return path

    def same(self, other: Source) -> bool:
        """Whether both mean one thing, however it is written."""
        if self.scheme != other.scheme or self.scheme != "local-dir":
            return self == other
        return os.path.realpath(self.folder) == os.path.realpath(other.folder)

    def __str__(self) -> str:
        return self.name if self.scheme == "timm" else f"{self.scheme}:{self.name}"


#: ``hf_hub`` is timm's old way to write it.
_SCHEMES: Mapping[str, Scheme] = {
    "hf-hub": "hf-hub",
    "hf_hub": "hf-hub",
    "local-dir": "local-dir",
    "tv": "tv",
    "hf": "hf",
    "module": "module",
}
_AFTER: Mapping[Scheme, str] = {
    "hf-hub": "ORG/NAME",
    "hf": "ORG/NAME",
    "local-dir": Message("the path of a folder"),
    "tv": Message("the name of one of torchvision's models"),
    "module": Message("CLASS@KEY, as explorer.wrap names it,"),
}


@dataclass(frozen=True)
class ModelSpec:
    """What to build: a timm backbone, its weights, and at most one inserted block.

    Text form: ``[random/ | lab/]BACKBONE[+BLOCK@STAGE][#SEED]``. BACKBONE is a timm name with or without tag, or
    timm's own ``hf-hub:ORG/NAME`` and ``local-dir:PATH``, or torchvision's ``tv:NAME``, or transformers'
    ``hf:ORG/NAME``, as `Source` reads them. No
    prefix means pretrained. Stages count from 1.
    ``parse`` and ``str`` round-trip; the other fields have no text form.

    Attributes:
        backbone: timm name.
        origin: where the weights come from.
        block: name of the inserted block, or None.
        stage: the stage after which it stands, counted from 1; None exactly when ``block`` is None, or for the lab's
            own models, which name none.
        seed: seed of random weights and of the inserted block.
        options: keyword arguments for ``timm.create_model``, as sorted pairs.
        block_options: parameters of the block, as sorted pairs.
        input_size: (height, width) in pixels, or None for the model's own.
        weights_file: a safetensors file laid over the built model, or None.
        preprocessing: overrides of timm's data config (mean, std, interpolation, crop_pct), as sorted pairs.
        head: what the outputs are: "softmax", one of several classes; "sigmoid", one label or several independent
            ones; "none", no classes. None: as its configuration says, see `explorer.models.heads`.
    """

    backbone: str
    origin: Origin = "pretrained"
    block: str | None = None
    stage: int | None = None
    seed: int = 0
    options: tuple[tuple[str, Any], ...] = ()
    block_options: tuple[tuple[str, Any], ...] = ()
    input_size: tuple[int, int] | None = None
    weights_file: str | None = None
    preprocessing: tuple[tuple[str, Any], ...] = ()
    head: HeadKind | None = None

    def __post_init__(self) -> None:
        # Written in one way: what is compared, kept or looked up by it means one thing.
        object.__setattr__(self, "backbone", str(Source.parse(self.backbone)))

    @property
    def source(self) -> Source:
        """Where the backbone comes from."""
        return Source.parse(self.backbone)

    @classmethod
    def parse(cls, text: str, **fields: Any) -> ModelSpec:
        """Read the text form; ``fields`` set the fields that have none. Raises ParameterError."""
        rest = text.strip()
        origin: Origin = "pretrained"
        for prefix in ("random", "lab"):
            if rest.startswith(prefix + "/"):
                origin, rest = prefix, rest[len(prefix) + 1 :].lstrip()
                break
        # A folder may have + and # in its name: there, only a whole +BLOCK@STAGE or #SEED at the end is one.
        folder = ":" in rest and Source.parse(rest).scheme == "local-dir"
        seed = 0
        if (match := re.search(r"#([^#/+@]*)$", rest)) is not None and not (folder and not match.group(1).isdecimal()):
            if not match.group(1).isdecimal() or int(match.group(1)) >= 2**63:
                raise ParameterError(
                    Message(
                        "'{text}': after # a seed (0, 1, 2, ...) is expected, got '{group}'",
                        text=text,
                        group=match.group(1),
                    )
                )
            seed, rest = int(match.group(1)), rest[: match.start()]
        block: str | None = None
        stage: int | None = None
        match = re.search(r"\+([A-Za-z0-9_]+)(?:@([^+@/]*))?$", rest)
        if match is not None and not (folder and match.group(2) is None):
            block, rest = match.group(1), rest[: match.start()]
            if match.group(2) is not None:
                if not match.group(2).isdecimal() or int(match.group(2)) < 1:
                    raise ParameterError(
                        Message(
                            "'{text}': after @ a stage (1, 2, ...) is expected, got '{group}'",
                            text=text,
                            group=match.group(2),
                        )
                    )
                stage = int(match.group(2))
            elif origin != "lab":
                raise ParameterError(
                    Message(
                        "'{text}': say after which stage the block stands, as in '{text}@3'",
                        text=text,
                    )
                )
        if not rest:
            raise ParameterError(
                Message("'{text}': no backbone is named; write for example 'resnet50.a1_in1k+mhsa@3'", text=text)
            )
        if ":" not in rest and (match := re.search(r"[+@#\s]", rest)) is not None:
            raise ParameterError(
                Message(
                    "'{text}': '{rest}' is no model name; the form is BACKBONE[+BLOCK@STAGE][#SEED]",
                    text=text,
                    rest=rest,
                )
            )
        return cls(rest, origin, block, stage, seed, **fields)

    def __str__(self) -> str:
        head = "" if self.origin == "pretrained" else self.origin + "/"
        block = "" if self.block is None else f"+{self.block}" + ("" if self.stage is None else f"@{self.stage}")
        # Without its seed, a folder named 'runs#7' would be read as 'runs' with seed 7.
        seed = bool(self.seed) or (not block and re.search(r"#\d+$", self.backbone) is not None)
        return f"{head}{self.backbone}{block}" + (f"#{self.seed}" if seed else "")
