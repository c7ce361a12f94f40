"""Who may read and use what: a server asked from outside, by raw HTTP, as somebody would who means no good."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from huggingface_hub import constants
from PIL import Image
from starlette.datastructures import Headers

from explorer.errors import ParameterError, WeightsError
from explorer.images import samples
from explorer.models.hub import hub_file
from explorer.models.spec import ModelSpec
from explorer.ui.answers import Answers
from explorer.ui.controls import parse_spec
from explorer.ui.guard import Guard, Hosts, pathless, uploaded
from explorer.ui.handlers import Handlers
from explorer.ui.request import Failure
from explorer.ui.upload import Own, pick, sent

from .asking import Asking, run_alone
from .conftest import ROOT, answering, free_port

#: No word of the page, and no colour of its pictures.
SECRET, COLOUR = "zqxj-7f31-secret.png", (1, 254, 77)
#: Makes a server treat its visitors as strangers though the test reaches it on a loopback address.
STRANGERS = "import explorer.ui.guard as guard; guard.is_loopback = lambda host: False\n"


@dataclass
class Served:
    """A server in a process of its own."""

    address: str
    process: subprocess.Popen[bytes]
    log: Path
    temporary: Path

    def send(self, text: bytes, name: str, kind: str = "image/png") -> str:
        """Upload a file as a browser does; returns gradio's path."""
        return str(httpx.post(f"{self.address}/gradio_api/upload", files={"files": (name, text, kind)}).json()[0])

    def config(self) -> Any:
        return httpx.get(f"{self.address}/config").json()

    def event(self, number: int, data: list[Any], seconds: float = 20) -> str:
        """Ask for an event and return all that is said of it."""
        session = f"test{time.monotonic_ns()}"
        body = {"data": data, "fn_index": number, "session_hash": session, "trigger_id": None, "event_data": None}
        joined = httpx.post(f"{self.address}/gradio_api/queue/join", json=body)
        if joined.status_code != 200:
            return joined.text
        said = []
        end = time.monotonic() + seconds
        with httpx.stream(
            "GET", f"{self.address}/gradio_api/queue/data", params={"session_hash": session}, timeout=seconds
        ) as stream:
            for line in stream.iter_lines():
                said.append(line)
                if '"process_completed"' in line or time.monotonic() > end:
                    break
        return "\n".join(said)


@contextmanager
def serving(folder: Path, arguments: str, before: str = "") -> Iterator[Served]:
    """A server whose temporary files lie in a folder of their own."""
    port, log, temporary = free_port(), folder / "log.txt", folder / "temporary"
    temporary.mkdir(exist_ok=True)
    code = f"{before}from explorer.ui.page import serve\nserve({arguments}, port={port})"
    variables = {key: one for key, one in os.environ.items() if key not in ("GRADIO_TEMP_DIR", "HF_TOKEN")}
    variables |= {"TMPDIR": str(temporary)}
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, env=variables
        )
    address = f"http://127.0.0.1:{port}"
    try:
        answering(address, process, log)
        yield Served(address, process, log, temporary)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server for strangers."""
    with serving(tmp_path_factory.mktemp("hall"), "['random/test_resnet']", STRANGERS) as served:
        yield served


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture that nobody uploaded."""
    path = tmp_path_factory.mktemp("private") / SECRET
    Image.new("RGB", (64, 64), COLOUR).save(path)
    return path


