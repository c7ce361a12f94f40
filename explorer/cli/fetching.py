"""Weights for later, without network: ``explorer fetch``."""

from __future__ import annotations

import argparse

from explorer.cli.flags import Verbs
from explorer.cli.result import Result
from explorer.errors import ParameterError


def add_verbs(verbs: Verbs) -> None:
    """Add ``fetch``."""
    one = verbs.add("fetch", _fetch, "Fetch weights of published models into the cache, for use without network.")
    one.add_argument("models", nargs="*", metavar="SPEC", help="published models, e.g. resnet50.a1_in1k")
    one.add_argument("--lessons", action="store_true", help="those that the lessons show")


def _fetch(options: argparse.Namespace) -> Result:
    from explorer.lessons import shipped
    from explorer.models.loading import load
    from explorer.models.spec import ModelSpec

    wanted = [*options.models, *(text for one in shipped() for text in one.needs if options.lessons)]
    if not wanted:
        raise ParameterError("nothing is to be fetched: name models, or ask for --lessons")
    lines, record = [], []
    for text in dict.fromkeys(wanted):
        if ModelSpec.parse(text).origin != "pretrained":
            raise ParameterError(f"'{text}' has no published weights; name a model of timm's, or hf-hub:ORG/NAME")
        # It is loaded whole: what is in the cache then is known to work.
        model = load(text, "cpu")
        size = sum(one.numel() * one.element_size() for one in model.module.state_dict().values())
        lines.append(f"{text}: {size / 1e6:.0f} MB, in the cache")
        record.append({"model": text, "bytes": size})
    return Result({"fetched": record}, lines)
