"""Attention blocks that can be inserted into a backbone: one file a block, one import here."""

from explorer.blocks import coord, mhsa
from explorer.blocks.base import BLOCKS, Block, Option

__all__ = ["BLOCKS", "Block", "Option", "coord", "mhsa"]