@pytest.fixture(scope="module")
def stand_in() -> Iterator[tuple[str, list[str]]]:
    """An address that no server has any business with, and what was asked of it."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        do_HEAD = do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/{SECRET}", asked
    server.shutdown()
    server.server_close()


def picture(colour: tuple[int, int, int] = (9, 90, 200)) -> bytes:
    import io

    file = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(file, "PNG")
    return file.getvalue()


# ---- files ----------------------------------------------------------------------------------------------------------


def forms(secret: Path, uploads: Path, own: str, address: str) -> list[Any]:
    """Every form of a file object that is no upload."""
    link = uploads / "link.png"
    if not link.is_symlink():
        link.symlink_to(secret)
        (uploads / "folder-link").symlink_to(secret.parent)
    meta = {"_type": "gradio.FileData"}
    paths: list[Any] = [
        *(str(secret), str(link), str(uploads / "folder-link" / SECRET), str(secret.parent), str(uploads)),
        *(os.path.relpath(secret, ROOT), os.path.relpath(secret, uploads), f"{own}/../../{SECRET}"),
        *(f"{uploads}/../../../{secret}", f"file://{secret}", f"file:{secret}", f"{secret}\0.png", f"{own}\0"),
        *("/proc/self/environ", "/dev/zero", "/etc/passwd", "", ".", "x" * 100_000, "/" * 5000),
        *(address, address.upper(), f"//{address[7:]}", {"path": str(secret)}, [str(secret)], 7, True),
    ]
    return [
        *({"path": path} for path in paths),
        *({"path": path, "meta": meta} for path in paths),
        {"path": str(secret), "url": address, "meta": meta, "orig_name": "a.png", "is_stream": True},
        {"path": str(secret), "meta": {"_type": "another"}},
        [{"path": str(secret)}],
        {"a": [{"b": {"path": str(secret), "meta": meta}}]},
        {"background": {"path": str(secret), "meta": meta}, "layers": [], "composite": None},
        {"value": {"path": address, "meta": meta}},
    ]


def test_no_event_reads_a_file_that_was_not_uploaded_in_any_form(hall: Served, secret: Path, stand_in: Any):
    address, asked = stand_in
    own = hall.send(picture(), "mine.png")
    uploads = Path(own).parents[1]
    config = hall.config()
    events = [one for one in config["dependencies"] if one["backend_fn"]]
    assert len(events) > 20
    bad = forms(secret, uploads, own, address)
    tried = 0
    with httpx.Client(base_url=hall.address) as client:
        for event in events:
            name = event["api_name"] or "none"
            for place in range(len(event["inputs"])):
                for form in bad:
                    data = [None] * len(event["inputs"])
                    data[place] = form
                    body = {"data": data, "fn_index": event["id"], "session_hash": "s"}
                    got = client.post("/gradio_api/queue/join", json=body)
                    assert got.status_code == 400, (name, place, form)
                    assert "not uploaded here" in got.text
                    assert SECRET not in got.text
                    tried += 1
            for way in ("run", "api", "call", "call/v2"):
                body = {"data": [bad[0]] * max(1, len(event["inputs"]))}
                assert client.post(f"/gradio_api/{way}/{name}", json=body).status_code == 400
        for component in config["components"]:
            for function in component["props"].get("server_fns") or ():
                body = {"data": bad[0], "component_id": component["id"], "fn_name": function, "session_hash": "s"}
                assert client.post("/gradio_api/component_server", json=body).status_code == 400
        # A form that only a laxer reader would take for JSON, and one without end.
        body = {"data": [bad[0]], "fn_index": 0, "session_hash": "s"}
        for text in (json.dumps(body), json.dumps(body).replace('"path"', '"\\u0070ath"')):
            for kind in ("text/plain", "application/json; charset=utf-16", "application/x-www-form-urlencoded"):
                assert (
                    client.post("/gradio_api/queue/join", content=text, headers={"content-type": kind}).status_code
                    == 400
                )
        assert client.post("/gradio_api/queue/join", content=b"x" * 5_000_000).status_code == 413
        assert client.post("/gradio_api/queue/join", content=b"[" * 100_000).status_code == 400
        assert client.post("/gradio_api/component_server", files={"file": b"x"}).status_code == 400
    assert tried > 500
    assert asked == []


def of_picture(config: Any) -> int:
    """The number of the event that takes a visitor's own picture."""
    kinds = {one["id"]: one["type"] for one in config["components"]}
    return next(
        one["id"]
        for one in config["dependencies"]
        if one["backend_fn"] and [kinds[i] for i in one["inputs"]] == ["image", "textbox"]
    )


def test_an_upload_is_taken_and_no_address_that_comes_with_it_is_asked(hall: Served, stand_in: Any):
    address, asked = stand_in
    path = hall.send(picture(), "mine.png")
    file = {"path": path, "url": address, "meta": {"_type": "gradio.FileData"}, "orig_name": "mine.png"}
    said = hall.event(of_picture(hall.config()), [file, "en"])
    assert "own:" in said
    for form in (
        {"url": address},
        {"url": address, "meta": {"_type": "gradio.FileData"}},
        {"path": None, "url": address},
    ):
        assert "own:" not in hall.event(of_picture(hall.config()), [form, "en"])
    assert asked == []


