"""A file of the hub: from the cache or fetched, in bounded time, and in words what went wrong."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path

from huggingface_hub import constants, errors, get_session, hf_hub_download, hf_hub_url
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, tqdm  # type: ignore[attr-defined]

from explorer.errors import WeightsError
from explorer.messages import Message
from explorer.writing import reason

#: Seconds to wait for the hub's first answer, and for more of a file that comes.
HUB_SECONDS, HUB_STALL_SECONDS = 5.0, 30.0
#: How often the hub is asked where it may help, seconds before the second time (twice as many before the next), and
#: seconds of waiting in all; where the hub asks for more it is not tried again.
HUB_ATTEMPTS, HUB_PAUSE, HUB_PATIENCE = 3, 1.0, 20.0


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
                    "the weights of '{name}' are gated: accept their terms on {address}/{name}, then {way}",
                    name=name,
                    address=constants.ENDPOINT,
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
                    "the hub at {address} has no model '{name}' (or it is private: then {way})",
                    address=constants.ENDPOINT,
                    name=name,
                    way=way,
                )
            ) from None
        except errors.HFValidationError as error:
            raise WeightsError(
                Message(
                    "'{name}' is not a hub name; write hf-hub:ORG/NAME or hf:ORG/NAME ({error})", name=name, error=error
                )
            ) from None
        except errors.LocalEntryNotFoundError as error:  # a kind of EntryNotFoundError, but it means: no connection
            failure = error.__cause__ if isinstance(error.__cause__, Exception) else error
        except errors.EntryNotFoundError:
            return None
        except _Stalled as stalled:
            failure, waited = _refused(name, filename, wanted, token) or stalled, waited + HUB_STALL_SECONDS
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


def _ask(name: str, filename: str, revision: str | None, token: bool | None, part: Mapping[str, str]) -> None:
    """Ask for a file, or for the part of it that a header names, and read none of it; raises what the hub says."""
    asked = get_session().stream(
        "GET",
        hf_hub_url(name, filename, revision=revision),
        headers={**build_hf_headers(token=token), **part},
        timeout=HUB_SECONDS,
        follow_redirects=True,
    )
    with asked as answer:
        if answer.status_code != 416:  # an empty file has no first byte
            hf_raise_for_status(answer)


def _download(name: str, filename: str, revision: str | None, token: bool | None, bar: type[tqdm]) -> Path:
    # Asked without retries, so that a lecture hall without network learns so at once; huggingface_hub's own wait for as
    # long as the hub says.
    _ask(name, filename, revision, token, {"Range": "bytes=0-0"})
    # By the name of the revision, not its commit: only then is it found again without network.
    return Path(
        hf_hub_download(name, filename, revision=revision, etag_timeout=HUB_SECONDS, token=token, tqdm_class=bar)
    )


class _Stalled(Exception):
    """Nothing new of a file came for too long."""


def _refused(name: str, filename: str, revision: str | None, token: bool | None) -> Exception | None:
    """What the hub says to a request for a whole file that did not come; None where it would send it.

    A hub that gives the first byte may refuse the rest (429), and huggingface_hub then waits without a word for as long
    as it is told to.
    """
    try:
        _ask(name, filename, revision, token, {})
    except Exception as error:
        return error if _status(error) else None
    return None


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
        Message("the hub at {address}", address=constants.ENDPOINT),
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
            "'{filename}' of '{name}' stopped coming: {hub} sent nothing new for {seconds} s; try again later",
            filename=filename,
            name=name,
            hub=hub,
            seconds=f"{HUB_STALL_SECONDS:g}",
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
            "'{filename}' of '{name}' finds no place in the cache ({cache}): {reason}. HF_HOME names the "
            "place of the cache",
            filename=filename,
            name=name,
            cache=constants.HF_HUB_CACHE,
            reason=reason(failure),
        )
    if type(failure).__name__ == "FileMetadataError":
        return Message(
            "what answers at {address} is no hub: it does not say which '{filename}' it has",
            address=constants.ENDPOINT,
            filename=filename,
        )
    if not cached:
        return Message(
            "the hub cannot be asked now whether everybody may have '{name}'; whoever runs this server can offer "
            "it by naming it with --model at the start",
            name=name,
        )
    said = (
        Message("no answer within {seconds} s", seconds=f"{HUB_SECONDS:g}")
        if kind == "slow"
        else type(failure).__name__
    )
    return Message(
        "'{name}' is not in the cache ({cache}) and the hub at {hub} cannot be reached "
        "({reason}). Connect to the network, or set HF_HOME to a filled cache, or load it from a folder with "
        "local-dir:PATH, or take random weights with 'random/' before the name",
        name=name,
        cache=constants.HF_HUB_CACHE,
        hub=constants.ENDPOINT,
        reason=said,
    )
