"""Procedural scenes: what they are, how they are rendered with exact masks, and how they move."""

from explorer.scenes.rendering import Rendered as Rendered
from explorer.scenes.rendering import render as render
from explorer.scenes.scene import ARRANGEMENTS as ARRANGEMENTS
from explorer.scenes.scene import AUGMENTED as AUGMENTED
from explorer.scenes.scene import BACKGROUNDS as BACKGROUNDS
from explorer.scenes.scene import CENTRED as CENTRED
from explorer.scenes.scene import CLASSES as CLASSES
from explorer.scenes.scene import DATA_VERSION as DATA_VERSION
from explorer.scenes.scene import HUES as HUES
from explorer.scenes.scene import PAIRS as PAIRS
from explorer.scenes.scene import PART as PART
from explorer.scenes.scene import RADIUS as RADIUS
from explorer.scenes.scene import SHAPES as SHAPES
from explorer.scenes.scene import SPREAD as SPREAD
from explorer.scenes.scene import TEXTURES as TEXTURES
from explorer.scenes.scene import Distribution as Distribution
from explorer.scenes.scene import Scene as Scene
from explorer.scenes.scene import Scenes as Scenes
from explorer.scenes.scene import cues as cues
from explorer.scenes.scene import draw as draw
from explorer.scenes.scene import hashed as hashed
from explorer.scenes.scene import keys_of as keys_of
