"""Several classes asked about as one: the score by hand, through every method, and what is refused."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
import torch
from torch import Tensor

import explorer
from explorer.attribution import METHODS, answer, attribute
from explorer.attribution.labels import in_words, labels_of
from explorer.errors import ParameterError
from explorer.models.heads import Head
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.models.spec import ModelSpec

QUICK = {
    "integrated_gradients": {"n_steps": 3},
    "smoothgrad": {"samples": 3},
    "occlusion": {"window": 32, "stride": 32},
}
SET = "2,5..7"
LABELS = [2, 5, 6, 7]


@pytest.fixture(scope="module")
def model() -> Model:
    found = load(explorer.ModelSpec("test_vit", "random", options=(("depth", 2),), input_size=(64, 64), seed=3), "cpu")
    for number, one in enumerate(found.module.parameters()):
        if one.dim() == 2:
            one.data = torch.randn(one.shape, generator=torch.Generator().manual_seed(number)) * 0.15
    return found


@pytest.fixture(scope="module")
def x01(model: Model) -> Tensor:
    return torch.rand(1, 3, *model.input_size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("text", "labels"),
    [("151..268", tuple(range(151, 269))), ("5,7", (5, 7)), (" 7 , 3..5,4", (3, 4, 5, 7)), ("6", (6,)), ("6..6", (6,))],
)
def test_a_text_names_classes(text: str, labels: tuple[int, ...]) -> None:
    assert labels_of(text) == labels


@pytest.mark.parametrize("text", ["", "dog", "5..", "..5", "7..5", "-3", "1...3", "1,,2", "1.5", "9" * 7, "0..9999999"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ParameterError, match=re.escape("151..268")):
        labels_of(text)


def test_the_slope_of_a_softmax_set_is_that_of_its_log_p(model: Model, x01: Tensor) -> None:
    """d logsumexp = sum of p given the set times each logit's slope, written out."""
    leaf = x01.clone().requires_grad_()
    logits = model.logits(leaf)[0]
    share = logits.detach()[LABELS].softmax(0)
    (slope,) = torch.autograd.grad(sum(p * logits[label] for p, label in zip(share, LABELS)), leaf)
    expected = slope[0].gather(0, slope[0].abs().argmax(0, keepdim=True))[0]
    found = attribute(model, x01, "saliency", SET)
    torch.testing.assert_close(found.values, expected, rtol=1e-4, atol=1e-6 * float(expected.abs().max()))
    assert found.target == "classes 2,5..7 together, log sum exp of 4 logits"


def test_of_independent_labels_the_surest_is_explained(model: Model, x01: Tensor) -> None:
    independent = dataclasses.replace(model, head=Head("sigmoid"))
    logits = model.logits(x01)[0]
    surest = max(LABELS, key=lambda label: float(logits[label]))
    found = attribute(independent, x01, "saliency", SET)
    assert torch.equal(found.values, attribute(independent, x01, "saliency", surest).values)
    assert found.target == "labels 2,5..7 together, the largest of 4 logits before the sigmoid"


@pytest.mark.parametrize("name", METHODS)
def test_every_method_explains_a_set_and_one_class_as_a_set_is_the_class(model: Model, x01: Tensor, name: str) -> None:
    if METHODS[name].unavailable(model) is not None:
        pytest.skip("the method does not serve this network")
    quick = QUICK.get(name, {})
    alone, same = (attribute(model, x01, name, target, **quick).values for target in (5, "5"))
    torch.testing.assert_close(same, alone, rtol=1e-4, atol=1e-6 * float(alone.abs().max()))
    several = attribute(model, x01, name, SET, **quick).values
    assert several.isfinite().all()
    if name != "attention_rollout":  # the same for every target
        assert not torch.allclose(several, alone)


def test_the_answer_itself_stays_and_so_does_the_next_question(model: Model, x01: Tensor) -> None:
    plain, asked = answer(model, x01, method="saliency"), answer(model, x01, target=SET, method="saliency")
    assert torch.equal(asked.logits, plain.logits)
    again = answer(model, x01, method="saliency")
    assert plain.attributions is not None
    assert again.attributions is not None
    assert torch.equal(again.attributions[0].values, plain.attributions[0].values)


def test_classes_that_are_not_there_are_refused(model: Model, x01: Tensor) -> None:
    with pytest.raises(ParameterError, match=r"classes 0 to 999, target 900\.\.1000"):
        attribute(model, x01, "saliency", "900..1000")
    with pytest.raises(ParameterError, match="numbers, not classes"):
        attribute(dataclasses.replace(model, head=Head("none")), x01, "saliency", SET)
    bare = load(explorer.ModelSpec("test_vit", "random", options=(("num_classes", 0),), input_size=(64, 64)), "cpu")
    with pytest.raises(ParameterError, match="no classes"):
        attribute(bare, x01, "saliency", SET)


@pytest.mark.parametrize("target", [True, 5.0, [[5, 6]], ["9..5"], [True], {"a": 1}])
def test_what_is_no_target_is_refused_with_a_sentence(target: Any) -> None:
    model = load("random/test_resnet", "cpu")
    x = torch.rand(1, 3, *model.input_size)
    with pytest.raises(ParameterError, match="target is the number of a class"):
        attribute(model, x, "gradcam", target=target)


def test_one_class_alone_is_named_as_itself() -> None:
    model = load("random/test_resnet", "cpu")
    assert in_words(model, "5..5") == f"class 5 ({model.label(5)})"
    with pytest.raises(ParameterError):
        labels_of("１..３")


@pytest.mark.parametrize("outputs", [-1, True, 1.5, "7"])
def test_a_number_of_outputs_that_is_none_is_refused(outputs: Any) -> None:
    with pytest.raises(ParameterError, match="num_classes"):
        load(ModelSpec("resnet18", "random", options=(("num_classes", outputs),)))
