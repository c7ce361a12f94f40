"""Probes: each measures one spatial inductive bias, as numbers with units, intervals and sources.

Adding one is a file and an import below; their order is that in which they are listed and shown.
"""

# ruff: noqa: I001 (their order says something)
from __future__ import annotations

from explorer.probes.base import BIASES, PROBES, QUESTIONS, Probe

# Importing a file registers its probes, in the order of the biases.
from explorer.probes import (  # noqa: F401
    receptive_field,
    effective_receptive_field,
    attention_distance,
    heads,
    attribution_radius,
    translation,
    consistency,
    equivariance,
    lie_derivative,
    patch_shuffle,
    position,
    detection,
    scale,
    context,
    shape_bias,
    edges,
    cost,
    accuracy,
    map_equivariance,
    faithfulness,
    sanity,
    sinks,
)
from explorer.guests import invite
from explorer.probes.run import examples, probe, steps
from explorer.probes.show import sheet, spoken

__all__ = ["BIASES", "PROBES", "QUESTIONS", "Probe", "examples", "probe", "sheet", "spoken", "steps"]

invite("explorer.probes")
