"""Networks that are not timm's, small and with random weights, as people bring them to `explorer.wrap`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision.models as tv
from torch import Tensor, nn
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.resnet import BasicBlock

from explorer.blocks import BLOCKS
from explorer.models.model import Model
from explorer.seeding import Seeded
from explorer.wrapping.wrap import wrap

SIDE = 64


class SelfAttention(nn.Module):
    """Attention by torch's function, in a module that nobody knows."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return x + self.out(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class Tokens(nn.Module):
    """A transformer with a class token and registers before the places, in an order of its own."""

    def __init__(self, registers: int = 2, width: int = 32, order: Tensor | None = None) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 8, 8)
        self.cls_token = nn.Parameter(torch.randn(1, 1, width))
        self.register_tokens = nn.Parameter(torch.randn(1, registers, width))
        self.positions = nn.Parameter(0.1 * torch.randn(1, 64, width))
        self.blocks = nn.ModuleList(SelfAttention(width) for _ in range(2))
        self.head = nn.Linear(width, 5)
        self.order = order

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        if self.order is not None:
            x = x[:, self.order]
        first = torch.cat([self.cls_token, self.register_tokens], 1)
        x = torch.cat([first.expand(len(x), -1, -1), x], 1)
        for block in self.blocks:
            x = block(x)
        return self.head(x[:, 0])


class Encoder(nn.Module):
    """torch's own encoder, whose fast path runs no operation that could be seen, with the mean of the places."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 8, 8)
        self.positions = nn.Parameter(0.1 * torch.randn(1, 64, width))
        layer = nn.TransformerEncoderLayer(width, 4, 64, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.patches(x).flatten(2).transpose(1, 2) + self.positions).mean(1))


class Yolo(nn.Module):
    """A backbone as YOLO's: strided convolutions with C2f between them, the last with attention inside."""

    def __init__(self) -> None:
        super().__init__()

        def down(given: int, made: int) -> nn.Module:
            return nn.Sequential(nn.Conv2d(given, made, 3, 2, 1), nn.BatchNorm2d(made), nn.SiLU())

        self.stem = down(3, 16)
        self.stage1 = nn.Sequential(down(16, 24), BLOCKS["c2f"](24, (16, 16)))
        self.stage2 = nn.Sequential(down(24, 32), BLOCKS["ca_c2f"](32, (8, 8)), BLOCKS["mhsa"](32, (8, 8)))
        self.head = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.stage2(self.stage1(self.stem(x))).mean((2, 3)))


def _torchvision_vit() -> nn.Module:
    network = tv.VisionTransformer(SIDE, 16, 2, 4, 32, 64, num_classes=5)
    nn.init.normal_(network.heads.head.weight)  # zero as it is made
    return network


def _transformers(name: str, config: str, head: Any = None, **fields: Any) -> nn.Module:
    transformers = pytest.importorskip(
        "transformers", reason="transformers is not installed (pip install transformers)"
    )
    if head is None:
        fields["num_labels"] = 5
    made: nn.Module = getattr(transformers, name)(getattr(transformers, config)(**fields))
    return made


_VIT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "image_size": SIDE,
    "patch_size": 8,
}
_SWIN = {"patch_size": [4, 4], "embed_dim": 24, "depths": [2, 2], "num_heads": [2, 4], "window_size": [4, 4]}
_NO_CLASSES = {"head": "none"}

#: What is wrapped: its name, how it is made, and what else `explorer.wrap` is told.
NETWORKS: Mapping[str, tuple[Callable[[], nn.Module], Mapping[str, Any]]] = {
    "torchvision ResNet": (partial(tv.ResNet, BasicBlock, [1, 1, 1, 1], num_classes=5), {}),
    "torchvision ConvNeXt": (
        partial(tv.ConvNeXt, [CNBlockConfig(24, 32, 1), CNBlockConfig(32, None, 1)], num_classes=5),
        {},
    ),
    "torchvision ViT": (_torchvision_vit, {}),
    "torchvision Swin": (partial(tv.SwinTransformer, **_SWIN, num_classes=5), {}),
    "torchvision Swin V2": (
        partial(
            tv.SwinTransformer,
            **_SWIN,
            num_classes=5,
            block=tv.swin_transformer.SwinTransformerBlockV2,
            downsample_layer=tv.swin_transformer.PatchMergingV2,
        ),
        {},
    ),
    "torchvision MaxViT": (partial(tv.MaxVit, (SIDE, SIDE), 16, 4, [16, 32], [1, 1], 8, 0.0, num_classes=5), {}),
    "transformers ViT": (partial(_transformers, "ViTForImageClassification", "ViTConfig", **_VIT), {}),
    "transformers DINOv2": (
        partial(_transformers, "Dinov2ForImageClassification", "Dinov2Config", **_VIT),
        {},
    ),
    "transformers DINOv2 with registers": (
        partial(_transformers, "Dinov2WithRegistersForImageClassification", "Dinov2WithRegistersConfig", **_VIT),
        {},
    ),
    "transformers Swin": (
        partial(
            _transformers,
            "SwinForImageClassification",
            "SwinConfig",
            **{**_SWIN, "patch_size": 4, "window_size": 4, "image_size": SIDE},
        ),
        {},
    ),
    "transformers BEiT": (partial(_transformers, "BeitForImageClassification", "BeitConfig", **_VIT), {}),
    "transformers ConvNeXt": (
        partial(
            _transformers,
            "ConvNextForImageClassification",
            "ConvNextConfig",
            hidden_sizes=[24, 32],
            depths=[1, 1],
            num_stages=2,
            image_size=SIDE,
        ),
        {},
    ),
    "transformers CLIP": (
        partial(_transformers, "CLIPVisionModelWithProjection", "CLIPVisionConfig", "none", projection_dim=12, **_VIT),
        _NO_CLASSES,
    ),
    "transformers SigLIP": (
        partial(_transformers, "SiglipVisionModel", "SiglipVisionConfig", "none", **_VIT),
        _NO_CLASSES,
    ),
    "`scaled_dot_product_attention`, registers": (Tokens, {}),
    "`torch.nn.TransformerEncoder`": (Encoder, {}),
    "C2f, as in YOLO": (Yolo, {}),
}


def made(name: str) -> nn.Module:
    """One of the networks, the same each time; skips the test where its library is not installed."""
    with Seeded(3):
        return NETWORKS[name][0]().eval()


def wrapped(network: nn.Module, **told: Any) -> Model:
    """A network as a model, with what these tests have in common."""
    return wrap(network, **{"input_size": SIDE, "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25), **told})
