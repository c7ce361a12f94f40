"""How much memory the page's server holds while it is asked again and again.

    uv run python -m tests.ui.memory [REQUESTS]

Starts a server, asks it as visitors and as vandals would (drags of scenes and photographs, own pictures, a costly
method, measurements, evidence; answers nobody reads, models that do not exist, files that are no pictures), and prints
its resident memory, its cache's hit rate and the time of an answer every hundred requests.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import random
import subprocess
import sys
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from .asking import Asking
from .conftest import ROOT, answering, free_port

EVERY = 100
VISITORS = 3
LAB = ["lab/conv", "lab/mhsa", "lab/axial", "lab/ca_c2f"]
OTHERS = ["random/vit_tiny_patch16_224", "random/swin_tiny_patch4_window7_224"]


class Client:
    """Asks a server over HTTP, as a browser does."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.live = Asking(f"http://127.0.0.1:{port}")
        config = self._get("/config")
        self.functions = {one["api_name"]: one for one in config["dependencies"]}
        self.parts = {one["id"]: one for one in config["components"]}
        picture = next(one["id"] for one in config["components"] if one["props"].get("elem_id") == "picture")
        chosen = (one for one in config["dependencies"] if [picture, "input"] in [list(t) for t in one["targets"]])
        self.functions["choose"] = next(chosen)

    def _get(self, path: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())

    def _post(self, path: str, body: bytes, kind: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        connection.request("POST", path, body, {"content-type": kind})
        return json.loads(connection.getresponse().read() or b"null")

    def ask(self, name: str, *data: Any, read: bool = True) -> dict[str, Any]:
        """One request's output; {} where nobody reads it."""
        if name in self.live.places:
            asked = {"question": data[-1]} if len(data) == 1 else {"models": data[0], "question": data[1]}
            body = self.live.body(name, asked, page=uuid.uuid4().hex)
            if read:
                return dict(self.live.post(body).json())
            with contextlib.suppress(httpx.TimeoutException):
                httpx.post(f"{self.live.client.base_url}/gradio_api/component_server", json=body, timeout=0.05)
            return {}
        session = uuid.uuid4().hex[:10]
        body = {"data": list(data), "fn_index": self.functions[name]["id"], "session_hash": session, "event_data": None}
        self._post("/gradio_api/queue/join", json.dumps(body).encode(), "application/json")
        output: dict[str, Any] = {}
        if not read:
            return output
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        connection.request("GET", f"/gradio_api/queue/data?session_hash={session}")
        for line in connection.getresponse():
            if line.startswith(b"data:"):
                message = json.loads(line[5:])
                if message["msg"] == "process_completed":
                    output = message["output"]
                if message["msg"] in ("close_stream", "unexpected_error"):
                    break
        connection.close()
        return output

    def upload(self, name: str, content: bytes) -> dict[str, Any]:
        """A file as gradio's own upload hands it on."""
        edge = uuid.uuid4().hex
        head = f'--{edge}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
        body = head.encode() + content + f"\r\n--{edge}--\r\n".encode()
        path = self._post("/gradio_api/upload", body, f"multipart/form-data; boundary={edge}")[0]
        return {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}


@lru_cache(maxsize=4)
def photograph(number: int) -> bytes:
    """A JPEG of twelve million pixels, as a phone takes it: noise on a gradient."""
    noise = np.random.default_rng(number).integers(0, 50, (300, 400, 3))
    pixels = np.linspace(0, 200, 3000)[:, None, None] + np.tile(noise, (10, 10, 1))
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "JPEG", quality=70)
    return file.getvalue()


def one(client: Client, number: int) -> None:
    """One request, of a kind that its number decides."""
    draw = random.Random(number)
    move = {"dx": draw.randrange(-20, 21), "dy": draw.randrange(-20, 21)}
    scene = {"label": "star", "texture": draw.choice(["checks", "dots"]), "seed": draw.randrange(40)}
    kind = draw.random()
    if kind < 0.35:
        client.ask("answer", LAB, {**move, "scene": scene})
    elif kind < 0.6:
        client.ask("answer", OTHERS, move)
    elif kind < 0.68:
        client.ask("bank", OTHERS, move)
    elif kind < 0.72:
        client.ask("layers", {"scene": scene})
    elif kind < 0.82:
        content = photograph(number % 4) if kind < 0.8 else draw.randbytes(50_000)
        name = client.ask("choose", client.upload(f"picture{number}.jpg", content)).get("data", [None])[0]
        if isinstance(name, str):
            client.ask("answer", LAB[:2], {**move, "picture": name})
    elif kind < 0.85:
        client.ask(
            "attribute", LAB[:2], {"method": "integrated_gradients", "parameters": {"n_steps": 4}, "scene": scene}
        )
    elif kind < 0.87:
        client.ask("measure_translation", None, LAB[:2], {"scene": scene}, "en", {"probe": "consistency"})
    elif kind < 0.88:
        client.ask("evidence", LAB[:2], {**move, "scene": scene}, None)
    elif kind < 0.93:
        client.ask("answer", [f"no such model {number}", f"lab/mhsa#{number}"], {"scene": scene})
    elif kind < 0.97:
        client.ask("answer", LAB, {**move, "scene": scene}, read=False)
    else:
        client.ask("answer", "x" * 10_000, {"dx": "y" * 10_000, "scene": [number] * 1000})


def measure(requests: int, report: Any = print) -> list[float]:
    """Resident memory in MB before the first request and after every `EVERY`."""
    port = free_port()
    code = f"from explorer.ui.page import serve; serve(port={port})"
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.txt"
        with log.open("w") as file:
            process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
        try:
            answering(f"http://127.0.0.1:{port}", process, log)
            client = Client(port)
            found = [resident(process.pid)]
            report(f"{0:6d} requests {found[-1]:8.0f} MB")
            with ThreadPoolExecutor(VISITORS) as pool:
                for start in range(0, requests, EVERY):
                    began = time.monotonic()
                    list(pool.map(lambda number: one(client, number), range(start, start + EVERY)))
                    each = (time.monotonic() - began) / EVERY
                    found.append(resident(process.pid))
                    report(f"{start + EVERY:6d} requests {found[-1]:8.0f} MB   {1000 * each:6.0f} ms a request")
            return found
        finally:
            process.terminate()
            process.wait(30)


def resident(pid: int) -> float:
    """Resident memory of a process and its children, MB."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    pages = sum(int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in (str(pid), *children))
    return pages * 4096 / 2**20


if __name__ == "__main__":
    measure(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
