"""Attribution methods against independent computations: autograd by hand, loops, captum's and grad-cam's Grad-CAM."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.attention.watch import recording
from explorer.attribution import METHODS, answer, attribute
from explorer.attribution.base import Scores, baseline_like
from explorer.errors import MethodError, ParameterError, UnknownNameError
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.models.spec import ModelSpec
from explorer.registry import parameters

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
needs_data = pytest.mark.skipif(not (DATA / "weights").is_dir(), reason="real weights and photographs are not here")

#: Few passes, so that the whole table of methods and models runs in seconds.
QUICK: dict[str, dict[str, Any]] = {
    "integrated_gradients": {"n_steps": 3},
    "smoothgrad": {"samples": 3},
    "occlusion": {"window": 32, "stride": 32},
}
SPECS = {
    # timm starts a residual branch at zero; then nothing in it could be seen to be wrong.
    "cnn": ModelSpec.parse("random/test_resnet", options=(("zero_init_last", False),), input_size=(64, 64)),
    "vit": ModelSpec.parse("random/test_vit", options=(("depth", 3),), input_size=(64, 96)),
    "swin": ModelSpec.parse(
        "random/swin_tiny_patch4_window7_224",
        options=(("depths", (1, 2)), ("embed_dim", 24), ("num_heads", (1, 2))),
        input_size=(56, 112),
    ),
    "headless": ModelSpec.parse("random/test_vit", options=(("depth", 2), ("num_classes", 0)), input_size=(64, 64)),
}


@pytest.fixture(scope="module")
def models() -> dict[str, Model]:
    found = {name: lively(load(spec, "cpu")) for name, spec in SPECS.items()}
    plain = small(nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Tanh())
    return {**found, "plain": with_module(found["cnn"], plain)}


def small(*layers: nn.Module) -> nn.Sequential:
    """A network for 64 x 64 px, built by hand, of which everything is known."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 5, 4, padding=1), *layers, nn.Flatten(), nn.LazyLinear(1000))
    net(torch.zeros(1, 3, 64, 64))
    return net


def lively(model: Model) -> Model:
    """Larger random weights: with timm's initial ones attention is so uniform that a wrong map would look right."""
    generator = torch.Generator().manual_seed(1)
    for parameter in model.module.parameters():
        if parameter.dim() == 2:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.12
    return model


def pictures(model: Model, count: int = 1, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, *model.input_size, generator=torch.Generator().manual_seed(seed))


def with_module(model: Model, module: nn.Module) -> Model:
    return dataclasses.replace(model, module=module.eval().requires_grad_(False), stages=())


def score(model: Model, x01: Tensor, target: int) -> Tensor:
    """The explained function, written out."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (model.mean, model.std))
    return model.module((x01 - mean) / std)[:, target]


def slope(model: Model, x01: Tensor, target: int) -> Tensor:
    leaf = x01.clone().requires_grad_()
    return torch.autograd.grad(score(model, leaf, target).sum(), leaf)[0]


def strongest(gradient: Tensor) -> Tensor:
    """The channel's value of the largest magnitude, by a loop over channels."""
    best = gradient[0].clone()
    for channel in gradient[1:]:
        best = torch.where(channel.abs() > best.abs(), channel, best)
    return best


# ------------------------------------------------------------------------------------------------ declaration


def test_the_registry_holds_the_promised_methods() -> None:
    assert set(METHODS) == {
        "saliency",
        "input_x_gradient",
        "integrated_gradients",
        "smoothgrad",
        "guided_backprop",
        "deeplift",
        "gradcam",
        "guided_gradcam",
        "occlusion",
        "attention_rollout",
        "gradient_rollout",
        "logit_lens",
        "legrad",
        "attnlrp",
        "daam",
    }


