"""Attention blocks that can be inserted into a backbone: one file a block, one import here.

The order of the imports is the order everywhere: controls first, blocks for reference last.
"""

# isort: off
from explorer.blocks import none, conv
from explorer.blocks import mhsa, axial, channel, linear, c2f, c2f_gate, coord, ca_c2f
from explorer.blocks import se, eca, cbam, nonlocal_

# isort: on
from explorer.blocks.base import BLOCKS, Block, option

__all__ = [
    "BLOCKS",
    "Block",
    "axial",
    "c2f",
    "c2f_gate",
    "ca_c2f",
    "cbam",
    "channel",
    "conv",
    "coord",
    "eca",
    "linear",
    "mhsa",
    "none",
    "nonlocal_",
    "option",
    "se",
]
