"""Where weights come from: the hub, a folder or a file; safetensors always, a pickle never.

A pickle runs code when it is read. So the file is chosen here, and timm is handed the path of a safetensors file and
nothing else: none of its own ways to a ``.bin`` or ``.pth`` is ever taken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from huggingface_hub import try_to_load_from_cache
from torch import Tensor, nn

from explorer.errors import ModelError, WeightsError
from explorer.messages import Message, listed
from explorer.models.hub import hub_file

#: Names under which a weights file's metadata tells how it was made: by explorer train, and by explorer fit.
RECORD, FITTED = "record", "fitted"

#: The file a repository or folder should have, in the order timm looks for it.
SAFE_NAMES = ("model.safetensors", "open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")
#: Where large weights lie in several files: which tensor is in which.
_INDEX = "model.safetensors.index.json"
_PART = re.compile(r"\w[\w.-]*\.safetensors")
_MOST_PARTS = 1000
PICKLES = (".bin", ".pth", ".pt", ".tar", ".ckpt", ".pkl", ".npz")


def hub_weights(repository: str, filename: str | None = None, token: bool | None = None, cached: bool = True) -> Path:
    """Return the safetensors file of a hub repository, as `hub_file` does; a WeightsError where it has none."""
    names = SAFE_NAMES[:1] if filename is None else _safe_alternatives(filename)
    for name in names:
        if (path := hub_file(repository, name, token, cached)) is not None:
            return path
    raise WeightsError(
        Message(
            "the hub's '{repository}' has no safetensors weights ({filename}); other formats can run code when "
            "they are read, so they are refused. Convert them to safetensors, or use random weights",
            repository=repository,
            filename=listed(names, "{first} or {rest}") or filename,
        )
    )


def hub_parts(repository: str, token: bool | None = None, cached: bool = True) -> tuple[Path, ...]:
    """Return the safetensors files of a repository of transformers': one, or the parts that its index names.

    Raises WeightsError where there are none, or where the index names what is no file of the repository.
    """
    index = None
    if (whole := hub_file(repository, SAFE_NAMES[0], token, cached)) is None:
        index = hub_file(repository, _INDEX, token, cached)
    if index is None:
        return (whole or hub_weights(repository, None, token, cached),)
    named = read_json(index).get("weight_map")
    names = sorted(set(map(str, named.values()))) if isinstance(named, dict) else []
    if not 1 <= len(names) <= _MOST_PARTS or not all(map(_PART.fullmatch, names)):
        raise WeightsError(
            Message(
                "the hub's '{repository}': the weight_map of {file} has to name for each tensor one of up to {most} "
                "safetensors files beside it",
                repository=repository,
                file=_INDEX,
                most=_MOST_PARTS,
            )
        )
    parts = [(name, hub_file(repository, name, token, cached)) for name in names]
    if absent := [name for name, path in parts if path is None]:
        raise WeightsError(
            Message(
                "the hub's '{repository}' has no {part}, which its {file} names",
                repository=repository,
                part=absent[0],
                file=_INDEX,
            )
        )
    return tuple(path for _, path in parts if path is not None)


def in_cache(repository: str, filename: str | None = None) -> bool:
    """Whether the safetensors file of a hub repository is in the cache; the hub is not asked."""
    name, _, revision = repository.partition("@")
    names = SAFE_NAMES[:1] if filename is None else _safe_alternatives(filename)
    return any(isinstance(try_to_load_from_cache(name, one, revision=revision or None), str) for one in names)


def _safe_alternatives(filename: str) -> tuple[str, ...]:
    if filename.endswith(".safetensors"):
        return (filename,)
    if filename == "pytorch_model.bin":
        return ("model.safetensors",)
    if filename == "open_clip_pytorch_model.bin":
        return ("open_clip_model.safetensors",)
    return (filename[:-4] + ".safetensors",) if filename.endswith(".bin") else ()


def folder_weights(folder: Path) -> Path:
    """Return the safetensors file of a model folder, chosen as timm does; a WeightsError where it has none."""
    for name in SAFE_NAMES:
        if (folder / name).is_file():
            return folder / name
    if safe := sorted(folder.glob("*.safetensors")):
        return safe[0]
    pickles = sorted(path.name for path in folder.iterdir() if path.name.endswith(PICKLES))
    if pickles:
        raise WeightsError(
            Message(
                "'{folder}' has {pickles} but no safetensors file; that format can run code when it is read, so it "
                "is refused. Convert it with safetensors.torch.save_file",
                folder=folder,
                pickles=pickles[0],
            )
        )
    raise WeightsError(Message("'{folder}' has no weights; a file model.safetensors is expected", folder=folder))


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file; a ModelError says what is wrong with it."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(Message("'{path}' is not readable JSON ({error})", path=path, error=error)) from None
    if not isinstance(config, dict):
        raise ModelError(Message("'{path}' is not a JSON object", path=path))
    return config


def read_config(path: Path) -> dict[str, Any]:
    """Read a timm model's config.json; a ModelError says what is wrong with it."""
    config = read_json(path)
    if not isinstance(config.get("architecture"), str):
        hint = (
            Message("it is a model of transformers', which is written hf:ORG/NAME")
            if "model_type" in config
            else Message("timm's config.json has a field 'architecture'")
        )
        raise ModelError(Message("'{path}' names no timm architecture; {hint}", path=path, hint=hint))
    return config


