"""One picture: read from anywhere, within limits, its numbers brought to 8 bits; and folders of pictures.

Importing it needs Pillow and numpy and no torch: the process that decodes strangers' pictures starts with it.
"""

from explorer.images.picture import FORMATS as FORMATS
from explorer.images.picture import MAX_ASPECT as MAX_ASPECT
from explorer.images.picture import MAX_BYTES as MAX_BYTES
from explorer.images.picture import MAX_PIXELS as MAX_PIXELS
from explorer.images.picture import SUFFIXES as SUFFIXES
from explorer.images.picture import Bands as Bands
from explorer.images.picture import Picture as Picture
from explorer.images.reading import read_image as read_image
from explorer.images.samples import alt_text as alt_text
from explorer.images.samples import photographs as photographs
from explorer.images.samples import samples as samples