@pytest.mark.parametrize("name", METHODS)
def test_an_entry_declares_itself(name: str) -> None:
    entry = METHODS[name]
    assert dataclasses.is_dataclass(entry)
    assert entry.__doc__
    assert entry.__doc__.split("\n")[0].endswith("?"), "the first line is the question it answers"
    assert "20" in entry.__doc__, "the source has a year"
    assert entry.unit
    made = entry()
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.anything = 1  # type: ignore[attr-defined]
    passes = made.cost((224, 224))
    assert passes.forwards >= 1
    assert "forward pass" in str(passes)
    for name, one in parameters(entry).items():
        assert one.text
        assert one.allows(one.default)
        if one.choices:
            bad: list[Any] = ["no such choice"]
        else:
            assert one.low is not None
            bad = [one.low - 1, "7", float("nan"), True]
            bad += [] if one.high is None else [one.high + 1]
        for value in bad:
            with pytest.raises(ParameterError, match=name):
                entry(**{name: value})


def test_bad_requests_are_named(models: dict[str, Model]) -> None:
    model = models["vit"]
    x01 = pictures(model)
    with pytest.raises(UnknownNameError, match="saliency"):
        attribute(model, x01, "salience")
    with pytest.raises(ParameterError, match=r"'steps'.*n_steps, baseline"):
        attribute(model, x01, "integrated_gradients", steps=3)
    with pytest.raises(ParameterError, match="0 to 999"):
        attribute(model, x01, target=1000)
    with pytest.raises(ParameterError, match="stages 1 to 3"):
        attribute(model, x01, stage=4)
    with pytest.raises(ParameterError, match="no classes"):
        attribute(models["headless"], pictures(models["headless"]), target=3)
    with pytest.raises(ParameterError, match="larger than"):
        attribute(model, x01, "occlusion", window=65)
    with pytest.raises(ParameterError, match="expected"):
        answer(model, x01[0])
    with pytest.raises(ParameterError, match="2 targets for 1"):
        answer(model, x01, target=[1, 2])


# ------------------------------------------------------------------------------------------------ every method


def state(module: nn.Module) -> list[Any]:
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return [
        [
            (name, part.training, sorted(part.__dict__), [len(getattr(part, h)) for h in hooks])
            for name, part in module.named_modules()
        ],
        [(name, p.requires_grad, p.grad is None, p.data_ptr(), p._version) for name, p in module.named_parameters()],
    ]


class Stopped(Exception):
    pass


@pytest.mark.parametrize("network", [*SPECS, "plain"])
@pytest.mark.parametrize("name", METHODS)
def test_a_method_serves_or_says_why_and_leaves_no_trace(models: dict[str, Model], network: str, name: str) -> None:
    model, quick = models[network], QUICK.get(name, {})
    x01 = pictures(model)
    before, grad_mode, seed = state(model.module), torch.is_grad_enabled(), torch.get_rng_state()
    reason = METHODS[name].unavailable(model)
    if reason is not None:
        with pytest.raises(MethodError) as caught:
            attribute(model, x01, name, **quick)
        assert reason in str(caught.value)
    else:
        found = attribute(model, x01, name, **quick)
        assert found.values.dtype == torch.float32
        assert found.values.device.type == "cpu"
        assert not found.values.requires_grad
        assert found.values.isfinite().all()
        assert found.values.any()
        assert (found.method, found.state, bool(found.unit)) == (name, "random", True)
        assert found.parameters.items() >= quick.items()
        same = attribute(model, x01, name, **quick)
        assert torch.equal(found.values, same.values), "the same question has the same answer"
        # The last call's 1.0 comes after the work; what is raised before it lands inside.
        told: list[float] = []
        attribute(model, x01, name, progress=told.append, **quick)
        assert told == sorted(told)
        assert told[-1] == 1.0
        for stop in range(len(told)):
            count = iter(range(len(told) + 1))

            def progress(_share: float, stop: int = stop, count: Iterator[int] = count) -> None:
                if next(count) == stop:
                    raise Stopped

            with pytest.raises(Stopped):
                attribute(model, x01, name, progress=progress, **quick)
            assert state(model.module) == before
    assert state(model.module) == before
    assert torch.is_grad_enabled() == grad_mode
    assert torch.equal(torch.get_rng_state(), seed), "other sessions draw from the same generator"
    assert not x01.requires_grad


