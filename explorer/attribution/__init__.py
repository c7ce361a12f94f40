"""What is a model's answer based on? Attribution methods behind one call.

`attribute` explains one picture; `answer` gives prediction, attention maps and attribution of a batch, for Grad-CAM and
the rollouts out of one forward pass and one backward pass. METHODS holds the methods: a class each, whose fields are
its parameters. `METHODS[name].unavailable(model)` says beforehand why a method cannot serve a model.
"""

from __future__ import annotations

# isort: off
from explorer.attribution.base import METHODS, Method, PassCount, Progress, method_title

# The registry's order is that of these imports: the fast and general first.
from explorer.attribution import gradcam, gradients, legrad, logit_lens, occlusion, relu, rollouts, attnlrp, daam  # noqa: F401

# isort: on
from explorer.attribution.explain import Answer, answer, attribute, method_of
from explorer.guests import invite

__all__ = ["METHODS", "Answer", "Method", "PassCount", "Progress", "answer", "attribute", "method_of", "method_title"]

invite("explorer.methods")