def test_texts_that_look_like_paths_are_texts(hall: Served, secret: Path, stand_in: Any):
    address, asked = stand_in
    config = hall.config()
    values = {one["id"]: one["props"].get("value") for one in config["components"]}
    kinds = {one["id"]: one["type"] for one in config["components"]}
    language = next(one["id"] for one in config["components"] if one["props"].get("elem_id") == "language")
    told = []
    for event in config["dependencies"]:
        if not event["backend_fn"]:
            continue
        for place, target in enumerate(event["inputs"]):
            # Which language is none of the page's is English: what is asked works.
            if kinds[target] == "state" or target == language:
                continue
            for text in (str(secret), [address]):
                # What works step by step would work for long on everything else as it is.
                step = event["types"]["generator"]
                data = [None if step else values[one] for one in event["inputs"]]
                data[place] = text
                told.append(hall.event(event["id"], data))
    asking = Asking(hall.address)
    for name in asking.places:
        for text in (str(secret), [address]):
            whole, part = {"models": text, "question": {"picture": text}}, {"models": [text], "question": text}
            told += [asking.post(asking.body(name, one)).text for one in (text, whole, part)]
    assert len(told) > 30
    said = "\n".join(told)
    assert not re.search(r"\bown:", said), "no picture was taken"
    assert asked == []
    for place in (str(hall.temporary), str(ROOT), constants.HF_HUB_CACHE):
        left = said.replace(str(secret), "")
        assert place not in left, left[max(0, left.find(place) - 600) : left.find(place) + 300]


def test_files_are_served_from_the_folder_of_uploads_alone(hall: Served, secret: Path, stand_in: Any):
    address, asked = stand_in
    text = picture()
    path = hall.send(text, "mine.png")
    assert httpx.get(f"{hall.address}/gradio_api/file={path}").content == text
    uploads = Path(path).parents[1]
    bad = [one["path"] for one in forms(secret, uploads, path, address) if isinstance(one, dict) and "path" in one]
    client = httpx.Client(base_url=hall.address)
    for one in {one for one in bad if isinstance(one, str) and 1 < len(one) < 4000}:
        quoted = httpx.QueryParams({"a": one}).__str__()[2:].replace("+", "%20")
        for form in (quoted, quoted.replace("%2F", "/"), quoted.replace("%", "%25")):
            for way in ("file=", "proxy=", "file/"):
                got = client.get(f"/gradio_api/{way}{form}")
                assert got.status_code in (400, 403, 404), (way, form, got.status_code)
                assert b"\x89PNG" not in got.content
    assert asked == []


def test_only_a_regular_file_in_the_folder_of_uploads_is_an_upload(tmp_path: Path, monkeypatch, secret: Path):
    home = tmp_path / "uploads"
    good = home / "abc" / "mine.png"
    good.parent.mkdir(parents=True)
    good.write_bytes(picture())
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(home))
    assert uploaded(str(good)) == good
    (home / "inner.png").symlink_to(good)
    assert uploaded(home / "inner.png") == good
    (tmp_path / "uploads-beside").mkdir()
    (tmp_path / "uploads-beside" / "x.png").write_bytes(picture())
    os.mkfifo(home / "pipe")
    (home / "out.png").symlink_to(secret)
    bad = [
        *(secret, home, home / "abc", home / "pipe", home / "out.png", home / "none.png", f"{good}\0", None, 3, ""),
        *(tmp_path / "uploads-beside" / "x.png", home / ".." / "uploads-beside" / "x.png", "~", "mine.png"),
    ]
    for one in bad:
        with pytest.raises(ParameterError, match="not uploaded here"):
            uploaded(one)
    # Where somebody else launches the page, nothing stands before gradio: what reads the files checks them too.
    read = sent({"path": str(good)})
    assert read is not None
    assert read.image is not None
    refused = sent({"path": str(secret)})
    assert refused is not None
    assert refused.image is None
    with pytest.raises(Exception, match="not uploaded here"):
        Handlers(Answers(folders=False)).bring(str(secret), ["lab/conv"])


# ---- spelling -------------------------------------------------------------------------------------------------------

