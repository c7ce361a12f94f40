"""Probes: each measures one spatial inductive bias, as numbers with units, intervals and sources.

Adding one is a file and an import below.
"""

from __future__ import annotations

from explorer.probes.base import BIASES, PROBES, QUESTIONS, Probe
from explorer.probes.run import probe, steps
from explorer.probes.show import sheet, spoken

__all__ = ["BIASES", "PROBES", "QUESTIONS", "Probe", "probe", "sheet", "spoken", "steps"]