def check_readable(file: Path) -> None:
    """Raise a WeightsError unless a file is a complete safetensors file; only its header is read."""
    if file.suffix != ".safetensors":
        raise WeightsError(
            Message(
                "'{name}' is not a .safetensors file; other formats can run code when they are read", name=file.name
            )
        )
    try:
        with safetensors.safe_open(file, framework="pt"):
            pass
    except FileNotFoundError:
        raise WeightsError(Message("weights file '{file}' does not exist", file=file)) from None
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            Message("'{file}' is not a readable safetensors file ({error})", file=file, error=error)
        ) from None


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Read a safetensors file onto the CPU; a WeightsError says what is wrong with it."""
    file = Path(path)
    check_readable(file)
    return safetensors.torch.load_file(file, device="cpu")


def read_parts(paths: Sequence[str | Path]) -> dict[str, Tensor]:
    """Read safetensors files that make up one model; a WeightsError where one tensor is in two of them."""
    found: dict[str, Tensor] = {}
    for path in paths:
        for name, tensor in read_tensors(path).items():
            if name in found:
                raise WeightsError(
                    Message("tensor '{tensor}' is in {file} and in a file before it", tensor=name, file=Path(path).name)
                )
            found[name] = tensor
    return found


def read_note(path: str | Path, name: str) -> dict[str, Any] | None:
    """The JSON object that a safetensors file carries under a name in its metadata, or None; raises WeightsError."""
    file = Path(path)
    check_readable(file)
    with safetensors.safe_open(file, framework="pt") as opened:
        text = (opened.metadata() or {}).get(name)
    try:
        note = None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        raise WeightsError(
            Message("'{file}': its metadata '{entry}' is not readable JSON", file=file.name, entry=name)
        ) from None
    if note is not None and not isinstance(note, dict):
        raise WeightsError(Message("'{file}': its metadata '{entry}' is not a JSON object", file=file.name, entry=name))
    return note


def fingerprint(module: nn.Module, without: str = "") -> str:
    """SHA-256 of a network's tensors, as it was before a block was inserted.

    ``without``: path of the inserted block's wrapper with a dot, or "" where there is none.
    """
    digest = sha256()
    for name, tensor in sorted(module.state_dict().items()):
        if without and name.startswith(without):
            if not name.startswith(f"{without}wrapped."):
                continue
            name = without + name.removeprefix(f"{without}wrapped.")
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def fitted_names(module: nn.Module, place: str, new_head: bool) -> list[str]:
    """Names of the tensors that a fit changes with the backbone frozen: block, gate and a new classifier.

    ``place``: path of the inserted block's wrapper.
    """
    head: set[int] = set()
    if new_head:
        found = module.get_classifier()  # type: ignore[operator]
        for part in found if isinstance(found, (tuple, list)) else (found,):
            head |= {id(one) for one in part.parameters()}
    named = {name for name, one in module.named_parameters() if id(one) in head}
    block = f"{place}.block."
    return [name for name in module.state_dict() if name in named or name == f"{place}.gate" or name.startswith(block)]


def unlike(skeleton: nn.Module, tensors: Mapping[str, Tensor], outputs: int) -> dict[str, int]:
    """What a network has to be built with so that a file fits which has another head, or another first layer.

    Args:
        skeleton: the network as it is published, on any device.
        tensors: of the file.
        outputs: how many the network has.

    Returns ``num_classes`` and ``in_chans``, where they explain every tensor of another shape; else {}.
    """
    own = {name: tuple(one.shape) for name, one in skeleton.state_dict().items()}
    heads, stems = set(), set()
    for name, one in tensors.items():
        ours, theirs = own.get(name, tuple(one.shape)), tuple(one.shape)
        if ours == theirs:
            continue
        if ours[:1] == (outputs,) and ours[1:] == theirs[1:] and len(ours) == len(theirs):
            heads.add(theirs[0])
        elif len(ours) == len(theirs) == 4 and ours[1] == 3 and (ours[0], *ours[2:]) == (theirs[0], *theirs[2:]):
            stems.add(theirs[1])
        else:
            return {}
    if len(heads) > 1 or len(stems) > 1:
        return {}
    return {name: count for name, found in (("num_classes", heads), ("in_chans", stems)) for count in found}


def lay_over(
    module: nn.Module, tensors: Mapping[str, Tensor], source: str, names: Collection[str] | None = None
) -> None:
    """Put tensors in the place of a module's weights; a WeightsError names the first that does not fit.

    ``names``: what ``tensors`` has to hold, no less and no more, the others stay as they are; all of them if None.
    """
    own = {name: one for name, one in module.state_dict().items() if names is None or name in names}
    missing = [name for name in own if name not in tensors]
    unexpected = [name for name in tensors if name not in own]
    differing = [name for name in own if name in tensors and own[name].shape != tensors[name].shape]
    if missing or unexpected or differing:
        parts = []
        if missing:
            parts.append(Message("{count} missing, first '{first}'", count=len(missing), first=missing[0]))
        if unexpected:
            parts.append(
                Message(
                    "{count} unexpected, first '{first}'",
                    count=len(unexpected),
                    first=unexpected[0],
                )
            )
        if differing:
            name = differing[0]
            parts.append(
                Message(
                    "{count} of another shape, first '{first}' {stored} for {expected}",
                    count=len(differing),
                    first=name,
                    stored=tuple(tensors[name].shape),
                    expected=tuple(own[name].shape),
                )
            )
        raise WeightsError(
            Message(
                "'{source}' does not fit this model: {differences}",
                source=source,
                differences=listed(parts, "{first}; {rest}"),
            )
        )
    check_finite(tensors, source)
    module.load_state_dict(dict(tensors), strict=names is None)


def check_finite(tensors: Mapping[str, Tensor], source: str) -> None:
    """Raise a WeightsError naming the first tensor with a NaN or an infinite value."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise WeightsError(
                Message(
                    "'{source}': tensor '{name}' has values that are not finite (NaN or infinite)",
                    source=source,
                    name=name,
                )
            )