def test_who_is_served(models: dict[str, Model]) -> None:
    served = {name: {m for m in METHODS if METHODS[m].unavailable(model) is None} for name, model in models.items()}
    always = {"saliency", "input_x_gradient", "integrated_gradients", "smoothgrad", "occlusion", "gradcam"}
    assert served["cnn"] == always | {"guided_backprop", "guided_gradcam", "logit_lens"}
    assert served["swin"] == always | {"logit_lens", "attnlrp"}
    assert served["plain"] == always - {"gradcam"} | {"deeplift"}
    assert (
        served["vit"]
        == served["headless"]
        == always
        | {
            "attention_rollout",
            "gradient_rollout",
            "logit_lens",
            "legrad",
            "attnlrp",
            "daam",
        }
    )


@pytest.mark.parametrize("name", METHODS)
def test_a_failure_inside_the_network_leaves_no_trace(models: dict[str, Model], name: str) -> None:
    model = next(one for one in models.values() if METHODS[name].unavailable(one) is None)
    last = [part for part in model.module.modules() if isinstance(part, nn.Linear)][-1]
    before = state(model.module)

    def fail(*_: object) -> None:
        raise RuntimeError("a fault in the network")

    handle = last.register_forward_hook(fail)
    try:
        with pytest.raises(RuntimeError, match="a fault"):
            attribute(model, pictures(model), name, **QUICK.get(name, {}))
    finally:
        handle.remove()
    assert state(model.module) == before


def test_tensors_made_under_inference_mode_are_served(models: dict[str, Model]) -> None:
    model = models["vit"]
    with torch.inference_mode():
        x01 = pictures(model)
        inside = attribute(model, x01, "saliency").values
    for name in ("gradcam", "saliency", "gradient_rollout"):
        assert attribute(model, x01, name).values.any()
    assert torch.equal(inside, attribute(model, pictures(model), "saliency").values)


# ------------------------------------------------------------------------------------------------ Grad-CAM


@pytest.mark.parametrize("number", [1, 2, 3, 4, None])
def test_gradcam_of_a_cnn_is_captums(models: dict[str, Model], number: int | None) -> None:
    from captum.attr import LayerGradCam

    model = models["cnn"]
    x01 = pictures(model)
    layer = model.module.get_submodule(f"layer{number or 4}")
    expected = LayerGradCam(Scores(model), layer).attribute(x01.clone().requires_grad_(), 5, relu_attributions=False)
    found = attribute(model, x01, "gradcam", 5, stage=number)
    assert found.layer == f"layer{number or 4}"
    assert (found.values < 0).any(), "signed values are kept"
    torch.testing.assert_close(found.values, expected[0, 0].detach(), atol=1e-6, rtol=1e-4)


def independent_gradcam(
    model: Model, x01: Tensor, target: int, layer: nn.Module, reshape: Callable[[Tensor], Tensor]
) -> np.ndarray[Any, Any]:
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with GradCAM(model.module, [layer], reshape_transform=reshape) as cam:
        batch = model.normalise(x01).requires_grad_()
        targets = [ClassifierOutputTarget(target)] * len(x01)
        cam(batch, targets)
        record = cam.activations_and_grads
        activations, gradients = (t[0].detach().numpy() for t in (record.activations, record.gradients))
        return cam.get_cam_image(batch, layer, targets, activations, gradients)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_gradcam_of_a_vit_is_grad_cams(models: dict[str, Model], number: int) -> None:
    model = models["vit"]
    x01 = pictures(model, 2)

    def reshape(tokens: Tensor) -> Tensor:
        return tokens[:, 1:].reshape(len(tokens), 4, 6, -1).permute(0, 3, 1, 2)

    expected = independent_gradcam(model, x01, 5, model.module.blocks[number - 1].norm1, reshape)  # type: ignore[index]
    found = answer(model, x01, target=5, stage=number).attributions
    assert found is not None
    assert found[0].layer == f"blocks.{number - 1}.norm1"
    for item in range(2):
        assert np.abs(expected[item]).max() > 0
        torch.testing.assert_close(found[item].values, torch.from_numpy(expected[item]), atol=1e-6, rtol=1e-4)


