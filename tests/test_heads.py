"""What outputs mean: one label, independent labels, classes, none; every answer against one that is known by hand."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision.transforms as tv
from PIL import Image
from torch import Tensor, nn

from explorer.attribution import attribute
from explorer.cli import main as cli
from explorer.comparison.compare import look, prediction
from explorer.errors import MethodError, ParameterError
from explorer.images import Picture
from explorer.models.heads import Head, find_head
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.models.spec import ModelSpec
from explorer.probes import probe
from explorer.probes.consistency import Consistency
from explorer.probes.filters import greyscale, sobel
from explorer.probes.result import ProbeResult
from explorer.probes.stimuli import Shown, read
from explorer.transforms import Transform, random_orders, shuffle_patches
from explorer.ui.answers import Answers
from explorer.view import View
from explorer.view.code import command, python

SIZE = 24
ONE = Head("sigmoid")


class Read(nn.Module):
    """A network whose logits are a known function of the picture; its pooled feature is the picture's mean colour."""

    def __init__(self, logits: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = logits

    def forward_features(self, x: Tensor) -> Tensor:
        return x

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        return x.mean((2, 3)) if pre_logits else self.function(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def wrapped(logits: Callable[[Tensor], Tensor], outputs: int, head: Head = ONE) -> Model:
    return Model(
        spec=ModelSpec.parse("random/resnet18"),
        module=Read(logits).eval(),
        architecture="resnet18",
        input_size=(SIZE, SIZE),
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        interpolation="bicubic",
        crop_pct=1.0,
        labels=(),
        num_classes=outputs,
        headless_reason="",
        stages=(),
        device=torch.device("cpu"),
        state="random",
        inserted=None,
        inserted_state="random",
        transform=tv.Compose([tv.Resize(SIZE), tv.CenterCrop(SIZE), tv.PILToTensor()]),
        lock=threading.RLock(),
        head=head,
    )


def middle(x: Tensor) -> Tensor:
    """3 where the middle column is white, -3 where it is black: one label, "white in the middle"."""
    return 6 * (x[:, 0, :, SIZE // 2].mean(1, keepdim=True) - 0.5)


def thirds(x: Tensor) -> Tensor:
    """Five labels: four fifths' brightness, and one that always holds."""
    parts = [6 * (x[:, 0, :, 4 * k : 4 * k + 4].mean((1, 2)) - 0.5) for k in range(4)]
    return torch.stack([*parts, torch.full_like(parts[0], 9.0)], 1)


def step(flipped: bool = False) -> Picture:
    """Black on the left, white from the middle on; or the other way round."""
    pixels = torch.zeros(SIZE, SIZE, 3, dtype=torch.uint8)
    pixels[:, SIZE // 2 :] = 255
    return Picture(Image.fromarray((255 - pixels if flipped else pixels).numpy()), f"step{int(flipped)}.png")


def noise(seed: int) -> Picture:
    pixels = torch.randint(0, 256, (6, 6, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    return Picture(Image.fromarray(pixels.numpy()).resize((SIZE, SIZE), Image.Resampling.NEAREST), f"noise{seed}.png")


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def values(result: ProbeResult, measure: str, **conditions: Any) -> list[float]:
    return [row["value"] for row in result.rows if row["measure"] == measure and conditions.items() <= row.items()]


# ---- the head itself ------------------------------------------------------------------------------------------------


def test_a_softmax_head_is_softmax_and_argmax_to_the_last_bit() -> None:
    logits = torch.randn(50, 7, generator=torch.Generator().manual_seed(0)) * 20
    p = logits.softmax(1)
    assert torch.equal(Head().probabilities(logits), p)
    assert torch.equal(Head().answer(p)[:, 0], logits.argmax(1))
    assert torch.equal(Head().leading(p), logits.argmax(1))
    assert torch.equal(Head().p_of(p, p.argmax(1)), p.max(1).values)
    assert torch.equal(Head().same(p[:25], p[25:]), logits[:25].argmax(1) == logits[25:].argmax(1))


def test_one_label_is_yes_or_no_and_p_is_that_of_the_answer() -> None:
    p = ONE.probabilities(torch.tensor([[0.0], [-1.0], [2.0]]))
    assert p[:, 0].tolist() == pytest.approx([0.5, sigmoid(-1), sigmoid(2)])
    assert ONE.leading(p).tolist() == [1, 0, 1]
    assert ONE.p_of(p, ONE.leading(p)).tolist() == pytest.approx([0.5, 1 - sigmoid(-1), sigmoid(2)])
    assert ONE.same(p, p[[2, 0, 0]]).tolist() == [True, False, True]
    assert ONE.target(0, 1) == ONE.target(1, 1) == 0


def test_labels_are_the_same_answer_only_where_all_of_them_are() -> None:
    p = torch.tensor([[0.9, 0.6, 0.1], [0.95, 0.5, 0.49], [0.9, 0.6, 0.5], [0.1, 0.2, 0.3]])
    assert ONE.same(p, p[:1]).tolist() == [True, True, False, False]
    assert ONE.leading(p).tolist() == [0, 0, 0, 2]


@pytest.mark.parametrize(
    ("said", "config", "outputs", "known", "kind"),
    [
        (None, {}, 1000, True, "softmax"),
        (None, {}, 5, False, "softmax"),
        (None, {}, 1, False, "sigmoid"),
        (None, {"problem_type": "multi_label_classification"}, 5, False, "sigmoid"),
        (None, {"pretrained_cfg": {"problem_type": "multi_label_classification"}}, 5, False, "sigmoid"),
        (None, {"problem_type": "multi_label_classification"}, 1000, True, "sigmoid"),
        (None, {"problem_type": "single_label_classification"}, 5, False, "softmax"),
        (None, {"problem_type": "single_label_classification"}, 1, False, "sigmoid"),
        (None, {"problem_type": "regression"}, 1, False, "none"),
        (None, {"problem_type": None, "multi_label": True}, 5, False, "sigmoid"),
        (None, {"multi_label": False}, 5, False, "softmax"),
        (None, {"function_to_apply": "Sigmoid"}, 5, False, "sigmoid"),
        (None, {"activation": "gelu"}, 5, False, "softmax"),
        (None, {"problem_type": ["odd"]}, 5, False, "softmax"),
        ("sigmoid", {"problem_type": "single_label_classification"}, 5, False, "sigmoid"),
        ("softmax", {"problem_type": "multi_label_classification"}, 5, False, "softmax"),
        ("none", {}, 5, False, "none"),
    ],
)
def test_the_user_says_it_or_the_configuration_does(
    said: Any, config: dict[str, Any], outputs: int, known: bool, kind: str
) -> None:
    head, reason = find_head(said, config, outputs, known)
    assert head.kind == kind
    assert bool(reason) == (kind == "none")
    assumed = kind == "softmax" and not known and said is None and not set(config) - {"activation"}
    assert ("assumed" in head.note) == (assumed or config.get("problem_type") == ["odd"])


def test_a_softmax_over_one_output_is_refused() -> None:
    with pytest.raises(ParameterError, match="softmax over one output is 1 for every picture"):
        load(ModelSpec.parse("random/test_resnet", options=(("num_classes", 1),), head="softmax"), "cpu")
    with pytest.raises(ParameterError, match="softmax, sigmoid, none; got 'relu'"):
        load(ModelSpec.parse("random/test_resnet", head="relu"), "cpu")
    with pytest.raises(ParameterError, match="no classifier"):
        load(ModelSpec.parse("random/test_resnet", options=(("num_classes", 0),), head="sigmoid"), "cpu")
    with pytest.raises(ParameterError, match="softmax over its classes"):
        load(ModelSpec.parse("lab/none", head="sigmoid"), "cpu")


# ---- loaded models --------------------------------------------------------------------------------------------------


def folder(path: Path, outputs: int, **config: Any) -> str:
    path.mkdir(exist_ok=True)
    base = {"architecture": "test_resnet", "num_classes": outputs, "pretrained_cfg": {"input_size": [3, 64, 64]}}
    (path / "config.json").write_text(json.dumps(base | config))
    return f"random/local-dir:{path}"


def five(tmp_path: Path, how: str) -> Model:
    if how == "config":
        return load(folder(tmp_path / "a", 5, problem_type="multi_label_classification"), "cpu")
    spec = folder(tmp_path / "a", 5)
    return load(ModelSpec.parse(spec, head="sigmoid"), "cpu")


@pytest.mark.parametrize("how", ["config", "said"])
def test_five_independent_labels_do_not_sum_to_one(tmp_path: Path, how: str) -> None:
    model = five(tmp_path, how)
    logits = torch.tensor([2.0, -1.0, 0.0, -3.0, 4.0])
    found = prediction(model, logits)
    assert [one.index for one in found.top] == [4, 0, 2, 1, 3]
    assert [one.probability for one in found.top] == pytest.approx([sigmoid(z) for z in (4, 2, 0, -1, -3)])
    assert sum(one.probability for one in found.top) > 2
    assert (found.unit, found.decided) == ("p after the sigmoid", (0, 2, 4))
    assert found.answer == "class 0, class 2, class 4"
    assert prediction(model, logits - 9).answer == "no label"
    side = look(model, noise(0), method="gradcam")
    assert side.attribution is not None
    assert side.attribution.target.endswith("logit before the sigmoid")
    softmax = load(folder(tmp_path / "b", 5), "cpu")
    with torch.inference_mode():
        x = torch.rand(1, 3, *model.input_size)
        assert torch.equal(softmax.logits(x), model.logits(x))
    assert any("assumed" in note for note in softmax.notes)
    assert prediction(softmax, logits).top[0].probability == pytest.approx(float(logits.softmax(0)[4]))


def test_one_output_is_one_label_and_its_attribution_that_of_its_logit(tmp_path: Path) -> None:
    model = load(folder(tmp_path / "a", 1, label_names=["dog"]), "cpu")
    assert (model.head.kind, model.headless) == ("sigmoid", False)
    found = prediction(model, torch.tensor([-1.5]))
    assert (found.top[0].label, found.top[0].probability) == ("dog", pytest.approx(sigmoid(-1.5)))
    assert (found.answer, found.decided) == ("no label", ())
    x = torch.rand(1, 3, *model.input_size, generator=torch.Generator().manual_seed(1))
    gradient = attribute(model, x, "saliency")
    x.requires_grad_()
    model.logits(x)[0, 0].backward()
    assert x.grad is not None
    assert gradient.target == "dog (0), logit before the sigmoid"
    own = x.grad.gather(1, x.grad.abs().argmax(1, keepdim=True))[0, 0]
    assert (gradient.values - own).abs().max() < 1e-6 * own.abs().max()


def test_a_head_that_is_none_gives_no_classes(tmp_path: Path) -> None:
    for model in (
        load(folder(tmp_path / "a", 5, problem_type="regression"), "cpu"),
        load(ModelSpec.parse("random/test_resnet", head="none"), "cpu"),
    ):
        assert model.headless
        assert model.num_classes == 0
        assert "are read as numbers" in prediction(model, torch.zeros(5)).reason
        with pytest.raises(MethodError, match="are read as numbers"):
            probe("consistency", model, [noise(0)])


def test_the_command_line_says_the_head(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = folder(tmp_path / "a", 5)
    picture = str(tmp_path / "p.png")
    noise(0).image.save(picture)
    for verb in ("predict", "attribute", "compare"):
        assert cli.main([verb, "--model", text, "--head", "sigmoid", "--image", picture, "--json"]) == 0
        out = json.loads(capsys.readouterr().out)["models"][0]
        if verb == "predict":
            assert out["unit"] == "p after the sigmoid"
            assert [one["probability"] for one in out["prediction"]] == pytest.approx(
                [sigmoid(one["logit"]) for one in out["prediction"]]
            )
    two = ["--model", text, "--model", text, "--head", "2=sigmoid", "--image", picture, "--json"]
    assert cli.main(["predict", *two]) == 0
    first, second = json.loads(capsys.readouterr().out)["models"]
    assert (first["unit"], second["unit"]) == ("softmax probability", "p after the sigmoid")
    # Where maps are drawn, a number is an attention head.
    lab = ["compare", "--model", "lab/mhsa", "--scene", "label=star", "--head", "1", "--json"]
    assert cli.main(lab) == 0
    capsys.readouterr()
    assert cli.main(["predict", "--model", text, "--head", "tanh", "--image", picture]) != 0
    assert "softmax, sigmoid, none" in capsys.readouterr().err


def test_a_view_says_the_head_in_both_languages() -> None:
    view = View((ModelSpec.parse("random/test_resnet", head="sigmoid"),), "cat")
    assert "--head sigmoid" in command(view)
    assert "head='sigmoid'" in python(view).replace('"', "'")


# ---- probes: none calls one label, or five, invariant ---------------------------------------------------------------


def test_translation_of_one_label_by_hand() -> None:
    model = wrapped(middle, 1)
    result = probe("translation", model, [step(), step(flipped=True)], side=3, step=1, border="reflect")
    # At dx = 1 the middle column shows what stood left of it; 3 of the 8 shifts have dx = 1.
    high, low = sigmoid(3), sigmoid(-3)
    assert values(result, "flip rate") == [pytest.approx(3 / 8)]
    assert values(result, "p kept") == [pytest.approx((5 * high + 3 * low) / 8 / high)]
    # The second picture's answer is no, with p(no) = high.
    assert values(result, "p(original class)", dx=1, dy=0) == [pytest.approx(low)]
    assert values(result, "p(original class)", dx=0, dy=0) == [pytest.approx(high)]
    assert {row["unit"] for row in result.rows if row["measure"] == "p(original class)"} == {"p after the sigmoid"}
    assert any("p is after the sigmoid" in note for note in result.notes)


@pytest.mark.parametrize(("logits", "outputs"), [(middle, 1), (thirds, 5)])
def test_consistency_compares_decisions(logits: Callable[[Tensor], Tensor], outputs: int) -> None:
    model = wrapped(logits, outputs)
    pictures = [step(), noise(1), noise(2)]
    result = probe("consistency", model, pictures, border="wrap", mode="model", passes=6)
    places = Consistency(border="wrap", mode="model", passes=6).places(Shown(model, read(pictures, 0)), 0)
    same, flips, jumps = [], [], []
    for picture, shifts in zip(pictures, places.tolist()):
        x = model.preprocess(picture.image)
        z = torch.cat([logits(x.roll((dy, dx), (2, 3))) for dx, dy in shifts])
        said, p = z >= 0, z.sigmoid()
        for first in range(1, len(shifts), 3):
            same.append(bool((said[first] == said[first + 2]).all()))
            flips.append(bool((said[first] != said[first + 1]).any()))
            # Of one label p(yes) and p(no) change alike.
            lead = int(z[first].argmax())
            jumps.append(abs(float(p[first + 1, lead] - p[first, lead])))
    assert values(result, "consistency") == [pytest.approx(sum(same) / len(same))]
    assert values(result, "one-pixel flips") == [pytest.approx(sum(flips) / len(flips))]
    assert values(result, "one-pixel change of p") == [pytest.approx(sum(jumps) / len(jumps), abs=1e-6)]
    assert 0 < sum(same) < len(same)


def test_scale_of_one_label_by_hand() -> None:
    # White within the middle 12 x 12 of 24 x 24: a quarter. Zoomed by 2 all is white, by 1/2 a sixteenth.
    pixels = torch.zeros(SIZE, SIZE, 3, dtype=torch.uint8)
    pixels[6:18, 6:18] = 255
    square = Picture(Image.fromarray(pixels.numpy()), "square.png")
    model = wrapped(lambda x: 20 * (x.mean((1, 2, 3)) - 0.2)[:, None], 1)
    result = probe("scale", model, [square], steps=5, border="zero")
    said = {row["zoom"]: row["value"] for row in result.rows if row["measure"] == "consistency"}
    assert said == {0.25: 0.0, 0.5: 0.0, 1.0: 1.0, 2.0: 1.0, 4.0: 1.0}
    for zoom in (0.25, 0.5, 2.0):
        moved = Transform(zoom=zoom, border="zero").apply(model.preprocess(square.image))
        assert values(result, "p(original class)", zoom=zoom) == [
            pytest.approx(float(model.logits(moved).sigmoid()), abs=1e-6)
        ]


@pytest.mark.parametrize(("logits", "outputs"), [(middle, 1), (thirds, 5)])
def test_shuffled_patches_and_edges_compare_decisions(logits: Callable[[Tensor], Tensor], outputs: int) -> None:
    model, pictures = wrapped(logits, outputs), [step(), noise(1), noise(2), noise(5)]
    x = torch.cat([model.preprocess(one.image) for one in pictures])
    clean = logits(x) >= 0

    result = probe("patch-shuffle", model, pictures, draws=4)
    orders = random_orders(len(pictures) * 4, 4, 0)
    shuffled = logits(shuffle_patches(x.repeat_interleave(4, 0), orders, (2, 2))) >= 0
    same = (shuffled == clean.repeat_interleave(4, 0)).all(1).double()
    (found,) = values(result, "agreement", grid="2x2", group="all")
    assert 0 < float(same.mean()) < 1
    assert found == pytest.approx(float(same.mean()))

    result = probe("edges", model, pictures)
    for view, made in (("Sobel", sobel(x)), ("greyscale", greyscale(x))):
        expected = ((logits(made) >= 0) == clean).all(1).double().mean()
        assert values(result, "agreement", view=view) == [pytest.approx(float(expected))]


def test_what_needs_one_of_several_classes_refuses_labels(tmp_path: Path) -> None:
    noise(0).image.save(tmp_path / "cat1-dog2.png")
    model = load(ModelSpec.parse("random/test_resnet", head="sigmoid"), "cpu")
    with pytest.raises(MethodError, match="independent labels"):
        probe("shape-bias", model, tmp_path)


def test_folders_named_after_labels_give_no_accuracy(tmp_path: Path) -> None:
    for name in ("0", "1"):
        (tmp_path / name).mkdir()
        noise(int(name)).image.save(tmp_path / name / "a.png")
    result = probe("edges", wrapped(middle, 1), tmp_path)
    assert not values(result, "accuracy")
    assert values(result, "agreement")


def test_the_host_says_what_a_models_outputs_are_on_the_page() -> None:
    text = "random/test_resnet"
    said = Answers(folders=False, heads={text: "sigmoid"}).model(text)
    assert isinstance(said, Model)
    assert said.head.kind == "sigmoid"
    unsaid = Answers(folders=False).model(text)
    assert isinstance(unsaid, Model)
    assert unsaid.head.kind == "softmax"
