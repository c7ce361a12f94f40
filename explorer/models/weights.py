"""Where weights come from: the hub, a folder or a file; safetensors always, a pickle never.

A pickle runs code when it is read. So the file is chosen here, and timm is handed the path of a safetensors file and
nothing else: none of its own ways to a ``.bin`` or ``.pth`` is ever taken.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from email.utils import parsedate_to_datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from huggingface_hub import constants, errors, get_session, hf_hub_download, hf_hub_url
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, tqdm  # type: ignore[attr-defined]
from torch import Tensor, nn

from explorer.errors import ModelError, WeightsError
from explorer.messages import Message, listed
from explorer.writing import reason

#: Names under which a weights file's metadata tells how it was made: by explorer train, and by explorer fit.
RECORD, FITTED = "record", "fitted"
#: Seconds to wait for the hub's first answer, and for more of a file that comes.
HUB_SECONDS, HUB_STALL_SECONDS = 5.0, 30.0
#: How often the hub is asked where it may help, seconds before the second time (twice as many before the next), and
#: seconds of waiting in all; where the hub asks for more it is not tried again.
HUB_ATTEMPTS, HUB_PAUSE, HUB_PATIENCE = 3, 1.0, 20.0

#: The file a repository or folder should have, in the order timm looks for it.
SAFE_NAMES = ("model.safetensors", "open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")
PICKLES = (".bin", ".pth", ".pt", ".tar", ".ckpt", ".pkl", ".npz")


def hub_file(repository: str, filename: str, token: bool | None = None, cached: bool = True) -> Path | None:
    """Return the local path of a file of ``ORG/NAME[@REVISION]``, downloaded if need be; None if it has no such file.

    HF_HOME, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE are respected. Where the hub fails the cache serves. Without it
    what may pass is tried again, ``HUB_ATTEMPTS`` times in all and waiting ``HUB_PATIENCE`` seconds at most: too many
    requests (429), faults of the hub (5xx), no answer, a file that comes incomplete. Then a WeightsError says what the
    hub did and what to do. Part of a file is never taken for it.

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
    way = (
        Message("set HF_TOKEN") if token is not False else Message("whoever runs this server can offer it with --model")
    )
    waited = 0.0
    for attempt in range(HUB_ATTEMPTS):
        try:
            return _watched(partial(_download, name, filename, wanted, token))
        except errors.GatedRepoError:
            raise WeightsError(
                Message(
                    "the weights of '{name}' are gated: accept their terms on {constants}/{name_}, then {way}",
                    name=name,
                    constants=constants.ENDPOINT,
                    name_=name,
                    way=way,
                )
            ) from None
        except errors.RevisionNotFoundError:
            raise WeightsError(
                Message("the hub's '{name}' has no revision '{revision}'", name=name, revision=revision)
            ) from None
        except errors.RepositoryNotFoundError:
            raise WeightsError(
                Message(
                    "the hub at {constants} has no model '{name}' (or it is private: then {way})",
                    constants=constants.ENDPOINT,
                    name=name,
                    way=way,
                )
            ) from None
        except errors.HFValidationError as error:
            raise WeightsError(
                Message("'{name}' is not a hub name; write hf-hub:ORG/NAME ({error})", name=name, error=error)
            ) from None
        except errors.LocalEntryNotFoundError as error:  # a kind of EntryNotFoundError, but it means: no connection
            failure = error.__cause__ if isinstance(error.__cause__, Exception) else error
        except errors.EntryNotFoundError:
            return None
        except Exception as error:  # connection errors are httpx's or httpx2's, as the hub's version has it
            failure = error
        if cached:
            with contextlib.suppress(Exception):
                return Path(hf_hub_download(name, filename, revision=wanted, local_files_only=True))
        pause = _pause(failure, attempt)
        if pause is None or attempt == HUB_ATTEMPTS - 1 or waited + pause > HUB_PATIENCE:
            break
        time.sleep(pause)
        waited += pause
    raise WeightsError(_failure(failure, name, filename, way, cached)) from failure


