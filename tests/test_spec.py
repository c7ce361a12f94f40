"""ModelSpec: the text form and back."""

from __future__ import annotations

import itertools

import pytest

from explorer.errors import ParameterError
from explorer.models.spec import ModelSpec

CASES = {
    "resnet50": ModelSpec("resnet50"),
    "vit_tiny_patch16_224.augreg_in21k_ft_in1k": ModelSpec("vit_tiny_patch16_224.augreg_in21k_ft_in1k"),
    "resnet50.a1_in1k+mhsa@3": ModelSpec("resnet50.a1_in1k", block="mhsa", stage=3),
    "random/resnet18+axial@4#1": ModelSpec("resnet18", "random", "axial", 4, 1),
    "random/resnet18#12": ModelSpec("resnet18", "random", seed=12),
    "lab/ca_c2f": ModelSpec("ca_c2f", "lab"),
    "lab/detect+mhsa#2": ModelSpec("detect", "lab", "mhsa", None, 2),
    "hf-hub:timm/resnet18.a1_in1k": ModelSpec("hf-hub:timm/resnet18.a1_in1k"),
    "hf-hub:org/name@v1.0": ModelSpec("hf-hub:org/name@v1.0"),
    "hf-hub:org/name@v1.0+mhsa@3#4": ModelSpec("hf-hub:org/name@v1.0", "pretrained", "mhsa", 3, 4),
    "local-dir:/a/model": ModelSpec("local-dir:/a/model"),
    "local-dir:/a/with+plus": ModelSpec("local-dir:/a/with+plus"),
    "local-dir:/a+b@2/model": ModelSpec("local-dir:/a+b@2/model"),
    "local-dir:/a/with+plus#hash": ModelSpec("local-dir:/a/with+plus#hash"),
    "local-dir:/a/x#7#0": ModelSpec("local-dir:/a/x#7"),
    "local-dir:/a/x#7#3": ModelSpec("local-dir:/a/x#7", seed=3),
    "local-dir:/a/with+plus+coord@2#5": ModelSpec("local-dir:/a/with+plus", "pretrained", "coord", 2, 5),
    "local-dir:C:\\models\\a b": ModelSpec("local-dir:C:\\models\\a b"),
    "random/local-dir:/a/model": ModelSpec("local-dir:/a/model", "random"),
}


@pytest.mark.parametrize(("text", "spec"), CASES.items())
def test_text_and_spec_are_each_other(text: str, spec: ModelSpec) -> None:
    assert ModelSpec.parse(text) == spec
    assert str(spec) == text


def test_every_combination_round_trips() -> None:
    names = ("resnet50", "vit.a_b", "hf-hub:o/n", "local-dir:/p+q/r#s", "local-dir:/x#1")
    for name, origin, block, seed in itertools.product(
        names, ("pretrained", "random", "lab"), ((None, None), ("mhsa", 1), ("coord", 12)), (0, 1, 2**62)
    ):
        spec = ModelSpec(name, origin, *block, seed)  # type: ignore[arg-type]
        assert ModelSpec.parse(str(spec)) == spec


def test_fields_without_a_text_form_are_passed_on() -> None:
    spec = ModelSpec.parse(" resnet18 ", input_size=(64, 96), options=(("global_pool", "max"),))
    assert spec == ModelSpec("resnet18", input_size=(64, 96), options=(("global_pool", "max"),))
    assert hash(spec) == hash(ModelSpec("resnet18", input_size=(64, 96), options=(("global_pool", "max"),)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no backbone"),
        ("random/", "no backbone"),
        ("+mhsa@3", "no backbone"),
        ("resnet18#", "seed"),
        ("resnet18#x", "seed"),
        ("resnet18#-1", "seed"),
        ("resnet18#²", "seed"),
        (f"resnet18#{2**64}", "seed"),
        ("resnet18+mhsa", "after which stage"),
        ("resnet18+mhsa@", "stage"),
        ("resnet18+mhsa@0", "stage"),
        ("resnet18+mhsa@two", "stage"),
        ("resnet18+mhsa@1+coord@2", "no model name"),
        ("resnet18#1#2", "no model name"),
        ("resnet 18", "no model name"),
    ],
)
def test_what_is_not_a_spec_is_refused_with_a_reason(text: str, said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        ModelSpec.parse(text)
