"""A hub on this machine, which serves the repositories of a folder."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import huggingface_hub
import pytest

COMMIT = "c0ffee" * 6 + "c0ff"
WEIGHTS = Path(__file__).parents[2] / "shared" / "data" / "weights"
#: Names of the hub -> folders of real weights beside the tree that stand in for them.
PUBLISHED = {
    "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k": "vit_tiny_patch16_224",
    "timm/deit_tiny_patch16_224.fb_in1k": "deit_tiny_patch16_224",
    "timm/mobilenetv2_100.ra_in1k": "mobilenetv2_100",
}


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the hub as a download needs: /ORG/NAME/resolve/REVISION/FILE with its headers and error codes."""

    root: Path
    asked: list[str]

    def answer(self, body: bool) -> None:
        self.asked.append(self.path)
        organisation, name, _, revision, *rest = [*self.path.strip("/").split("/"), "", "", ""]
        file = self.root / organisation / name / "/".join(rest).rstrip("/")
        code, headers, content = 404, {}, b""
        if organisation == "gated":
            code, headers = 403, {"X-Error-Code": "GatedRepo"}
        elif not (self.root / organisation / name).is_dir():
            headers = {"X-Error-Code": "RepoNotFound"}
        elif revision not in ("main", COMMIT):
            headers = {"X-Error-Code": "RevisionNotFound"}
        elif not file.is_file():
            headers = {"X-Error-Code": "EntryNotFound"}
        else:
            code, content = 200, file.read_bytes()
            headers = {"ETag": f'"{file.name}-{len(content)}"', "X-Repo-Commit": COMMIT}
        self.send_response(code)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def do_HEAD(self) -> None:
        self.answer(False)

    def do_GET(self) -> None:
        self.answer(True)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(root: Path) -> Iterator[http.server.ThreadingHTTPServer]:
    """Serve the repositories ORG/NAME of a folder; what was asked is in the handler's ``asked``."""
    handler = type("Handler", (Hub,), {"root": root, "asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def publish(root: Path) -> None:
    """Lay the real weights beside the tree out as the hub has them."""
    for repository, folder in PUBLISHED.items():
        (root / repository).parent.mkdir(parents=True, exist_ok=True)
        (root / repository).symlink_to(WEIGHTS / folder, target_is_directory=True)


def use_hub(monkeypatch: pytest.MonkeyPatch, port: int, cache: Path) -> None:
    """Do what HF_ENDPOINT and HF_HOME do when huggingface_hub is first imported."""
    endpoint = f"http://127.0.0.1:{port}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