def _download(name: str, filename: str, revision: str | None, token: bool | None, bar: type[tqdm]) -> Path:
    # Asked without retries, so that a lecture hall without network learns so at once; huggingface_hub's own wait for as
    # long as the hub says.
    asked = get_session().stream(
        "GET",
        hf_hub_url(name, filename, revision=revision),
        headers={**build_hf_headers(token=token), "Range": "bytes=0-0"},
        timeout=HUB_SECONDS,
        follow_redirects=True,
    )
    with asked as answer:
        if answer.status_code != 416:  # an empty file has no first byte
            hf_raise_for_status(answer)
    # By the name of the revision, not its commit: only then is it found again without network.
    return Path(
        hf_hub_download(name, filename, revision=revision, etag_timeout=HUB_SECONDS, token=token, tqdm_class=bar)
    )


class _Stalled(Exception):
    """Nothing new of a file came for too long."""


def _watched(download: Callable[[type[tqdm]], Path]) -> Path:
    """Run a download; raise _Stalled where nothing new comes for ``HUB_STALL_SECONDS``.

    huggingface_hub begins a file anew as often as some of it comes, so that by itself it may never end. It is left
    alone then, and ends with the next thing it hears.
    """
    news, so_far, furthest, given_up = time.monotonic(), 0, 0, False

    class Bar(tqdm):
        def update(self, n: float | None = 1) -> bool | None:
            nonlocal news, so_far, furthest
            if given_up:
                raise _Stalled
            so_far += int(n or 0)
            if so_far > furthest:
                news, furthest = time.monotonic(), so_far
            shown: bool | None = super().update(n)
            return shown

    done: Future[Path] = Future()

    def run() -> None:
        try:
            done.set_result(download(Bar))
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, daemon=True, name="hub").start()
    while True:
        left = news + HUB_STALL_SECONDS - time.monotonic()
        try:
            return done.result(max(0.0, left))
        except NotYet:
            if done.done():
                raise
            if time.monotonic() - news >= HUB_STALL_SECONDS:
                given_up = True
                raise _Stalled from None


def _status(failure: Exception) -> int | None:
    """The status of an HTTP answer that says no, or None."""
    found = getattr(getattr(failure, "response", None), "status_code", None)
    return found if isinstance(found, int) and found >= 400 else None


def _kind(failure: Exception) -> str:
    """What went wrong below HTTP: slow, broken, circle, disk or ""; httpx and httpx2 name their errors alike."""
    known = {one.__name__ for one in type(failure).__mro__}
    if "TimeoutException" in known or isinstance(failure, TimeoutError):
        return "slow"
    if "TooManyRedirects" in known:
        return "circle"
    if known & {"RemoteProtocolError", "ReadError", "DecodingError"} or "Consistency check failed" in str(failure):
        return "broken"
    if isinstance(failure, OSError) and failure.errno is not None and not isinstance(failure, ConnectionError):
        return "disk"
    return ""


def _pause(failure: Exception, attempt: int) -> float | None:
    """Seconds after which to try again, or None where that would not help."""
    status = _status(failure)
    if status == 429 and (wish := _retry_after(failure)) is not None:
        return wish
    if status in (408, 429) or (status or 0) >= 500 or (status is None and _kind(failure) == "broken"):
        return HUB_PAUSE * 2**attempt
    return 0.0 if status is None and _kind(failure) == "slow" else None  # it was waited for


def _retry_after(failure: Exception) -> float | None:
    """The seconds that the hub asks to wait, said as a number or a date; or None."""
    text = str(getattr(failure, "response").headers.get("Retry-After", "")).strip()  # noqa: B009 - of either httpx
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        if text.isdecimal():
            return float(text)
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    return None


