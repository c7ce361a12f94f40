"""Class names of a model, and whether its outputs are classes at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset
from timm.models import get_arch_pretrained_cfgs


@lru_cache(maxsize=8)
def _imagenet(subset: str) -> tuple[str, ...]:
    # "Samoyed, Samoyede": the first synonym is the name, a picture has no room for all.
    return tuple(text.split(",")[0] for text in ImageNetInfo(subset).label_descriptions())


def class_names(config: Mapping[str, Any], num_classes: int) -> tuple[str, ...]:
    """Return the names of a model's classes by index, or () where they are not known.

    Names in the model's own config go first, then timm's ImageNet lists (1k, 12k, 21k, 22k) by number of classes.
    """
    names = config.get("label_names")
    if isinstance(names, (list, tuple)) and len(names) == num_classes:
        descriptions = config.get("label_descriptions")
        if not isinstance(descriptions, Mapping):
            descriptions = {}
        if num_classes and str(names[0]).startswith("n0") and str(names[0]) not in descriptions:
            info = ImageNetInfo("imagenet-22k")
            known = set(info.label_names())
            descriptions = {name: info.label_name_to_description(name) for name in names if name in known}
            descriptions = {name: text.split(",")[0] for name, text in descriptions.items()}
        return tuple(str(descriptions.get(name, name)) for name in names)
    subset = infer_imagenet_subset({"num_classes": num_classes})
    return () if subset is None else _imagenet(subset)


def headless_reason(architecture: str, config: Mapping[str, Any], num_classes: int) -> str:
    """Return why a model's outputs are not classes, in a sentence, or "" where they are.

    timm gives the image towers of CLIP models a ``num_classes`` that is the width of an embedding. They are known by
    their registered configs: a number of outputs that is no ImageNet set, on an architecture published as a CLIP tower.
    """
    if num_classes == 0:
        return "this model has no classification head; what it gives is a feature vector"
    if infer_imagenet_subset({"num_classes": num_classes}) is not None or config.get("label_names"):
        return ""
    towers = {
        published.num_classes
        for name, published in get_arch_pretrained_cfgs(architecture).items()
        if "clip" in name or "pe_core" in name
    }
    if num_classes in towers:
        return f"this is the image tower of a CLIP model; its {num_classes} outputs are an embedding, not classes"
    return ""


def class_numbers(labels: Sequence[str], num_classes: int) -> dict[str, int]:
    """What a folder of pictures may be named after: a class's index, name or, of ImageNet's thousand, synset.

    Names are in lower case. Returns name -> number of the class.
    """
    known = {str(index): index for index in range(num_classes)}
    for index, label in reversed(list(enumerate(labels))):
        known[label.lower()] = known[label.split(",")[0].lower()] = index
    if num_classes == 1000 and labels:
        known |= {name: index for index, name in enumerate(ImageNetInfo().label_names())}
    return known
