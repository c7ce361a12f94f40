"""Cue conflicts made of photographs: the silhouette and shading of one, the texture of another.

They ship in ``assets/conflicts``, for shape bias without a download; this is how they were made. The photographs
themselves do not ship: ``credits.md`` beside the pictures says where each is found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from explorer.resources import asset

Pixels = np.ndarray[Any, np.dtype[Any]]

#: Side of a picture, and the longer side of the object in it, px.
SIDE, FIT = 224, 204
#: Side of the squares that a texture is quilted of, px, and how many of them are compared at a time.
BLOCK, COMPARED = 48, 2000
#: Luminance of red, green and blue (ITU-R BT.601), and the least that is left of a texture in the dark.
_LUMINANCE, _DARKEST = np.array([0.299, 0.587, 0.114]), 0.02


@dataclass(frozen=True)
class Shape:
    """An object in a photograph.

    Attributes:
        category: of the sixteen.
        file: the photograph.
        box: left, top, right and bottom of the object in it, px.
        cut: whether the photograph cuts the object off at its left and bottom, where it then touches the picture's.
    """

    category: str
    file: str
    box: tuple[int, int, int, int]
    cut: bool = False


@dataclass(frozen=True)
class Texture:
    """What covers an object in a photograph.

    Attributes:
        category: of the sixteen.
        file: the photograph.
        boxes: left, top, right and bottom of the parts that show it, px.
        scale: that the photograph is resized by.
    """

    category: str
    file: str
    boxes: tuple[tuple[int, int, int, int], ...]
    scale: float


SHAPES = {
    "bear1": Shape("bear", "polar_bear.jpg", (235, 245, 1731, 1100)),
    "bird1": Shape("bird", "macaw_flying.jpg", (341, 68, 1775, 1255)),
    "bird2": Shape("bird", "macaw.webp", (232, 103, 925, 656)),
    "cat1": Shape("cat", "kitten.webp", (656, 215, 1274, 963)),
    "chair1": Shape("chair", "chair.jpg", (73, 296, 533, 904)),
    "chair2": Shape("chair", "chair_white.webp", (31, 25, 207, 290)),
    "elephant1": Shape("elephant", "elephants.jpg", (0, 105, 425, 511), cut=True),
    "knife1": Shape("knife", "knife.jpg", (0, 4, 122, 194)),
    "truck1": Shape("truck", "firetruck.png", (0, 2, 800, 331)),
}
TEXTURES = {
    "bear1": Texture("bear", "polar_bear.jpg", ((700, 310, 1330, 560),), 0.5),
    "bird1": Texture(
        "bird", "macaw_flying.jpg", ((480, 160, 760, 640), (1050, 640, 1400, 820), (520, 930, 900, 1130)), 0.5
    ),
    "bird2": Texture("bird", "macaw.webp", ((430, 230, 650, 520), (600, 330, 820, 520)), 0.6),
    "cat2": Texture("cat", "cat.jpg", ((75, 5, 320, 95), (50, 100, 130, 215)), 1.0),
    "elephant1": Texture("elephant", "elephants.jpg", ((430, 130, 560, 330), (470, 330, 570, 515)), 1.0),
    "truck1": Texture("truck", "firetruck.png", ((60, 10, 780, 300),), 0.7),
}


def conflicts() -> Path:
    """The folder of cue conflicts that ships; ``mask_bear1.png`` in it is the shape of bear1, black on the object."""
    return asset("conflicts")


def made(photographs: Path) -> Iterator[tuple[str, Image.Image]]:
    """Make the set anew: names like cat1-elephant1, and pictures.

    Args:
        photographs: the folder of the photographs that ``credits.md`` lists.
    """
    textures = {
        name: [quilted(_parts(one, photographs), SIDE, BLOCK, seed) for seed in (0, 1)]
        for name, one in TEXTURES.items()
    }
    for number, (name, shape) in enumerate(SHAPES.items()):
        mask = np.asarray(Image.open(conflicts() / f"mask_{name}.png").convert("L")) < 128
        shown = _placed(shape, photographs)
        for texture, one in TEXTURES.items():
            if one.category != shape.category and texture != ("bird1", "bird2")[number % 2]:
                on, behind = textures[texture]
                yield f"{name}-{texture}", Image.fromarray(worn(shown, mask, on, behind))


def worn(shape: Pixels, mask: Pixels, on: Pixels, behind: Pixels, depth: float = 1.0) -> Pixels:
    """A picture in the shape of one photograph and the texture of another.

    The object and what is behind it are of one texture, as in the pictures of Geirhos et al. 2019; the light tells them
    apart. The texture is multiplied by the photograph's luminance on the object, so that its shading stays
    (Fang and Hart 2004, Textureshop), and by 1 behind it.

    Args:
        shape: (H, W, 3) of 0..255.
        mask: (H, W) bool, True on the object.
        on: (H, W, 3), texture for the object.
        behind: (H, W, 3), texture for the rest.
        depth: exponent of the luminance: 1 is the photograph's own shading, 0 none.

    Returns (H, W, 3) uint8.
    """
    light = np.maximum(shape @ _LUMINANCE / 255, _DARKEST)[..., None] ** depth
    return np.rint(np.where(mask[..., None], on * light, behind)).astype(np.uint8)


def quilted(parts: Sequence[Pixels], side: int, block: int, seed: int) -> Pixels:
    """A texture as large as wanted, of squares cut out of a smaller one (Efros and Freeman 2001, Image quilting).

    Squares overlap by a sixth. Each is drawn from those whose overlap differs by at most a tenth more than the best
    one's, and is cut where the two differ least.

    Args:
        parts: (h, w, 3) each, of 0..255, the texture; at least ``block`` px.
        side: of the result, px.
        block: side of a square, px.
        seed: of the draws.

    Returns (side, side, 3) float.
    """
    rng, overlap = np.random.default_rng(seed), block // 6
    views = [np.lib.stride_tricks.sliding_window_view(one, (block, block), (0, 1)) for one in parts]
    places = [(view, y, x) for view in views for y in range(view.shape[0]) for x in range(view.shape[1])]
    drawn = rng.permutation(len(places))[:COMPARED]
    squares = np.stack([places[place][0][places[place][1:]].transpose(1, 2, 0) for place in drawn]).astype(np.float32)
    starts = range(0, max(1, side - overlap), block - overlap)
    large = starts[-1] + block
    out = np.zeros((large, large, 3), np.float32)
    for y in starts:
        for x in starts:
            own = out[y : y + block, x : x + block]
            over = np.zeros((block, block), bool)
            over[: overlap if y else 0] = True
            over[:, : overlap if x else 0] = True
            apart = ((squares[:, over] - own[over]) ** 2).sum((1, 2))
            square = squares[rng.choice(np.flatnonzero(apart <= 1.1 * apart.min()))]
            differ, keep = ((square - own) ** 2).sum(2), np.ones((block, block), bool)
            if x:
                keep[:, :overlap] &= seam(differ[:, :overlap])
            if y:
                keep[:overlap] &= seam(differ[:overlap].T).T
            own[keep] = square[keep]
    return out[:side, :side].astype(float)


def seam(differ: Pixels) -> Pixels:
    """Where the new one of two overlapping squares is shown: right of the path from top to bottom that differs least.

    Args:
        differ: (h, w), how much the two differ at each pixel.

    Returns (h, w) bool. The path goes down or diagonally down, and its own pixels are True.
    """
    height, width = differ.shape
    total = differ.astype(float)
    for row in range(1, height):
        above = np.pad(total[row - 1], 1, constant_values=np.inf)
        total[row] += np.minimum(np.minimum(above[:-2], above[1:-1]), above[2:])
    right, at = np.zeros((height, width), bool), int(total[-1].argmin())
    for row in reversed(range(height)):
        right[row, at:] = True
        if row:
            first = max(0, at - 1)
            at = first + int(total[row - 1, first : at + 2].argmin())
    return right


def _placed(shape: Shape, photographs: Path) -> Pixels:
    """The object as it stands in the picture, on white: (SIDE, SIDE, 3)."""
    cut = _opened(photographs / shape.file).crop(shape.box)
    scale = FIT / max(cut.size)
    small = cut.resize((round(cut.width * scale), round(cut.height * scale)), Image.Resampling.LANCZOS)
    out = Image.new("RGB", (SIDE, SIDE), "white")
    corner = (0, SIDE - small.height) if shape.cut else ((SIDE - small.width) // 2, (SIDE - small.height) // 2)
    out.paste(small, corner)
    return np.asarray(out, dtype=float)


def _parts(texture: Texture, photographs: Path) -> list[Pixels]:
    whole = _opened(photographs / texture.file)
    cuts = [whole.crop(box) for box in texture.boxes]
    sizes = [(round(one.width * texture.scale), round(one.height * texture.scale)) for one in cuts]
    return [np.asarray(one.resize(size, Image.Resampling.LANCZOS), float) for one, size in zip(cuts, sizes)]


def _opened(file: Path) -> Image.Image:
    image = Image.open(file).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