FOLDERS = [
    *("local-dir:{0}", "Local-Dir:{0}", "LOCAL-DIR:{0}", " local-dir:{0} ", "local-dir: {0}", "local-dir :{0}"),
    *("random/local-dir:{0}", "random/Local-Dir:{0}", "random/ local-dir:{0}", "lab/local-dir:{0}", "local-dir:{0}#3"),
    *("Local-Dir:{0}+mhsa@2", "local-dir:{0}/", "local-dir:{0}/../etc", "local-dir:~", "Local-dir:~root"),
]


@pytest.mark.parametrize("text", FOLDERS)
def test_a_folder_is_refused_however_it_is_written(text: str):
    with pytest.raises(ParameterError, match="folders of the server"):
        parse_spec(text.format("/etc"), folders=False, named_at_launch=["local-dir:/models/mine"])


def test_a_folder_named_at_launch_is_open_however_it_is_written(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "way").symlink_to(tmp_path / "mine")
    named = [f"Local-Dir:{tmp_path}/mine"]
    for text in ("local-dir:{0}/mine", "LOCAL-dir:{0}/mine/", "local-dir:{0}/other/../mine", "local-dir:~/mine",
                 "local-dir:{0}/way+mhsa@2", "random/local-dir:{0}/mine#4"):  # fmt: skip
        parse_spec(text.format(tmp_path), False, named)
    for text in ("local-dir:{0}/other", "local-dir:{0}", "local-dir:{0}/mine2", "local-dir:~"):
        with pytest.raises(ParameterError, match="folders of the server"):
            parse_spec(text.format(tmp_path), False, named)


def test_a_source_is_written_in_one_way():
    for text in ("HF-HUB:org/name", "hf_hub:org/name", "Hf_Hub: org/name", " hf-hub:org/name"):
        assert str(ModelSpec.parse(text)) == "hf-hub:org/name"
        assert ModelSpec.parse(text) == ModelSpec(text) == ModelSpec("hf-hub:org/name")
    assert str(ModelSpec.parse("random/Local-Dir:/A/b#2#1")) == "random/local-dir:/A/b#2#1"
    for text in ("timm:resnet18", "ftp:x", "file:///etc", "C:\\models", "http://127.0.0.1/x", "random/x:y", ":x"):
        with pytest.raises(ParameterError, match=r"hf-hub:ORG/NAME.*local-dir:PATH"):
            ModelSpec.parse(text)
    for text in ("local-dir:", "hf-hub: ", "local-dir:/a\0b"):
        with pytest.raises(ParameterError, match="is expected"):
            ModelSpec.parse(text)


def test_the_home_folder_has_its_sign(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    spec = ModelSpec.parse("local-dir:~/models/a")
    assert str(spec) == "local-dir:~/models/a"  # a link says nothing of whose it is
    assert spec.source.folder == tmp_path / "models" / "a"


# ---- hosts and headers ----------------------------------------------------------------------------------------------


def asks(hosts: Hosts, host: str, **more: str) -> bool:
    raw = [(b"host", host.encode()), *((name.replace("_", "-").encode(), one.encode()) for name, one in more.items())]
    return hosts.foreign(Headers(raw=raw)) is None


def test_a_server_answers_to_its_own_names(monkeypatch):
    for variable in ("SPACE_HOST", "SPACE_ID"):
        monkeypatch.delenv(variable, raising=False)
    own = Hosts("127.0.0.1")
    for host in ("127.0.0.1", "127.0.0.1:7860", "localhost:1", "LOCALHOST", "[::1]:7860", "[::1]", "127.9.9.9"):
        assert asks(own, host), host
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "localhost:x", "",
                 "127.0.0.1@evil.example", "evil.example:80", "localhost evil", "127.0.0.1, evil.example"):  # fmt: skip
        assert not asks(own, host), host
    assert not asks(own, "localhost", x_forwarded_host="evil.example")
    assert not asks(own, "localhost", x_forwarded_host="localhost, evil.example")
    assert not asks(own, "localhost", x_gradio_server="http://evil.example/")
    assert asks(own, "localhost", x_forwarded_host="127.0.0.1:7860", x_gradio_server="http://localhost:7860/")
    assert own.foreign(Headers(raw=[])) is not None
    assert own.foreign(Headers(raw=[(b"host", b"localhost"), (b"host", b"evil.example")])) is not None
    hall = Hosts("0.0.0.0", ["Explorer.uni.example"])
    monkeypatch.setattr("socket.gethostname", lambda: "desk7.uni.example")
    for host in ("192.168.1.5:7860", "[fe80::1]", "localhost", "explorer.uni.example:80"):
        assert asks(hall, host), host
    for host in ("desk7", "desk7.local", "desk7.uni.example"):
        assert asks(Hosts("0.0.0.0"), host), host
    assert not asks(hall, "evil.example")
    monkeypatch.setenv("SPACE_HOST", "me-explorer.hf.space")
    assert asks(Hosts("0.0.0.0"), "me-explorer.hf.space")
    assert not asks(Hosts("0.0.0.0"), "other.hf.space")


