"""Class names of a model, and whether its outputs are classes at all."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset
from timm.models import get_arch_pretrained_cfgs

from explorer.messages import Message


@lru_cache(maxsize=8)
def _imagenet(subset: str) -> tuple[str, ...]:
    # "Samoyed, Samoyede": the first synonym is the name, a picture has no room for all.
    return tuple(text.split(",")[0] for text in ImageNetInfo(subset).label_descriptions())


@dataclass(frozen=True)
class Names:
    """The names of a model's classes.

    Attributes:
        names: by index, "class 7" where one is missing; () where none is known.
        source: where they are from, in words.
        notes: what is wrong with them, a sentence each.
    """

    names: tuple[str, ...]
    source: str
    notes: tuple[str, ...] = ()


#: Entries of a config.json that name classes, in the order in which they are believed: timm's, and what others write.
NAME_KEYS = ("label_names", "labels", "class_names", "classes", "id2label", "label2id")
_DESCRIPTIONS = "label_descriptions"
_SYNSET = re.compile(r"n\d{8}")
_UNKNOWN = Message("not known; classes are numbers")


def class_names(config: Mapping[str, Any], num_classes: int) -> Names:
    """What are a model's classes called?

    Names in the model's own config go first, then timm's ImageNet lists (1k, 12k, 21k, 22k) by number of classes.
    A list must have a name for each output, or it is not known which output a name belongs to; a null or a gap in
    ``id2label`` leaves one class without a name.

    Args:
        config: config.json, names in it or in its ``pretrained_cfg``; {} where there is none.
        num_classes: number of outputs.
    """
    parts = [config, config["pretrained_cfg"]] if isinstance(config.get("pretrained_cfg"), Mapping) else [config]
    given = [(key, part[key]) for key in NAME_KEYS for part in parts if part.get(key) is not None]
    descriptions = next((part[_DESCRIPTIONS] for part in parts if part.get(_DESCRIPTIONS) is not None), None)
    if isinstance(descriptions, (list, tuple)) or (descriptions is not None and not given):
        given.append((_DESCRIPTIONS, descriptions))
    notes: list[str] = []
    found: dict[str, list[str | None]] = {}
    for key, value in given:
        try:
            found[key] = _read_names(key, value, num_classes)
        except ValueError as error:
            notes.append(
                Message("the class names in '{key}' of its configuration cannot be used: {error}", key=key, error=error)
            )
    complete = [key for key, names in found.items() if None not in names]
    for key in complete[:1] or list(found)[:1]:
        names = found[key]
        missing = [index for index, name in enumerate(names) if name is None]
        if missing:
            which = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
            notes.append(
                Message(
                    "'{key}' of its configuration has no name for {missing} of {num_classes}: {which}",
                    key=key,
                    missing=len(missing),
                    num_classes=num_classes,
                    which=which,
                )
            )
        said = _described(
            [f"class {index}" if name is None else name for index, name in enumerate(names)], descriptions
        )
        return Names(tuple(said), Message("'{key}' of the model's own configuration", key=key), tuple(notes))
    # Where a model has names of its own, ImageNet's would be a guess.
    subset = None if given else infer_imagenet_subset({"num_classes": num_classes})
    if subset is not None:
        return Names(
            _imagenet(subset), Message("timm's ImageNet list of {num_classes} classes", num_classes=num_classes)
        )
    unknown = (
        Message("the name of its one output is not known; it is called class 0")
        if num_classes == 1
        else Message(
            "the names of its {num_classes} classes are not known; they are numbered from 0", num_classes=num_classes
        )
    )
    return Names((), _UNKNOWN, (*notes, unknown))


def _read_names(key: str, value: Any, count: int) -> list[str | None]:
    """A name or None for each class; raises ValueError with what is wrong, where it cannot be said which is which."""
    if key == "label2id" and isinstance(value, Mapping):
        indices = list(value.values())
        if len({str(index) for index in indices}) < len(indices):
            raise ValueError(Message("two names have the same number"))
        value = {index: name for name, index in value.items()}
    if isinstance(value, Mapping):
        names: list[str | None] = [None] * count
        for index, name in value.items():
            place = _index(index)
            if place is None:
                raise ValueError(Message("its entry '{index}' is no number of a class", index=index))
            if not 0 <= place < count:
                raise ValueError(
                    Message(
                        "it names class {place}, and the model has classes 0 to {count}", place=place, count=count - 1
                    )
                )
            names[place] = _name(name)
    elif isinstance(value, (list, tuple)):
        if len(value) != count:
            raise ValueError(
                Message("it has {names} names, and the model has {count} outputs", names=len(value), count=count)
            )
        names = [_name(name) for name in value]
    else:
        raise ValueError(
            Message(
                "a list of names or an object from number to name is expected, got {kind}", kind=type(value).__name__
            )
        )
    if not any(names):
        raise ValueError(Message("it has no name that is a text"))
    return names


def _index(value: Any) -> int | None:
    """The number that 3 or "3" is."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    text = str(value).strip()
    return int(text) if re.fullmatch(r"-?[0-9]{1,9}", text) else None


def _name(value: Any) -> str | None:
    """A class's name: a text that is not empty, or a number (a digit's class is called so)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return " ".join(value.split()) or None if isinstance(value, str) else None


def _described(names: list[str], descriptions: Any) -> list[str]:
    """Names in words, where the configuration has words for them, or they are ImageNet's synsets."""
    words = descriptions if isinstance(descriptions, Mapping) else {}
    synsets = {name for name in names if _SYNSET.fullmatch(name) and _name(words.get(name)) is None}
    known: dict[str, str] = {}
    if synsets:
        info = ImageNetInfo("imagenet-22k")
        known = {name: info.label_name_to_description(name).split(",")[0] for name in synsets & set(info.label_names())}
    return [_name(words.get(name)) or known.get(name, name) for name in names]


def headless_reason(architecture: str, config: Mapping[str, Any], num_classes: int) -> str:
    """Return why a model's outputs are not classes, in a sentence, or "" where they are.

    timm gives the image towers of CLIP models a ``num_classes`` that is the width of an embedding. They are known by
    their registered configs: a number of outputs that is no ImageNet set, on an architecture published as a CLIP tower.
    """
    if num_classes == 0:
        return Message("this model has no classification head; what it gives is a feature vector")
    if infer_imagenet_subset({"num_classes": num_classes}) is not None or any(config.get(key) for key in NAME_KEYS):
        return ""
    towers = {
        published.num_classes
        for name, published in get_arch_pretrained_cfgs(architecture).items()
        if "clip" in name or "pe_core" in name
    }
    if num_classes in towers:
        return Message(
            "this is the image tower of a CLIP model; its {num_classes} outputs are an embedding, not classes",
            num_classes=num_classes,
        )
    return ""


def class_numbers(labels: Sequence[str], num_classes: int) -> dict[str, int]:
    """What a folder of pictures may be named after: a class's index, name or, of ImageNet's thousand, synset.

    Of ImageNet's all synonyms of a class are names, one by one and as the data set has them, "Samoyed, Samoyede".

    Names are in lower case. Returns name -> number of the class.
    """
    known = {str(index): index for index in range(num_classes)}
    for index, label in reversed(list(enumerate(labels))):
        known[label.lower()] = known[label.split(",")[0].lower()] = index
    if num_classes == 1000 and labels:
        info = ImageNetInfo()
        known |= {name: index for index, name in enumerate(info.label_names())}
        for index, text in enumerate(info.label_descriptions()):
            # What two classes are called stays with the one whose first name it is.
            for name in (text, *text.split(",")):
                known.setdefault(name.strip().lower(), index)
    return known
