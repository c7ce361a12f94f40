"""A hub that fails in every way: each has its own sentence, all end soon, and part of a file is never taken for it."""

from __future__ import annotations

import errno
import http.server
import json
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import huggingface_hub
import pytest
import safetensors.torch
import timm

from explorer.errors import ExplorerError, ModelError, WeightsError
from explorer.models.hub import hub_file
from explorer.models.loading import load

COMMIT = "c" * 40
FILES = ("config.json", "model.safetensors")


class Failing(http.server.BaseHTTPRequestHandler):
    """A hub with one good model, of which one file fails in one way, for as many times as it is told."""

    folder: Path
    file: str
    way: str
    times: float
    asked: list[tuple[str, str]]
    stopped: threading.Event

    def do_GET(self) -> None:
        name = self.path.split("?")[0].rsplit("/", 1)[-1]
        self.asked.append((self.command, name))
        kind = type(self)
        if name == self.file and self.times > 0:
            if self.command == "GET":
                kind.times -= 1
            if self.fail(self.way):
                return
        content = (self.folder / name).read_bytes() if (self.folder / name).is_file() else None
        if content is None:
            self.answer(404, b"", {"X-Error-Code": "EntryNotFound"})
        else:
            self.answer(200, content)

    do_HEAD = do_GET

    def answer(self, code: int, content: bytes, headers: dict[str, str] | None = None, length: int = -1) -> None:
        self.send_response(code)
        own = {
            "ETag": f'"etag-{self.path.rsplit("/", 1)[-1]}"',
            "X-Repo-Commit": COMMIT,
            "Content-Length": str(max(length, len(content))),
        }
        for key, value in {**own, **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)
            self.wfile.flush()

    def fail(self, way: str) -> bool:
        content = (self.folder / self.file).read_bytes()
        kind, _, value = way.partition(" ")
        if kind.isdecimal():
            self.answer(int(kind), b"no", {"Retry-After": value} if value else {})
        elif kind == "silent":
            self.stopped.wait(20)
        elif kind == "circle":
            self.answer(302, b"", {"Location": self.path})
        elif self.command == "HEAD" or self.headers.get("Range") == "bytes=0-0":
            return False
        elif kind == "stops":  # in the middle, and the connection stays
            self.answer(200, content[: len(content) // 2], length=len(content))
            self.stopped.wait(20)
        elif kind == "short":
            self.answer(200, content[: len(content) // 2], length=len(content))
        elif kind == "later":  # not seen when the hub is asked first
            self.answer(429, b"", {"Retry-After": "3600"})
        self.close_connection = True
        return True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Failing]]:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architecture": "test_resnet", "num_classes": 10}))
    safetensors.torch.save_file(timm.create_model("test_resnet", num_classes=10).state_dict(), folder / FILES[1])
    state = {"folder": folder, "file": "", "way": "", "times": 0, "asked": [], "stopped": threading.Event()}
    handler = type("Handler", (Failing,), state)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.3)
    monkeypatch.setattr("explorer.models.hub.HUB_SECONDS", 0.5)
    monkeypatch.setattr("explorer.models.hub.HUB_STALL_SECONDS", 2.0)
    monkeypatch.setattr("explorer.models.hub.HUB_PAUSE", 0.05)
    monkeypatch.setattr("explorer.models.hub.HUB_PATIENCE", 2.0)
    yield handler
    handler.stopped.set()
    server.shutdown()
    server.server_close()


#: How the hub fails: what is said of it, and how often it is asked.
WAYS = {
    "401": ("does not accept who asks|has no model", 1),
    "403": (r"does not let you have 'org/model' \(403\)", 1),
    "404": (r"does not know '.*' of 'org/model' \(404\)", 1),
    "410": (r"refuses '.*' of 'org/model' \(410\)", 1),
    "429": (r"asked too often \(429\).*try again later", 3),
    "429 0": (r"asked too often \(429\).*try again in 0 s", 3),
    "429 3600": (r"asked too often \(429\).*try again in 3600 s", 1),
    "429 nonsense": (r"asked too often \(429\).*try again later", 3),
    "500": (r"a fault of its own \(500\)", 3),
    "502": (r"a fault of its own \(502\)", 3),
    "503": (r"a fault of its own \(503\)", 3),
    "503 3600": (r"a fault of its own \(503\)", 3),
    "silent": ("cannot be reached .no answer within 0.5 s", 3),
    "circle": ("leads in a circle", 1),
    "stops": ("sent nothing new for 2 s|came incomplete|cannot be reached", None),
    "short": ("came incomplete|sent nothing new for 2 s", None),
    "later": (r"asked too often \(429\).*try again in 3600 s", None),
}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("way", WAYS)
def test_each_failure_is_told_soon_and_leaves_no_part_of_a_file(hub: type[Failing], tmp_path: Path, file, way):
    said, times = WAYS[way]
    hub.file, hub.way, hub.times = file, way, float("inf")
    start = time.monotonic()
    with pytest.raises(WeightsError, match=said) as caught:
        load("hf-hub:org/model", "cpu")
    assert time.monotonic() - start < 12
    assert "Traceback" not in str(caught.value)
    asked = [name for _, name in hub.asked if name == file]
    if times is not None:
        # A circle is gone round until the client has enough of it.
        assert len(asked) == times or (way == "circle" and len(asked) > times)
    found = [path for path in (tmp_path / "cache").rglob(file) if path.exists()]
    assert not found
    # When the hub is well again, all is well.
    hub.times = 0
    hub.stopped.set()
    if way != "later":  # whoever waits there for an hour holds the file's lock
        assert load("hf-hub:org/model", "cpu").num_classes == 10


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("way", ["429", "429 1", "500", "502", "503", "silent", "short", "stops"])
def test_what_passes_is_waited_for(hub: type[Failing], file, way):
    hub.file, hub.way, hub.times = file, way, 1
    assert load("hf-hub:org/model", "cpu").num_classes == 10


@pytest.mark.parametrize("way", ["401", "403", "404", "429 3600", "500", "silent", "circle"])
def test_the_cache_serves_where_the_hub_fails(hub: type[Failing], way):
    assert load("hf-hub:org/model", "cpu").num_classes == 10
    hub.way, hub.times = way, float("inf")
    hub.asked.clear()
    for file in FILES:
        hub.file = file
        if way == "401":
            continue  # the repository is gone, or not for everybody any more
        assert hub_file("org/model", file) is not None
    # Nobody is given from it what the hub was not asked about.
    hub.file = FILES[0]
    with pytest.raises(WeightsError):
        hub_file("org/model", FILES[0], False, False)


def test_a_date_to_wait_for_is_understood(hub: type[Failing]):
    hub.file, hub.way, hub.times = FILES[0], f"429 {formatdate(time.time() + 600, usegmt=True)}", float("inf")
    with pytest.raises(WeightsError, match=r"try again in (59\d|600) s"):
        load("hf-hub:org/model", "cpu")
    assert len(hub.asked) == 1


@pytest.mark.usefixtures("hub")
def test_a_cache_without_room_is_no_matter_of_the_network(tmp_path: Path, monkeypatch):
    (tmp_path / "cache").touch()  # no folder can be made there
    with pytest.raises(WeightsError, match=r"finds no place in the cache .*HF_HOME"):
        load("hf-hub:org/model", "cpu")
    (tmp_path / "cache").unlink()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("explorer.models.hub.hf_hub_download", full)
    with pytest.raises(WeightsError, match=r"finds no place in the cache .*the disk is full; make room"):
        load("hf-hub:org/model", "cpu")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"7", b'{"architecture": 7}', b'{"architecture": ["a"]}', b"\xff\xfe{", b"[" * 100_000],
)
def test_a_configuration_that_is_none_is_told(hub: type[Failing], content: bytes):
    (hub.folder / "config.json").write_bytes(content)
    with pytest.raises(ModelError) as caught:
        load("hf-hub:org/model", "cpu")
    assert isinstance(caught.value, ExplorerError)
    assert "config.json" in str(caught.value)
