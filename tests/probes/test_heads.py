"""How heads differ: known divergences, those of networks against numpy, and what has no heads to compare."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import Tensor

import explorer
from explorer.attention.layouts import Computed
from explorer.attention.maps import AttentionMap, Layout
from explorer.attention.watch import capture
from explorer.errors import MethodError
from explorer.models.loading import load
from explorer.probes import heads
from explorer.probes.attention_distance import distances
from explorer.probes.heads import divergences, over_pictures
from explorer.probes.stimuli import Shown, read


def by_definition(weights: np.ndarray) -> np.ndarray:
    """(heads, queries, keys) to the divergence of each pair of heads, bits, by the formula of the docstring."""

    def entropy(p: np.ndarray) -> np.ndarray:
        return -np.sum(np.where(p > 0, p * np.log2(np.where(p > 0, p, 1)), 0), -1)

    w = weights.astype(np.float64)
    w = w / w.sum(-1, keepdims=True)
    return np.array(
        [
            np.mean(entropy((w[a] + w[b]) / 2) - (entropy(w[a]) + entropy(w[b])) / 2)
            for a, b in combinations(range(len(w)), 2)
        ]
    )


def map_of(weights: Tensor, prefix: int = 0) -> AttentionMap:
    """A map (images, groups, heads, N, N) over tokens of a square, the first of them prefix tokens."""
    side = round((weights.shape[-1] - prefix) ** 0.5)
    index = torch.cat([torch.full((prefix,), -2), torch.arange(side**2)])[None]
    layout = Layout("tokens", (side, side), index, (side, side), index, ("class",) * prefix)
    return AttentionMap("layer", "Test", "pairwise", Computed(weights), layout, (48, 48))


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(4)).mul(2).softmax(-1)


def test_equal_heads_do_not_differ() -> None:
    weights = drawn(2, 1, 1, 16, 16).expand(2, 1, 3, 16, 16)
    found = divergences(map_of(weights))
    assert found.shape == (2, 3)
    assert found.tolist() == pytest.approx(np.zeros((2, 3)), abs=1e-12)


def test_heads_of_disjoint_keys_differ_by_one_bit() -> None:
    weights = torch.zeros(1, 1, 3, 16, 16)
    weights[:, :, 0, :, :5] = 1 / 5
    weights[:, :, 1, :, 5:] = 1 / 11
    weights[:, :, 2] = 1 / 16
    # The third is 5 parts of 16 the first, 11 the second; the entropy within the parts cancels.
    mixed = [_bits((share + 1) / 2) - _bits(share) / 2 for share in (5 / 16, 11 / 16)]
    assert divergences(map_of(weights))[0].tolist() == pytest.approx([1.0, *mixed], abs=1e-7)


def _bits(p: float) -> float:
    return float(-p * np.log2(p) - (1 - p) * np.log2(1 - p))


def test_any_heads_agree_with_the_definition() -> None:
    weights = drawn(2, 1, 4, 25, 25)
    expected = [by_definition(one[0].numpy()) for one in weights]
    assert divergences(map_of(weights)).numpy() == pytest.approx(np.array(expected), abs=1e-6)


def test_prefix_tokens_are_keys_and_no_queries() -> None:
    weights = drawn(1, 1, 2, 17, 17)
    expected = by_definition(weights[0, 0, :, 1:].numpy())
    assert divergences(map_of(weights, 1))[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_it_does_not_depend_on_how_queries_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = drawn(1, 1, 3, 25, 25)
    whole = divergences(map_of(weights))
    monkeypatch.setattr(heads, "_AT_A_TIME", 3 * 25 * 4)
    assert torch.allclose(divergences(map_of(weights)), whole, atol=1e-12)


def test_heads_of_windows_are_compared_over_all_of_them() -> None:
    weights = drawn(1, 4, 2, 4, 4)
    index = torch.arange(16).view(2, 2, 2, 2).permute(0, 2, 1, 3).reshape(4, 4)
    layout = Layout("windows", (4, 4), index, (4, 4), index)
    one = AttentionMap("layer", "Test", "pairwise", Computed(weights), layout, (48, 48))
    expected = np.mean([by_definition(weights[0, group].numpy()) for group in range(4)], 0)
    assert divergences(one)[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_entropy_and_change_of_known_rows() -> None:
    even, one_key = torch.full((16, 16), 1 / 16), torch.zeros(16, 16)
    one_key[:, 3] = 1
    other_key = one_key.roll(1, -1)
    # The first head looks everywhere alike in both pictures; the second at one key, which moves.
    weights = torch.stack([torch.stack([even, one_key]), torch.stack([even, other_key])])[:, None]
    entropy, change = over_pictures(map_of(weights))
    assert entropy.tolist() == [pytest.approx([4, 0], abs=1e-7)] * 2
    assert change[1].tolist() == pytest.approx([0, 1], abs=1e-7)
    assert change[0].isnan().all(), "there is no picture before it"
    carried = over_pictures(map_of(weights[1:]), map_of(weights[:1]))[1]
    assert torch.equal(carried[0], change[1]), "however pictures are cut into batches"


def test_entropy_and_change_agree_with_the_definition() -> None:
    weights = drawn(3, 1, 2, 17, 17)
    entropy, change = over_pictures(map_of(weights, 1))
    w = weights[:, 0, :, 1:].double().numpy()
    assert entropy.numpy() == pytest.approx(-(w * np.log2(w)).sum(-1).mean(-1), abs=1e-6)
    for item in (1, 2):
        for head in range(2):
            pair = np.stack([w[item, head], w[item - 1, head]])
            assert float(change[item, head]) == pytest.approx(float(by_definition(pair)[0]), abs=1e-6)


def test_a_head_of_positions_alone_does_not_follow_the_picture() -> None:
    weights = drawn(1, 1, 2, 16, 16).expand(4, 1, 2, 16, 16)
    assert float(over_pictures(map_of(weights))[1][1:].abs().max()) < 1e-12


@pytest.mark.parametrize("spec", ["lab/mhsa", "vit_tiny_patch16_224"])
def test_rows_of_networks_agree_with_numpy(spec: str, real_specs: dict[str, str]) -> None:
    spec = real_specs.get(spec, spec)
    model = load(spec, "cpu")
    count = 2
    result = explorer.probe("heads", model, count)
    with torch.inference_mode():
        maps = capture(model, Shown(model, read(count)).images)
    means = []
    for number, one in enumerate(maps, 1):
        queries = one.layout.query_index[0] >= 0  # type: ignore[index,union-attr]
        whole = [one.weights.block(image, 0, 0, len(queries)) for image in range(count)]
        each = np.array([by_definition(image[:, queries].numpy()) for image in whole])
        rows = {row["measure"]: row for row in result.of(str(model.spec), layer=number)}
        assert rows["head diversity"]["value"] == pytest.approx(each.mean(), abs=1e-5)
        assert rows["most alike pair of heads"]["value"] == pytest.approx(each.mean(0).min(), abs=1e-5)
        assert rows["least alike pair of heads"]["value"] == pytest.approx(each.mean(0).max(), abs=1e-5)
        assert rows["head diversity"]["n"] == count
        far = distances(one)[..., 0]
        apart = rows["farthest head's distance minus the nearest's"]
        assert apart["value"] == pytest.approx(float((far.amax(1) - far.amin(1)).mean()), abs=1e-4)
        flat = np.stack([image[:, queries].double().numpy() for image in whole])
        bits = -(flat * np.log2(np.where(flat > 0, flat, 1))).sum(-1).mean()
        assert rows["entropy of a head's rows"]["value"] == pytest.approx(bits, abs=1e-4)
        assert 0 < rows["change from picture to picture"]["value"] < 1
        means.append(each.mean())
    assert result.summary[f"{model.spec}: mean head diversity"].value == pytest.approx(np.mean(means), abs=1e-5)
    assert 0.05 < np.mean(means) < 1


@pytest.mark.parametrize(
    ("spec", "why"),
    [("lab/nonlocal", "one head a layer"), ("lab/conv", "no attention"), ("lab/coord", "depend on the query")],
)
def test_models_without_heads_are_refused(spec: str, why: str) -> None:
    with pytest.raises(MethodError, match=why):
        explorer.probe("heads", spec, 2, device="cpu")