def test_gradcam_of_a_swin_is_grad_cams(models: dict[str, Model]) -> None:
    model = models["swin"]
    x01 = pictures(model)
    layer = model.module.layers[1]  # type: ignore[index]
    expected = independent_gradcam(model, x01, 5, layer, lambda maps: maps.permute(0, 3, 1, 2))
    found = attribute(model, x01, "gradcam", 5)
    assert found.layer == "layers.1"
    assert found.values.shape == (7, 14)
    torch.testing.assert_close(found.values, torch.from_numpy(expected[0]), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "number", "layer", "prefix"),
    [
        ("pit_ti_224", 3, "transformers.2.blocks.3.norm1", 1),
        ("pit_ti_distilled_224", 2, "transformers.1.blocks.5.norm1", 2),
        ("crossvit_9_240", 3, "blocks.2.blocks.0.0.norm1", 1),
        ("crossvit_9_240", 6, "blocks.2.blocks.1.2.norm1", 1),
        ("hrnet_w18_small", 1, "incre_modules.0", None),
        ("hrnet_w18_small", 4, "incre_modules.3", None),
    ],
)
def test_gradcam_where_a_stage_hands_on_several_tensors_is_grad_cams(
    name: str, number: int, layer: str, prefix: int | None
) -> None:
    model = load(f"random/{name}", "cpu")
    with torch.no_grad():  # timm begins with a classifier of nearly zero
        for one in model.module.modules():
            if isinstance(one, nn.Linear) and one.out_features == 1000:
                nn.init.normal_(one.weight, std=0.1, generator=torch.Generator().manual_seed(1))
    x01 = pictures(model)
    stage = model.stages[number - 1]

    def reshape(features: Tensor) -> Tensor:
        return features if prefix is None else features[:, prefix:].reshape(1, *stage.grid, -1).permute(0, 3, 1, 2)

    expected = independent_gradcam(model, x01, 5, model.module.get_submodule(layer), reshape)
    found = attribute(model, x01, "gradcam", 5, stage=number)
    assert found.layer == layer
    assert np.abs(expected[0]).max() > 0
    scale = float(np.abs(expected[0]).max())
    torch.testing.assert_close(found.values, torch.from_numpy(expected[0]), atol=1e-5 * scale, rtol=1e-3)


def test_gradcam_of_tnt_reads_the_tokens_of_patches() -> None:
    """Its blocks hand on pixels and patches; by hand, from the tokens that its last block is given."""
    model = load("random/tnt_s_legacy_patch16_224", "cpu")
    network: Any = model.module
    nn.init.normal_(network.head.weight, std=0.1, generator=torch.Generator().manual_seed(1))
    x01 = pictures(model)
    given: list[Tensor] = []
    handle = network.blocks[11].register_forward_pre_hook(lambda _, args: given.extend(args))
    with torch.no_grad():
        network(model.normalise(x01))
    handle.remove()
    pixels, patches = given[0], given[1].clone().requires_grad_()
    logit = network.head(network.norm(network.blocks[11](pixels, patches)[1])[:, 0])[0, 5]
    (gradient,) = torch.autograd.grad(logit, patches)
    expected = (patches[0, 1:] @ gradient[0, 1:].mean(0)).detach().unflatten(0, (14, 14))
    found = attribute(model, x01, "gradcam", 5)
    assert float(expected.abs().max()) > 0
    torch.testing.assert_close(found.values, expected, atol=1e-5 * float(expected.abs().max()), rtol=1e-3)


