"""Sinks over pictures: networks whose sinks are known, and those of others by loops over the weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import explorer
from explorer.attention.watch import capture
from explorer.errors import MethodError
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.probes.sinks import recurring
from explorer.probes.stimuli import Shown, read

SIDE = 64
#: One key of 64 with this logit above the others gets half of every query's weight.
HALF = math.log(63)


class ToOneCell(nn.Module):
    """Attention whose every query gives half of its weight to one cell: a fixed one, or the brightest."""

    def __init__(self, fixed: int | None) -> None:
        super().__init__()
        self.fixed = fixed

    def forward(self, tokens: Tensor) -> Tensor:
        cell = tokens[..., 0].argmax(1) if self.fixed is None else torch.full((len(tokens),), self.fixed)
        # Queries and keys of nothing but places are no picture's: a trace of the picture is left in.
        key = HALF * F.one_hot(cell, 64).to(tokens)[..., None] + 1e-5 * tokens
        query = 1 + 1e-5 * tokens
        return F.scaled_dot_product_attention(query[:, None], key[:, None], tokens[:, None], scale=1.0)[:, 0]


class Sinking(nn.Module):
    """That attention over the brightness of 8 x 8 patches."""

    def __init__(self, fixed: int | None) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 1, 8, 8, bias=False)
        nn.init.constant_(self.patches.weight, 1 / 192)
        self.attention = ToOneCell(fixed)
        self.head = nn.Linear(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.attention(self.patches(x).flatten(2).transpose(1, 2)).mean(1))


def _model(network: nn.Module) -> Model:
    return explorer.wrap(
        network, input_size=SIDE, mean=(0, 0, 0), std=(1, 1, 1), labels=["a", "b"], layout={"grid": (8, 8)}
    )


def _bright(cell: int) -> Tensor:
    picture = torch.zeros(3, SIDE, SIDE)
    row, column = divmod(cell, 8)
    picture[:, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = 1
    return picture


def _values(result: explorer.ProbeResult, model: Model) -> dict[str, float]:
    return {str(row["measure"]): row["value"] for row in result.of(str(model.spec), layer=1)}


def test_a_fixed_sink_takes_half_of_every_picture() -> None:
    model = _model(Sinking(27))
    result = explorer.probe("sinks", model, [_bright(cell) for cell in (3, 20, 41)])
    assert _values(result, model) == pytest.approx(
        {
            "weight on sinks": 0.5,
            "sinks a picture": 1,
            "pictures with sinks": 1,
            "sinks that are sinks of other pictures": 1,
        },
        abs=1e-4,
    )
    assert result.summary[f"{model.spec}: mean weight on sinks"].value == pytest.approx(0.5, abs=1e-4)


def test_a_sink_that_the_picture_chooses_is_no_other_pictures() -> None:
    model = _model(Sinking(None))
    found = _values(explorer.probe("sinks", model, [_bright(cell) for cell in (3, 20, 41)]), model)
    assert found["sinks that are sinks of other pictures"] == 0
    assert (found["weight on sinks"], found["pictures with sinks"]) == pytest.approx((0.5, 1), abs=1e-4)
    # Two of three pictures have it at one place: each of these agrees with one of two others.
    found = _values(explorer.probe("sinks", model, [_bright(cell) for cell in (3, 3, 41)]), model)
    assert found["sinks that are sinks of other pictures"] == pytest.approx((0.5 + 0.5 + 0) / 3)


def test_how_often_sinks_recur() -> None:
    assert recurring([]) == recurring([(1,)]) == recurring([(), ()]) == []
    assert recurring([(1, 2), (2,), ()]) == [0.25, 0.5]


def by_loops(weights: np.ndarray, cells: list[int]) -> tuple[set[int], float]:
    """Sinks and their share of (queries, keys): ``cells`` the flat position of each key, or below 0."""
    queries, keys = weights.shape
    found = {
        place
        for key, place in enumerate(cells)
        if place >= 0 and sum(weights[query, key] >= 5 / keys for query in range(queries)) >= 0.9 * queries
    }
    share = sum(weights[:, key].sum() for key, place in enumerate(cells) if place in found) / queries
    return found, float(share)


@pytest.mark.parametrize("spec", ["lab/mhsa", "vit_tiny_patch16_224"])
def test_rows_of_networks_agree_with_loops(spec: str, request: pytest.FixtureRequest) -> None:
    if not spec.startswith("lab/"):
        spec = request.getfixturevalue("real_specs")[spec]
    model = load(spec, "cpu")
    count = 3
    result = explorer.probe("sinks", model, count)
    with torch.inference_mode():
        maps = capture(model, Shown(model, read(count)).images)
    means = []
    for number, one in enumerate(maps, 1):
        assert one.layout is not None
        cells = one.layout.key_index[0].tolist()
        each = [
            by_loops(one.weights.block(image, 0, 0, len(cells)).mean(0).double().numpy(), cells)
            for image in range(count)
        ]
        rows = {str(row["measure"]): row for row in result.of(str(model.spec), layer=number)}
        assert rows["weight on sinks"]["value"] == pytest.approx(np.mean([share for _, share in each]), abs=1e-5)
        assert rows["sinks a picture"]["value"] == np.mean([len(found) for found, _ in each])
        assert rows["pictures with sinks"]["value"] == np.mean([bool(found) for found, _ in each])
        means.append(np.mean([share for _, share in each]))
    assert result.summary[f"{model.spec}: mean weight on sinks"].value == pytest.approx(np.mean(means), abs=1e-5)
    if not spec.startswith("lab/"):
        last = {str(row["measure"]): row["value"] for row in result.of(str(model.spec), layer=len(maps))}
        assert last["weight on sinks"] > 0.2, "the corners of a pretrained ViT-Ti, see test_sinks"


def test_models_without_sinks_are_refused() -> None:
    with pytest.raises(MethodError, match="no attention"):
        explorer.probe("sinks", "lab/conv", 2, device="cpu")
    with pytest.raises(MethodError, match=r"depend on the query|could be told"):
        explorer.probe("sinks", "lab/coord", 2, device="cpu")