def test_every_kind_of_answer_has_the_headers_and_a_foreign_host_gets_none(hall: Served):
    path = hall.send(picture(), "mine.png")
    kinds = {
        "/": 200, "/config": 200, "/nothing": 404, "/gradio_api/file=/etc/passwd": 403, f"/gradio_api/file={path}": 200,
        "/theme.css": 200, "/gradio_api/queue/data?session_hash=none": 200, "/gradio_api/info": 200,
    }  # fmt: skip
    with httpx.Client(base_url=hall.address, timeout=20) as client:
        for address, status in kinds.items():
            with client.stream("GET", address) as got:
                assert got.status_code == status, address
                assert got.headers["x-content-type-options"] == "nosniff"
                assert got.headers["referrer-policy"] == "same-origin"
                policy = dict(one.split(" ", 1) for one in got.headers["content-security-policy"].split("; "))
            assert policy["object-src"] == "'none'"
            assert policy["base-uri"] == policy["form-action"] == "'self'"
            assert policy["frame-ancestors"] == "'self' https://huggingface.co https://*.hf.space"
            assert policy["connect-src"] == "'self' data: blob:"
            for headers in ({"host": "evil.example"}, {"x-forwarded-host": "evil.example"}):
                refused = client.get(address, headers=headers)
                assert refused.status_code == 421, address
                assert "--allow-host" in refused.text
                assert refused.headers["x-content-type-options"] == "nosniff"
        body = {"data": [], "fn_index": 0, "session_hash": "s"}
        assert client.post("/gradio_api/queue/join", json=body, headers={"host": "evil.example"}).status_code == 421


def test_websockets_are_asked_for_their_host_and_a_failure_is_sealed_too():
    def ask(kind: str, host: bytes) -> list[Any]:
        sent: list[Any] = []

        async def broken(_: Any, __: Any, send: Any) -> None:
            if kind == "http":
                raise RuntimeError("/srv/secret")
            await send({"type": "websocket.accept"})

        async def receive() -> Any:
            return {"type": "http.request", "body": b""}

        async def send(message: Any) -> None:
            sent.append(message)

        async def one() -> None:
            scope = {"type": kind, "method": "GET", "path": "/", "headers": [(b"host", host)]}
            with contextlib.suppress(RuntimeError):
                await Guard(broken, Hosts("127.0.0.1"))(scope, receive, send)

        run_alone(one())
        return sent

    assert [one["type"] for one in ask("websocket", b"localhost:7860")] == ["websocket.accept"]
    assert [one["type"] for one in ask("websocket", b"evil.example")] == ["websocket.close"]
    start, body = ask("http", b"localhost")
    assert start["status"] == 500
    assert b"/srv" not in body["body"]
    assert Headers(raw=start["headers"])["x-content-type-options"] == "nosniff"


# ---- what visitors leave and see ------------------------------------------------------------------------------------


def test_equal_pixels_under_two_names_stay_two_peoples(tmp_path: Path):
    own, names = Own(), []
    for folder, name in (("a", "my secret trip.png"), ("b", "homework.png"), ("c", "homework.png")):
        path = tmp_path / folder / name
        path.parent.mkdir()
        Image.new("RGB", (32, 32), (5, 6, 7)).save(path)
        names.append(own.add(pick(path)))
    assert [own.get(one).name for one in names] == ["my secret trip.png", "homework.png", "homework.png"]
    assert names[1] == names[2]
    assert len({own.get(one).key for one in names}) == 1, "their answers are shared"
    # What is said of a file belongs to the file, too: one is stored upright, the other turned.
    upright, turned = Image.new("RGB", (32, 16), (90, 120, 150)), Image.Exif()
    turned[0x0112] = 3
    (tmp_path / "d").mkdir()
    upright.save(tmp_path / "d" / "x.png")
    upright.save(tmp_path / "x.png", exif=turned)
    first, second = (own.get(own.add(pick(path))) for path in (tmp_path / "d" / "x.png", tmp_path / "x.png"))
    assert first.key == second.key
    assert first.notes == ()
    assert any("upright" in one for one in second.notes)


