"""Maps of networks whose weights are drawn anew: those that know nothing of them stay, those of a linear model go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

import explorer
from explorer.attribution import METHODS
from explorer.attribution.base import Explanation, InputMethod, PassCount, Progress
from explorer.errors import MethodError
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.probes.erasing import edge_map
from explorer.probes.sanity import classifier_of, draw_anew, layers_of
from tests.probes.test_faithfulness import GREY, linear


@dataclass(frozen=True)
class Edges(InputMethod):
    """Where are edges? It knows nothing of the network."""

    unit: ClassVar[str] = "share of the largest edge"

    @classmethod
    def unavailable(cls, model: Model) -> str | None:  # noqa: ARG003 - the contract of all methods
        return None

    def cost(self, input_size: tuple[int, int]) -> PassCount:  # noqa: ARG002 - the contract of all methods
        return PassCount(1, 0)

    def explain(self, model: Model, x01: Tensor, target: Tensor, progress: Progress) -> Explanation:  # noqa: ARG002
        return Explanation(edge_map(x01, (12, 12)))


@pytest.fixture
def edges(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(METHODS._entries, "edges", Edges)
    # The choices of the parameter were made before.
    monkeypatch.setattr("explorer.probes.sanity.Sanity.__post_init__", lambda _: None)
    return "edges"


def ranks(found: Any, map_: str, measure: str = "rank correlation") -> list[float]:
    rows = found.of(found.models[0], map=map_, measure=measure)
    return [one["value"] for one in sorted(rows, key=lambda one: one["drawn"])]


def test_a_map_that_knows_nothing_of_the_network_stays(edges: str) -> None:
    found = explorer.probe("sanity", "lab/conv", 4, device="cpu", method=edges, steps=3)
    assert ranks(found, edges) == pytest.approx([1.0] * 4)
    assert ranks(found, edges, "rank correlation with edges") == pytest.approx([1.0] * 4)
    stays = [one["value"] for one in found.of(found.models[0], measure="answer stays")]
    assert min(stays) < 1


def test_attention_knows_nothing_of_the_classifier_and_all_of_its_layer() -> None:
    found = explorer.probe("sanity", "lab/mhsa", 6, device="cpu", steps=4)
    whole, head, *_, last = ranks(found, "attention")
    assert (whole, head) == pytest.approx((1.0, 1.0))
    assert last < 0.6
    assert ranks(found, "gradcam")[1] < 0.6
    assert found.summary["lab/mhsa: rank correlation, all layers random"].n == 6


def test_the_gradient_of_a_linear_model_is_lost_and_its_product_with_the_picture_is_not() -> None:
    model = linear()
    gone = explorer.probe("sanity", model, GREY, method="saliency", steps=2)
    assert ranks(gone, "saliency")[0] == pytest.approx(1)
    assert ranks(gone, "saliency")[1:] == pytest.approx([0.0], abs=0.2)
    held = explorer.probe("sanity", model, GREY, method="input_x_gradient", steps=2)
    # w x and v x of independent w and v: of either sign alike often, but large where the picture is
    assert ranks(held, "input_x_gradient")[1:] == pytest.approx([0.0], abs=0.2)
    assert ranks(held, "input_x_gradient", "rank correlation of magnitudes")[1] > 0.2
    assert torch.equal(model.module.weight, linear().module.weight)  # type: ignore[arg-type]


def test_weights_are_drawn_with_their_own_mean_and_spread_and_nothing_else_is_touched() -> None:
    chance = torch.Generator().manual_seed(0)
    layer = nn.Sequential(nn.Conv2d(8, 64, 3), nn.BatchNorm2d(64))
    with torch.no_grad():
        layer[0].weight.mul_(3).add_(2)
    before = {name: one.clone() for name, one in layer.state_dict().items()}
    draw_anew(layer[0], chance)
    after = layer.state_dict()
    for name in ("0.weight", "0.bias"):
        assert not torch.equal(before[name], after[name])
    old, new = before["0.weight"], after["0.weight"]
    assert float(new.mean()) == pytest.approx(float(old.mean()), abs=0.05)
    assert float(new.std()) == pytest.approx(float(old.std()), rel=0.05)
    assert abs(float(torch.corrcoef(torch.stack([old.flatten(), new.flatten()]))[0, 1])) < 0.06
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("1."))


@pytest.mark.parametrize("spec", ["lab/mhsa", "random/test_resnet", "random/test_vit"])
def test_every_weight_is_in_one_layer_and_the_classifier_is_the_last(spec: str) -> None:
    model = load(spec, "cpu")
    layers = layers_of(model.module)
    own = [
        f"{path}.{name}" if path else name
        for path in layers
        for name, _ in model.module.get_submodule(path).named_parameters(recurse=False)
    ]
    assert sorted(own) == sorted(name for name, _ in model.module.named_parameters())
    assert classifier_of(model, layers) == 1
    assert model.module.get_submodule(layers[-1]) is model.module.get_classifier()  # type: ignore[operator]


def test_what_cannot_be_explained_is_refused() -> None:
    with pytest.raises(MethodError, match="Grad-CAM"):
        explorer.probe("sanity", linear(), GREY)
