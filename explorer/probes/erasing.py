"""Pictures that are erased or uncovered in the order of a map, and maps that know nothing of the model."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.probes.filters import sobel

#: Of Petsiuk's code: the blur that insertion begins with, px, and how far its kernel reaches.
BLUR, REACH = 5.0, 5
#: How near the object the largest value has to be for a hit, share of the frame's shorter side: 15 px of 224.
NEAR = 15 / 224
#: Width of the map that is largest in the middle, share of the frame's shorter side.
CENTRE = 0.25

#: Edge of the squares that are taken out, share of the frame's shorter side.
SQUARE = 0.25


def enlarged(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps (B, h, w) at every pixel of a frame, bilinearly: (B, H, W); as they are where they have that size."""
    if values.shape[-2:] == size:
        return values
    return F.interpolate(values[:, None], size, mode="bilinear", align_corners=False)[:, 0]


def ranks_of(values: Tensor) -> Tensor:
    """The place of every pixel in the order of a map, the largest first: (H, W) to the same, long, from 0."""
    order = values.flatten().argsort(descending=True, stable=True)
    ranks = torch.empty_like(order)
    ranks[order] = torch.arange(len(order), device=order.device)
    return ranks.view(values.shape)


def erased(image: Tensor, ranks: Tensor, shares: Tensor, instead: Tensor) -> Tensor:
    """A picture with the first shares of its pixels replaced: (3, H, W), (H, W), (n,), (3, H, W) to (n, 3, H, W)."""
    gone = ranks[None] < (shares.to(ranks.device) * ranks.numel()).round()[:, None, None]
    return torch.where(gone[:, None], instead[None], image[None])


def area(curve: Tensor) -> Tensor:
    """The area under curves (..., n) over evenly spaced shares from 0 to 1, by the trapezoidal rule: (...)."""
    return (curve[..., :-1] + curve[..., 1:]).mean(-1) / 2


def random_map(grid: tuple[int, int], seed: int) -> Tensor:
    """Independent values from cell to cell: (h, w) in 0..1."""
    return torch.rand(grid, generator=torch.Generator().manual_seed(seed))


def centre_map(grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """A Gaussian about the middle of the frame: (h, w)."""
    spread = CENTRE * min(size)
    y, x = (
        torch.exp(-0.5 * (((torch.arange(cells) + 0.5) / cells - 0.5) * pixels / spread) ** 2)
        for cells, pixels in zip(grid, size)
    )
    return y[:, None] * x


def edge_map(x01: Tensor, grid: tuple[int, int]) -> Tensor:
    """How much edge there is in each cell: pictures (B, 3, H, W) to (B, h, w), the mean of their Sobel views."""
    return F.adaptive_avg_pool2d(sobel(x01)[:, :1], grid)[:, 0]


def points_at(values: Tensor, mask: Tensor) -> bool:
    """Whether the largest value of a map (H, W) lies on a mask (H, W) bool, or near it (pointing game)."""
    y, x = divmod(int(values.argmax()), values.shape[1])
    rows, columns = mask.nonzero(as_tuple=True)
    return bool((torch.hypot((rows - y).float(), (columns - x).float()) <= NEAR * min(mask.shape)).any())


def random_squares(count: int, size: tuple[int, int], seed: int) -> Tensor:
    """Squares anywhere within the frame: (count, H, W) of 0 and 1."""
    chance = torch.Generator().manual_seed(seed)
    edge = max(1, round(SQUARE * min(size)))
    out = torch.zeros(count, *size)
    for one in out:
        y, x = (int(torch.randint(0, pixels - edge + 1, (), generator=chance)) for pixels in size)
        one[y : y + edge, x : x + edge] = 1
    return out


def infidelity(values: Tensor, squares: Tensor, lost: Tensor) -> float:
    """How much of what the logit loses without squares does a map not tell? 0 to 1.

    E[(b s - d)^2] / E[d^2], s the map's sum over a square, d the loss, b = E[s d] / E[s^2] (Yeh et al. 2019, with
    captum's scaling, over the mean squared loss). nan where nothing is ever lost.

    Args:
        values: (H, W).
        squares: (n, H, W) of 0 and 1.
        lost: (n,).
    """
    told = (squares.double() * values.double()).sum((1, 2))
    scale = (told * lost).mean() / told.square().mean().clamp(min=torch.finfo(torch.float64).tiny)
    return float((scale * told - lost).square().mean() / lost.square().mean())