def left(served: Served) -> list[str]:
    return [str(one) for one in served.temporary.rglob("*") if one.is_file() and one.name != "in-use"]


def test_files_go_with_a_server_that_is_told_to_end(tmp_path: Path):
    with serving(tmp_path, "['random/test_resnet']") as served:
        path = served.send(picture(), "mine.png")
        meta = {"_type": "gradio.FileData"}
        assert "own:" in served.event(of_picture(served.config()), [{"path": path, "meta": meta}, "en"])
        assert Path(path).is_relative_to(served.temporary)
        assert len([one for one in left(served) if one.endswith("png")]) >= 2
        served.process.terminate()
        assert served.process.wait(60) == -signal.SIGTERM
        assert left(served) == []
        assert list(served.temporary.glob("explorer-*")) == []


#: A process that keeps a picture as a server does, tells where, and waits. Where tests run in a shell's background or
#: under nohup, they hand down that SIGINT or SIGHUP is ignored.
KEEPS = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from explorer.ui.scratch import new_folder, remove_when_ended, scratch, take_uploads
take_uploads()
remove_when_ended()
(new_folder("pictures") / "mine.png").write_bytes(b"picture")
print(scratch(), flush=True)
sys.stdin.read()
"""


@contextmanager
def keeping(temporary: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    variables = {**os.environ, "TMPDIR": str(temporary)}
    variables.pop("GRADIO_TEMP_DIR", None)
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": variables, "cwd": ROOT}
    with subprocess.Popen([sys.executable, "-c", KEEPS], **pipes) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().decode().strip())
        process.kill()


@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL, None])
def test_files_go_at_the_end_or_else_at_the_next_start(tmp_path: Path, way: signal.Signals | None):
    (tmp_path / "explorer-notes").mkdir()
    (tmp_path / "explorer-notes" / "mine.txt").write_text("of somebody else")
    with keeping(tmp_path) as (first, own):
        assert (next(own.glob("pictures-*")) / "mine.png").is_file()
        assert own.stat().st_mode & 0o077 == 0, "nobody else on the machine may look"
        if way is None:
            first.communicate(b"", 30)
        else:
            first.send_signal(way)
        first.wait(30)
        assert own.exists() == (way == signal.SIGKILL)
        with keeping(tmp_path) as (_, other):
            assert not own.exists()
            if way == signal.SIGKILL:
                with keeping(tmp_path) as (_, third):
                    # One that runs keeps its own.
                    assert len({own, other, third}) == 3
                    assert (next(other.glob("pictures-*")) / "mine.png").is_file()
    assert (tmp_path / "explorer-notes" / "mine.txt").is_file()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("'/srv/a b/model.safetensors' is not readable", "'model.safetensors' is not readable"),
        ("not in the cache (/root/.cache/huggingface/hub) and", "not in the cache (hub) and"),
        ("[Errno 2] No such file or directory: '/home/me/x.png'", "[Errno 2] No such file or directory: 'x.png'"),
        ("/tmp/x/y.png is damaged", "y.png is damaged"),
        (r"'C:\Users\me\a.png' is gone", "'a.png' is gone"),
        ("see ~/.cache/hub, then", "see hub, then"),
        ("from file:///etc/passwd.", "from passwd."),
        (
            "random/resnet18+mhsa@3 at https://huggingface.co/a/b",
            "random/resnet18+mhsa@3 at https://huggingface.co/a/b",
        ),
        ("12 px/s, and/or 3 / 4; <br/> 'no such'", "12 px/s, and/or 3 / 4; <br/> 'no such'"),
    ],
)
def test_messages_tell_no_place(text: str, said: str):
    assert pathless(text) == said
    assert Failure("x", text).problem == said


def test_a_failing_model_tells_no_place_of_the_server(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    answers = Answers(folders=True, device="cpu", hub_token=True)
    for text in ("hf-hub:org/name", "resnet18.a1_in1k", f"local-dir:{tmp_path}/broken"):
        got = answers.model(text)
        assert isinstance(got, Failure)
        assert len(got.problem) > 20
        assert str(tmp_path) not in got.problem.replace(text, "")


# ---- the hub --------------------------------------------------------------------------------------------------------


class Private(http.server.BaseHTTPRequestHandler):
    """A hub with a private model: there for who brings the token, unknown to others."""

    folder: Path
    seen: list[str]

    def do_GET(self) -> None:
        who = self.headers.get("authorization", "")
        self.seen.append(who)
        file = self.folder / self.path.rsplit("/", 1)[-1]
        open_to_all = self.path.startswith("/org/open/")
        code, headers, body = 401, {"X-Error-Code": "RepoNotFound"}, b""
        if open_to_all or who == "Bearer hf_host":
            code, body = (200, file.read_bytes()) if file.is_file() else (404, b"")
            headers = (
                {"ETag": f'"{file.name}"', "X-Repo-Commit": "c" * 40} if body else {"X-Error-Code": "EntryNotFound"}
            )
        self.send_response(code)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def private_hub(tmp_path: Path, monkeypatch) -> Iterator[http.server.ThreadingHTTPServer]:
    import safetensors.torch
    import timm

    folder = tmp_path / "repository"
    folder.mkdir()
    network = timm.create_model("test_resnet", num_classes=10)
    (folder / "config.json").write_text(json.dumps({"architecture": "test_resnet", "num_classes": 10}))
    safetensors.torch.save_file(network.state_dict(), folder / "model.safetensors")
    handler = type("Handler", (Private,), {"folder": folder, "seen": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", "hf_host")
    yield server
    server.shutdown()
    server.server_close()


def test_visitors_ask_the_hub_as_strangers_and_get_nothing_that_the_host_left_in_the_cache(private_hub):
    seen = private_hub.RequestHandlerClass.seen
    private, public = "hf-hub:org/private", "hf-hub:org/open"
    named = Answers(folders=False, named=("HF_hub:org/private+mhsa@2",), device="cpu")
    strangers = Answers(folders=False, device="cpu", models=named.models)
    own_machine = Answers(folders=True, device="cpu", hub_token=True, models=named.models)

    def got(answers: Answers, text: str) -> bool:
        return not isinstance(answers.model(text), Failure)

    assert not got(strangers, private)
    assert set(seen) == {""}
    assert got(named, private)  # the store is one and the same
    assert "Bearer hf_host" in seen
    assert got(own_machine, private)
    assert not got(strangers, private)
    assert not got(strangers, "hf-hub:org/private#0")
    seen.clear()
    assert got(strangers, public)
    assert set(seen) == {""}
    private_hub.shutdown()
    private_hub.server_close()
    # Without the hub, what was named at the start is there, and nothing that only the host may read for others.
    for answers in (named, strangers, own_machine):
        answers.models.clear()
    assert got(named, private)
    assert got(own_machine, private)
    refused = strangers.model(private)
    assert isinstance(refused, Failure)
    assert "cannot be asked now" in refused.problem
    with pytest.raises(WeightsError, match="cannot be asked now"):
        hub_file("org/private", "config.json", False, False)


def test_evidence_holds_no_place_of_the_server(hall: Served):
    import io
    import zipfile

    config = hall.config()
    path = hall.send(samples()["cat"].read_bytes(), "cat of mine.jpg", "image/jpeg")
    said = hall.event(of_picture(config), [{"path": path, "meta": {"_type": "gradio.FileData"}}, "en"])
    own = "own:" + said.split("own:")[1][:24]
    event = next(one for one in config["dependencies"] if one["api_name"] == "evidence")
    data = [["random/test_resnet"], {"picture": own}, "en", None]
    told = hall.event(event["id"], data, 120)
    file = next(line for line in told.splitlines() if "process_completed" in line)
    written = json.loads(file.removeprefix("data: "))["output"]["data"][0]["path"]
    bundle = zipfile.ZipFile(io.BytesIO(httpx.get(f"{hall.address}/gradio_api/file={written}").content))
    places = [str(hall.temporary), str(ROOT), str(Path.home()), sys.prefix]
    for name in bundle.namelist():
        text = bundle.read(name)
        for place in places:
            assert place.encode() not in text, (name, place)
    assert any("cat of mine" in bundle.read(name).decode("latin-1") for name in bundle.namelist())
