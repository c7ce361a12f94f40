"""Probes over many models and many pictures, on one machine or several: what is done is never done again."""

from __future__ import annotations