def _failure(failure: Exception, name: str, filename: str, way: str, cached: bool) -> str:
    """What the hub did, and what to do."""
    hub, status, kind = (
        Message("the hub at {constants}", constants=constants.ENDPOINT),
        _status(failure),
        _kind(failure),
    )
    if status == 401:
        return Message(
            "{hub} does not accept who asks for '{name}' (401): the token is wrong or has expired, or {way}",
            hub=hub,
            name=name,
            way=way,
        )
    if status == 403:
        return Message(
            "{hub} does not let you have '{name}' (403): the token may not read it, or {way}",
            hub=hub,
            name=name,
            way=way,
        )
    if status == 404:
        return Message(
            "{hub} does not know '{filename}' of '{name}' (404); see that both are spelt as there",
            hub=hub,
            filename=filename,
            name=name,
        )
    if status == 429:
        wish = _retry_after(failure)
        when = "later" if wish is None else Message("in {wish} s", wish=f"{wish:.0f}")
        return Message(
            "{hub} has been asked too often (429) and gives nothing of '{name}' now; try again {when}",
            hub=hub,
            name=name,
            when=when,
        )
    if status is not None and status >= 500:
        return Message(
            "{hub} has a fault of its own ({status}) and gives nothing of '{name}' now; try again later",
            hub=hub,
            status=status,
            name=name,
        )
    if status is not None:
        return Message(
            "{hub} refuses '{filename}' of '{name}' ({status}); see that HF_ENDPOINT is the address of a hub",
            hub=hub,
            filename=filename,
            name=name,
            status=status,
        )
    if isinstance(failure, _Stalled):
        return Message(
            "'{filename}' of '{name}' stopped coming: {hub} sent nothing new for {g} s; try again later",
            filename=filename,
            name=name,
            hub=hub,
            g=f"{HUB_STALL_SECONDS:g}",
        )
    if kind == "broken":
        return Message(
            "'{filename}' of '{name}' came incomplete from {hub}, and nothing of it is kept; try again later",
            filename=filename,
            name=name,
            hub=hub,
        )
    if kind == "circle":
        return Message(
            "{hub} leads in a circle (redirects) to '{name}'; see that HF_ENDPOINT is the address of a hub",
            hub=hub,
            name=name,
        )
    if kind == "disk":
        return Message(
            "'{filename}' of '{name}' finds no place in the cache ({constants}): {failure}. HF_HOME names the "
            "place of the cache",
            filename=filename,
            name=name,
            constants=constants.HF_HUB_CACHE,
            failure=reason(failure),
        )
    if type(failure).__name__ == "FileMetadataError":
        return Message(
            "what answers at {constants} is no hub: it does not say which '{filename}' it has",
            constants=constants.ENDPOINT,
            filename=filename,
        )
    if not cached:
        return Message(
            "the hub cannot be asked now whether everybody may have '{name}'; whoever runs this server can offer "
            "it by starting it with --model hf-hub:{name_}",
            name=name,
            name_=name,
        )
    said = Message("no answer within {g} s", g=f"{HUB_SECONDS:g}") if kind == "slow" else type(failure).__name__
    return Message(
        "'{name}' is not in the cache ({constants}) and the hub at {constants_} cannot be reached "
        "({name__}). Connect to the network, or set HF_HOME to a filled cache, or load it from a folder with "
        "local-dir:PATH, or take random weights with 'random/' before the name",
        name=name,
        constants=constants.HF_HUB_CACHE,
        constants_=constants.ENDPOINT,
        name__=said,
    )


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


def read_config(path: Path) -> dict[str, Any]:
    """Read a model's config.json; a ModelError says what is wrong with it."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(
            Message("'{path}' is not readable JSON ({error}); timm's config.json is expected", path=path, error=error)
        ) from None
    if not isinstance(config, dict) or not isinstance(config.get("architecture"), str):
        raise ModelError(
            Message("'{path}' names no timm architecture; timm's config.json has a field 'architecture'", path=path)
        )
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
            Message("'{name}': its metadata '{name_}' is not readable JSON", name=file.name, name_=name)
        ) from None
    if note is not None and not isinstance(note, dict):
        raise WeightsError(Message("'{name}': its metadata '{name_}' is not a JSON object", name=file.name, name_=name))
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
            parts.append(Message("{missing} missing, first '{missing_}'", missing=len(missing), missing_=missing[0]))
        if unexpected:
            parts.append(
                Message(
                    "{unexpected} unexpected, first '{unexpected_}'",
                    unexpected=len(unexpected),
                    unexpected_=unexpected[0],
                )
            )
        if differing:
            name = differing[0]
            parts.append(
                Message(
                    "{differing} of another shape, first '{name}' {shape} for {shape_}",
                    differing=len(differing),
                    name=name,
                    shape=tuple(tensors[name].shape),
                    shape_=tuple(own[name].shape),
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