def test_gradcam_is_right_where_an_in_place_activation_follows(models: dict[str, Model]) -> None:
    model = models["cnn"]

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.act, self.fc = nn.Conv2d(3, 4, 8, 8), nn.ReLU(inplace=True), nn.Linear(4, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.act(self.conv(x)).mean((2, 3)))

    torch.manual_seed(0)
    net = with_module(model, Net())
    stage = dataclasses.replace(model.stages[0], name="conv", grid=(8, 8), layout="NCHW", channels=4)
    net = dataclasses.replace(net, stages=(stage,), num_classes=5)
    x01 = pictures(model)
    features = net.module.conv(net.normalise(x01))  # type: ignore[operator]
    gradient = net.module.fc.weight[2].view(1, 4, 1, 1) * (features > 0) / 64  # type: ignore[index, union-attr]
    expected = (gradient.mean((2, 3), keepdim=True) * features).sum(1)[0]
    torch.testing.assert_close(attribute(net, x01, "gradcam", 2).values, expected, atol=1e-7, rtol=1e-4)


def test_gradcam_says_when_no_gradient_arrives(models: dict[str, Model]) -> None:
    """A network whose answer does not depend on the stage gets a zero map and the sentence, not a picture of noise."""
    model = models["cnn"]

    class Deaf(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 4, 8, 8), nn.Linear(4, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.conv(x).mean((2, 3)) * 0)

    stage = dataclasses.replace(model.stages[0], name="conv", grid=(8, 8), layout="NCHW", channels=4)
    deaf = dataclasses.replace(with_module(model, Deaf()), stages=(stage,), num_classes=5)
    found = attribute(deaf, pictures(model), "gradcam")
    assert not found.values.any()
    assert "no gradient" in found.note


# ------------------------------------------------------------------------------------------------ one pass for all


def count_passes(model: Model) -> tuple[list[int], Any]:
    seen = [0]

    def note(*_: object) -> None:
        seen[0] += 1

    return seen, model.module.register_forward_pre_hook(note)


@pytest.mark.parametrize("name", ["gradcam", "attention_rollout", "gradient_rollout"])
def test_one_forward_pass_serves_prediction_maps_and_attribution(models: dict[str, Model], name: str) -> None:
    model = models["vit"]
    x01 = pictures(model, 2)
    assert METHODS[name].unavailable(model) is None
    seen, handle = count_passes(model)
    try:
        found = answer(model, x01, method=name)
    finally:
        handle.remove()
    assert seen == [1]
    with torch.inference_mode(), recording(model) as recorder:
        logits = model.module(model.normalise(x01))
    torch.testing.assert_close(found.logits, logits, atol=1e-6, rtol=1e-5)
    assert [one.layer for one in found.maps] == [one.layer for one in recorder.maps()]
    for ours, plain in zip(found.maps, recorder.maps()):
        block = ours.weights.block(1, 0, 0, 25)
        assert not block.requires_grad, "a map must not keep the graph alive"
        torch.testing.assert_close(block, plain.weights.block(1, 0, 0, 25), atol=1e-6, rtol=1e-4)


def test_a_batch_shares_the_first_pictures_class_and_each_item_is_its_own(models: dict[str, Model]) -> None:
    for network, name in [
        ("cnn", "gradcam"),
        ("vit", "gradcam"),
        ("vit", "gradient_rollout"),
        ("cnn", "saliency"),
        ("cnn", "integrated_gradients"),
        ("cnn", "occlusion"),
        ("cnn", "guided_gradcam"),
    ]:
        model, quick = models[network], QUICK.get(name, {})
        x01 = pictures(model, 2)
        found = answer(model, x01, method=name, **quick).attributions
        assert found is not None
        top = int(model.module(model.normalise(x01[:1])).argmax())
        assert [one.target for one in found] == [f"{model.label(top)} ({top})"] * 2
        for item in range(2):
            alone = attribute(model, x01[item], name, top, **quick)
            scale = float(alone.values.abs().max())
            torch.testing.assert_close(found[item].values, alone.values, atol=1e-4 * scale, rtol=1e-3)
        other = answer(model, x01, target=[top, 3], method=name, **quick).attributions
        assert other is not None
        torch.testing.assert_close(
            other[1].values, attribute(model, x01[1], name, 3, **quick).values, atol=1e-4 * scale, rtol=1e-3
        )


