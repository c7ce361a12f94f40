"""Attention blocks that can be inserted into a backbone: one file a block, one import here.

The order of the imports is the order everywhere: controls first, blocks for reference last, then guests.
"""

# isort: off
from explorer.blocks.base import BLOCKS, Block, option, short_name
from explorer.blocks import none, conv  # noqa: F401
from explorer.blocks import mhsa, axial, channel, linear, c2f, c2f_gate, coord, ca_c2f  # noqa: F401
from explorer.blocks import se, eca, cbam, nonlocal_  # noqa: F401

# isort: on
from explorer.guests import invite

__all__ = ["BLOCKS", "Block", "option", "short_name"]

invite("explorer.blocks")
