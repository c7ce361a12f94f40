"""The one question: a `View`, and its forms: code, a command line, plain values, a request, a link, a step."""

from explorer.view.code import ProbeRequest as ProbeRequest
from explorer.view.code import ProbeSource as ProbeSource
from explorer.view.code import command as command
from explorer.view.code import probe_command as probe_command
from explorer.view.code import probe_python as probe_python
from explorer.view.code import python as python
from explorer.view.code import scene_text as scene_text
from explorer.view.question import DEFAULT_METHOD as DEFAULT_METHOD
from explorer.view.question import MAX_MODELS as MAX_MODELS
from explorer.view.question import MAX_QUERIES as MAX_QUERIES
from explorer.view.question import Source as Source
from explorer.view.question import View as View
from explorer.view.question import read as read