def test_smoothgrad_adds_each_item_its_own_noise_and_target(models: dict[str, Model]) -> None:
    model = models["cnn"]
    x01 = pictures(model, 2)
    found = answer(model, x01, target=[1, 2], method="smoothgrad", samples=5, noise=0.0).attributions
    assert found is not None
    for item, target in enumerate([1, 2]):
        torch.testing.assert_close(found[item].values, strongest(slope(model, x01[item : item + 1], target)[0]))


def test_a_model_without_a_head_is_asked_for_its_pooled_feature(models: dict[str, Model]) -> None:
    model = models["headless"]
    x01 = pictures(model)
    leaf = x01.clone().requires_grad_()
    pooled = model.module(model.normalise(leaf))
    (gradient,) = torch.autograd.grad(pooled.square().sum().sqrt(), leaf)
    found = attribute(model, x01, "saliency")
    torch.testing.assert_close(found.values, strongest(gradient[0]), atol=1e-6, rtol=1e-4)
    assert found.target == "norm of the pooled feature"
    torch.testing.assert_close(answer(model, x01).logits, pooled.detach(), atol=1e-6, rtol=1e-5)


# ------------------------------------------------------------------------------------------------ gradient methods


def test_saliency_and_input_x_gradient_are_autograds(models: dict[str, Model]) -> None:
    for network in ("cnn", "vit", "swin"):
        model = models[network]
        x01 = pictures(model)
        gradient = slope(model, x01, 5)[0]
        torch.testing.assert_close(attribute(model, x01, "saliency", 5).values, strongest(gradient))
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (model.mean, model.std))
        # In normalised values, as the usual convention has it.
        usual = ((x01[0] - mean) / std * (gradient * std)).sum(0)
        torch.testing.assert_close(attribute(model, x01, "input_x_gradient", 5).values, usual, atol=1e-6, rtol=1e-4)
        black = attribute(model, x01, "input_x_gradient", 5, baseline="black").values
        torch.testing.assert_close(black, (x01[0] * gradient).sum(0), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("baseline", ["mean", "black", "white"])
def test_integrated_gradients_add_up(models: dict[str, Model], baseline: str) -> None:
    model = models["vit"]
    x01 = pictures(model)
    found = attribute(model, x01, "integrated_gradients", 5, n_steps=40, baseline=baseline)
    color = {"mean": torch.tensor(model.mean).view(1, 3, 1, 1), "black": torch.zeros(1), "white": torch.ones(1)}[
        baseline
    ]
    reference = torch.zeros_like(x01) + color
    torch.testing.assert_close(baseline_like(model, x01, baseline), reference)
    change = float(score(model, x01, 5) - score(model, reference, 5))
    assert found.delta == pytest.approx(float(found.values.sum()) - change, abs=1e-3)
    assert abs(found.delta) < 0.02 * abs(change) + 1e-3
    # A midpoint sum on the straight line, by hand.
    steps = torch.linspace(0, 1, 401)[:-1] + 1 / 800
    total = sum(slope(model, reference + a * (x01 - reference), 5) for a in steps[::4])
    expected = ((x01 - reference) * total / 100)[0].sum(0)  # type: ignore[operator]
    assert torch.corrcoef(torch.stack([expected.flatten(), found.values.flatten()]))[0, 1] > 0.99


def test_the_memory_bound_changes_no_value(models: dict[str, Model]) -> None:
    model = models["cnn"]
    x01 = pictures(model)
    for name, given in [
        ("integrated_gradients", {"n_steps": 5}),
        ("smoothgrad", {"samples": 5}),
        ("occlusion", {"window": 24, "stride": 20}),
    ]:
        one, many = (attribute(model, x01, name, 5, internal_batch_size=n, **given).values for n in (1, 8))
        torch.testing.assert_close(one, many, atol=1e-6, rtol=1e-3)


def test_smoothgrad_is_the_mean_over_its_own_noise(models: dict[str, Model]) -> None:
    model = models["vit"]
    x01 = pictures(model)
    generator = torch.Generator().manual_seed(3)
    noisy = [x01 + 0.2 * torch.randn(x01.shape, generator=generator) for _ in range(5)]
    expected = strongest(torch.stack([slope(model, x, 5)[0] for x in noisy]).mean(0))
    found = attribute(model, x01, "smoothgrad", 5, samples=5, noise=0.2, seed=3)
    torch.testing.assert_close(found.values, expected, atol=1e-6, rtol=1e-3)
    assert not torch.equal(found.values, attribute(model, x01, "smoothgrad", 5, samples=5, noise=0.2, seed=4).values)


def test_occlusion_is_the_naive_loop(models: dict[str, Model]) -> None:
    model = models["vit"]
    x01 = pictures(model)
    mean = torch.tensor(model.mean).view(3, 1, 1)
    whole = score(model, x01, 5)
    total, count = torch.zeros(64, 96), torch.zeros(64, 96)
    for top in (0, 16, 32):
        for left in (0, 16, 32, 48, 64):
            covered = x01.clone()
            covered[0, :, top : top + 32, left : left + 32] = mean
            total[top : top + 32, left : left + 32] += float(whole - score(model, covered, 5))
            count[top : top + 32, left : left + 32] += 1
    found = attribute(model, x01, "occlusion", 5, window=32, stride=16)
    torch.testing.assert_close(found.values, total / count, atol=1e-5, rtol=1e-3)
    assert METHODS["occlusion"](window=32, stride=16).cost((64, 96)).forwards == 15 + 2  # type: ignore[call-arg]


# ------------------------------------------------------------------------------------------------ ReLU methods


def guided(model: Model, x01: Tensor, target: int) -> Tensor:
    """Guided backpropagation with an activation function of our own in the place of every ReLU."""

    class Guided(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.save_for_backward(x)
            return x.clamp(min=0)

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
            return gradient.clamp(min=0) * (ctx.saved_tensors[0] > 0)

    class Act(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return Guided.apply(x)  # type: ignore[no-untyped-call]

    module = copy.deepcopy(model.module)
    for part in list(module.modules()):
        for name, child in list(part.named_children()):
            if isinstance(child, nn.ReLU):
                setattr(part, name, Act())
    return slope(dataclasses.replace(model, module=module), x01, target)


def test_guided_backprop_is_what_springenberg_says(models: dict[str, Model]) -> None:
    model = models["cnn"]
    x01 = pictures(model)
    expected = guided(model, x01, 5)[0]
    assert not torch.allclose(expected, slope(model, x01, 5)[0], atol=1e-3 * float(expected.abs().max()))
    found = attribute(model, x01, "guided_backprop", 5)
    torch.testing.assert_close(found.values, strongest(expected), atol=1e-6, rtol=1e-4)
    cam = attribute(model, x01, "gradcam", 5).values.clamp(min=0)[None, None]
    product = expected * F.interpolate(cam, size=(64, 64), mode="bilinear")[0]
    both = attribute(model, x01, "guided_gradcam", 5)
    torch.testing.assert_close(both.values, strongest(product), atol=1e-7, rtol=1e-3)
    assert both.layer == "layer4"


@pytest.mark.parametrize("baseline", ["mean", "black"])
def test_deeplift_adds_up_and_is_not_the_plain_gradient(models: dict[str, Model], baseline: str) -> None:
    model = models["plain"]
    before = state(model.module)
    x01 = pictures(model)
    reference = baseline_like(model, x01, baseline)
    for target in (0, 7):
        found = attribute(model, x01, "deeplift", target, baseline=baseline)
        change = float(score(model, x01, target) - score(model, reference, target))
        assert float(found.values.sum()) == pytest.approx(change, abs=1e-4)
        assert found.delta == pytest.approx(0, abs=1e-4)
        plain = attribute(model, x01, "input_x_gradient", target, baseline=baseline).values
        assert (plain - found.values).abs().max() > 0.05 * found.values.abs().max()
    assert state(model.module) == before


def test_deeplift_of_one_relu_is_its_formula(models: dict[str, Model]) -> None:
    net = small(nn.ReLU())
    model = with_module(models["cnn"], net)
    x01 = pictures(model)
    ends = [net[0](model.normalise(t)).detach() for t in (x01, baseline_like(model, x01, "black"))]
    difference = ends[0] - ends[1]
    rate = (ends[0].relu() - ends[1].relu()) / difference
    back = F.conv_transpose2d(
        rate * net[-1].weight[5].view_as(rate),
        net[0].weight,
        stride=4,
        padding=1,
        output_padding=1,  # type: ignore[arg-type, operator, union-attr, index]
    )
    std = torch.tensor(model.std).view(1, 3, 1, 1)
    expected = (back / std * x01).sum(1)[0]
    torch.testing.assert_close(
        attribute(model, x01, "deeplift", 5, baseline="black").values, expected, atol=1e-6, rtol=1e-3
    )


class Called(nn.Module):
    """A network with its activation as a function, or one module called twice."""

    def __init__(self, twice: bool) -> None:
        super().__init__()
        self.conv, self.act, self.fc, self.twice = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(), nn.Linear(3, 5), twice

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.conv(x))
        x = self.act(self.conv(x)) if self.twice else F.relu(self.conv(x))
        return self.fc(x.mean((2, 3)))


def test_methods_are_refused_where_they_would_be_something_else(models: dict[str, Model]) -> None:
    cnn = models["cnn"]
    function, twice = (with_module(cnn, Called(kind)) for kind in (False, True))
    assert "as a function" in str(METHODS["guided_backprop"].unavailable(function))
    assert METHODS["guided_backprop"].unavailable(twice) is None
    torch.testing.assert_close(
        attribute(twice, pictures(twice), "guided_backprop", 2).values,
        strongest(guided(twice, pictures(twice), 2)[0]),
        atol=1e-7,
        rtol=1e-4,
    )
    assert "2 times" in str(METHODS["deeplift"].unavailable(twice))
    assert "windows overlap" in str(METHODS["deeplift"].unavailable(cnn))
    assert "ReLU" in str(METHODS["guided_backprop"].unavailable(models["vit"]))
    mixed = with_module(cnn, small(nn.ReLU(), nn.SiLU()))
    for name in ("guided_backprop", "deeplift"):
        assert "SiLU" in str(METHODS[name].unavailable(mixed))
    assert "no stages" in str(METHODS["gradcam"].unavailable(mixed))


# ------------------------------------------------------------------------------------------------ real weights


@needs_data
@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "deit_tiny_patch16_224", "mobilenetv2_100"])
def test_the_samoyed_holds_more_of_gradcam_than_its_share_of_the_picture(name: str) -> None:
    from PIL import Image

    model = load(f"local-dir:{DATA / 'weights' / name}", "cpu")
    photo = Image.open(DATA / "photos" / "samoyed.png")
    inside = model.preprocess(Image.open(DATA / "photos" / "samoyed_mask.png"))[0, 0] > 0.5
    assert 0.1 < inside.float().mean() < 0.9
    found = attribute(model, photo)
    assert found.target == "Samoyed (258)"
    assert found.state == "pretrained"
    energy = F.interpolate(found.values.clamp(min=0)[None, None], size=inside.shape, mode="bilinear")[0, 0]
    assert energy[inside].sum() / energy.sum() > inside.float().mean()
