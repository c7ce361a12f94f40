"""Where weights come from: the hub, a folder or a file; safetensors always, a pickle never.

A pickle runs code when it is read. So the file is chosen here, and timm is handed the path of a safetensors file and
nothing else: none of its own ways to a ``.bin`` or ``.pth`` is ever taken.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from huggingface_hub import constants, errors, get_hf_file_metadata, hf_hub_download, hf_hub_url
from torch import Tensor, nn

from explorer.errors import ModelError, WeightsError

#: Names under which a weights file's metadata tells how it was made: by explorer train, and by explorer fit.
RECORD, FITTED = "record", "fitted"
#: Seconds to wait for the hub's first answer; its own retries take half a minute.
HUB_SECONDS = 5.0

#: The file a repository or folder should have, in the order timm looks for it.
SAFE_NAMES = ("model.safetensors", "open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")
PICKLES = (".bin", ".pth", ".pt", ".tar", ".ckpt", ".pkl", ".npz")


def hub_file(repository: str, filename: str, token: bool | None = None, cached: bool = True) -> Path | None:
    """Return the local path of a file of ``ORG/NAME[@REVISION]``, downloaded if need be; None if it has no such file.

    HF_HOME, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE are respected. Where the hub does not answer within
    ``HUB_SECONDS`` the cache serves, and without it a WeightsError says what to do.

    Args:
        repository: ``ORG/NAME[@REVISION]``.
        filename: of a file in it.
        token: False asks as somebody unknown; None as huggingface_hub does, with the token of this machine if it has
            one.
        cached: whether what an earlier download left here may be given unasked, where the hub cannot be reached. It
            may hold what only the token's owner may read.
    """
    name, _, revision = repository.partition("@")
    wanted = revision or None
    way = "set HF_TOKEN" if token is not False else "whoever runs this server can offer it with --model"
    try:
        # Asked without retries, so that a lecture hall without network learns so at once.
        get_hf_file_metadata(hf_hub_url(name, filename, revision=wanted), token=token, timeout=HUB_SECONDS)
        # By the name of the revision, not its commit: only then is it found again without network.
        return Path(hf_hub_download(name, filename, revision=wanted, etag_timeout=HUB_SECONDS, token=token))
    except errors.GatedRepoError:
        raise WeightsError(
            f"the weights of '{name}' are gated: accept their terms on {constants.ENDPOINT}/{name}, then {way}"
        ) from None
    except errors.RevisionNotFoundError:
        raise WeightsError(f"the hub's '{name}' has no revision '{revision}'") from None
    except errors.RepositoryNotFoundError:
        raise WeightsError(
            f"the hub at {constants.ENDPOINT} has no model '{name}' (or it is private: then {way})"
        ) from None
    except errors.HFValidationError as error:
        raise WeightsError(f"'{name}' is not a hub name; write hf-hub:ORG/NAME ({error})") from None
    except errors.LocalEntryNotFoundError as error:  # a kind of EntryNotFoundError, but it means: no connection
        reason: Exception = error
    except errors.EntryNotFoundError:
        return None
    except Exception as error:  # connection errors are httpx's or requests', as the hub's version has it
        reason = error
    if not cached:
        raise WeightsError(
            f"the hub cannot be asked now whether everybody may have '{name}'; whoever runs this server can offer it "
            f"by starting it with --model hf-hub:{name}"
        ) from reason
    try:
        return Path(hf_hub_download(name, filename, revision=wanted, local_files_only=True))
    except Exception:
        raise WeightsError(
            f"'{name}' is not in the cache ({constants.HF_HUB_CACHE}) and the hub at {constants.ENDPOINT} cannot be "
            f"reached ({type(reason).__name__}). Connect to the network, or set HF_HOME to a filled cache, or load it "
            f"from a folder with local-dir:PATH, or take random weights with 'random/' before the name"
        ) from reason


def hub_weights(repository: str, filename: str | None = None, token: bool | None = None, cached: bool = True) -> Path:
    """Return the safetensors file of a hub repository, as `hub_file` does; a WeightsError where it has none."""
    names = SAFE_NAMES[:1] if filename is None else _safe_alternatives(filename)
    for name in names:
        if (path := hub_file(repository, name, token, cached)) is not None:
            return path
    raise WeightsError(
        f"the hub's '{repository}' has no safetensors weights ({' or '.join(names) or filename}); other formats can "
        f"run code when they are read, so they are refused. Convert them to safetensors, or use random weights"
    )


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
            f"'{folder}' has {pickles[0]} but no safetensors file; that format can run code when it is read, so it is "
            f"refused. Convert it with safetensors.torch.save_file"
        )
    raise WeightsError(f"'{folder}' has no weights; a file model.safetensors is expected")


def read_config(path: Path) -> dict[str, Any]:
    """Read a model's config.json; a ModelError says what is wrong with it."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"'{path}' is not readable JSON ({error}); timm's config.json is expected") from None
    if not isinstance(config, dict) or not isinstance(config.get("architecture"), str):
        raise ModelError(f"'{path}' names no timm architecture; timm's config.json has a field 'architecture'")
    return config


def check_readable(file: Path) -> None:
    """Raise a WeightsError unless a file is a complete safetensors file; only its header is read."""
    if file.suffix != ".safetensors":
        raise WeightsError(f"'{file.name}' is not a .safetensors file; other formats can run code when they are read")
    try:
        with safetensors.safe_open(file, framework="pt"):
            pass
    except FileNotFoundError:
        raise WeightsError(f"weights file '{file}' does not exist") from None
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"'{file}' is not a readable safetensors file ({error})") from None


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Read a safetensors file onto the CPU; a WeightsError says what is wrong with it."""
    file = Path(path)
    check_readable(file)
    return safetensors.torch.load_file(file, device="cpu")


def read_note(path: str | Path, name: str) -> dict[str, Any] | None:
    """The JSON object that a safetensors file carries under a name in its metadata, or None; raises WeightsError."""
    file = Path(path)
    check_readable(file)
    with safetensors.safe_open(file, framework="pt") as opened:
        text = (opened.metadata() or {}).get(name)
    try:
        note = None if text is None else json.loads(text)
    except ValueError:
        raise WeightsError(f"'{file.name}': its metadata '{name}' is not readable JSON") from None
    if note is not None and not isinstance(note, dict):
        raise WeightsError(f"'{file.name}': its metadata '{name}' is not a JSON object")
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
            parts.append(f"{len(missing)} missing, first '{missing[0]}'")
        if unexpected:
            parts.append(f"{len(unexpected)} unexpected, first '{unexpected[0]}'")
        if differing:
            name = differing[0]
            parts.append(
                f"{len(differing)} of another shape, first '{name}' {tuple(tensors[name].shape)} for "
                f"{tuple(own[name].shape)}"
            )
        raise WeightsError(f"'{source}' does not fit this model: " + "; ".join(parts))
    check_finite(tensors, source)
    module.load_state_dict(dict(tensors), strict=names is None)


def check_finite(tensors: Mapping[str, Tensor], source: str) -> None:
    """Raise a WeightsError naming the first tensor with a NaN or an infinite value."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise WeightsError(f"'{source}': tensor '{name}' has values that are not finite (NaN or infinite)")
