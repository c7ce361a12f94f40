"""Matched sets: every model is one of timm's with weights on the hub, and what differs is what timm says."""

from __future__ import annotations

import json

import pytest
import timm
from timm.models import get_pretrained_cfg

import explorer
from explorer.cli.main import main
from explorer.errors import UnknownNameError
from explorer.models.sets import matched_set, matched_sets
from explorer.view import MAX_MODELS


@pytest.mark.parametrize("name", matched_sets())
def test_a_set_is_of_models_that_can_be_had(name: str) -> None:
    found = matched_set(name)
    assert 2 <= len(found.models) <= MAX_MODELS, "side by side in one click"
    assert len(set(found.models)) == len(found.models)
    for text, member in zip(found.models, found.members(), strict=True):
        config = get_pretrained_cfg(text)
        assert config is not None
        assert config.hf_hub_id, "safetensors are there alone"
        assert (member.input_size, member.crop_pct) == (config.input_size[1:], config.crop_pct)
        assert member.recipe == text.partition(".")[2] == config.tag
    assert len({member.parts for member in found.members()}) == len(found.models), "each has an attention of its own"


def test_what_differs_is_what_timm_builds() -> None:
    found = matched_set("resnet33ts")
    plain, squeezing, *_ = found.members()
    for member in (plain, squeezing):
        network = timm.create_model(member.model)
        assert member.parameters == sum(one.numel() for one in network.parameters())
    assert (plain.parts, squeezing.parts) == ((), ("SEModule",))
    assert plain.depth == squeezing.depth, "its gate is not counted"
    columns = {str(title): values for title, values in found.columns().items()}
    assert "recipe" not in columns, "all have one"
    assert columns["share seen"] == ["0.9"] * 4 + ["0.94"]
    assert {str(title) for title in matched_set("resnet26t").columns()} >= {"recipe", "parts that not all have"}


def test_the_command_takes_a_set(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def load(spec: explorer.ModelSpec, *_: object) -> None:
        asked.append(str(spec))
        raise explorer.ExplorerError("no further")

    monkeypatch.setattr("explorer.models.loading.load", load)
    assert main(["probe", "cost", "--model", "lab/mhsa", "--set", "coatnet_nano"]) == 2
    assert asked == ["lab/mhsa"]
    capsys.readouterr()
    assert main(["predict", "--image", "cat", "--set", "resnet34"]) == 2
    assert "resnet33ts" in capsys.readouterr().err
    assert main(["sets", "resnet50", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["models"] == list(explorer.matched_set("resnet50").models)
    assert main(["compare", "--image", "cat", "--set", "resnet50", "--layer", "1", "--layer", "2"]) == 2
    assert "each of the 3 models" in capsys.readouterr().err
    with pytest.raises(UnknownNameError, match="resnet50"):
        matched_set("resnet5")
