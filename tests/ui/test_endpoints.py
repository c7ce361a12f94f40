"""What programs may ask the page: the same as Python gives, by gradio's client and as tools; and nothing else."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

import explorer
from explorer.errors import ParameterError
from explorer.images import samples
from explorer.ui import page

from .conftest import running

PICTURE_MODEL = "random/test_resnet"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose endpoints are tools too."""
    code = "from explorer.ui.page import serve; serve(['lab/mhsa'], port={port}, tools=True)"
    with running(code, tmp_path_factory.mktemp("endpoints"), path="") as found:
        yield found


@pytest.fixture(scope="module")
def client(address: str) -> Client:
    return Client(address, verbose=False)


def test_three_endpoints_are_public_and_typed(client: Client, address: str) -> None:
    named: Any = client.view_api(return_format="dict", print_info=False)
    assert set(named["named_endpoints"]) == {"/predict", "/attend", "/probe"}
    assert not named["unnamed_endpoints"]
    for one in named["named_endpoints"].values():
        assert one["description"]
        for each in (*one["parameters"], *one["returns"]):
            assert each["type"], each
    # Nothing else that the page calls is offered, though its browser calls it.
    assert len(httpx.get(f"{address}/config").json()["dependencies"]) > 30


def test_a_prediction_is_that_of_python(client: Client) -> None:
    photograph = samples()["cat"]
    told = client.predict([PICTURE_MODEL], picture=handle_file(str(photograph)), api_name="/predict")
    model = explorer.load(PICTURE_MODEL, device="cpu")
    ours = explorer.predict(model, photograph)
    assert told["shown"] == photograph.name
    (row,) = told["models"]
    assert [one["label"] for one in row["classes"]] == [one.label for one in ours.top]
    assert [one["probability"] for one in row["classes"]] == pytest.approx([one.probability for one in ours.top])


def test_a_model_that_there_is_not_says_so_and_others_answer(client: Client) -> None:
    lost, found = client.predict(["no/such", PICTURE_MODEL], picture="cat", api_name="/predict")["models"]
    assert "no/such" in lost["problem"]
    assert found["problem"] == ""
    assert found["classes"]


def test_a_scene_moves_and_labels_are_said_in_chinese(client: Client) -> None:
    asked = {"models": ["lab/mhsa"], "scene": {"label": "star", "seed": 3}}
    still = client.predict(**asked, api_name="/predict")
    moved = client.predict(**asked, move={"dx": 12.0}, api_name="/predict")
    chinese = client.predict(**asked, language="zh", api_name="/predict")
    assert still["models"][0]["classes"][0]["label"] == "star"
    assert still["models"][0]["classes"] != moved["models"][0]["classes"]
    assert chinese["models"][0]["classes"][0]["label"] == "星形"


def test_attention_is_that_of_python(client: Client) -> None:
    scene = {"label": "star", "seed": 3}
    told = client.predict(["lab/mhsa"], scene=scene, x=0.25, y=0.75, head=1, api_name="/attend")
    model = explorer.load("lab/mhsa", device="cpu")
    maps = explorer.capture(model, explorer.render(explorer.Scene(**scene), 48).images)
    layers = told["models"][0]["layers"]
    assert [one["layer"] for one in layers] == [one.layer for one in maps]
    for ours, theirs in zip(maps, layers):
        row = ours.row(explorer.Point(0.25 * 48, 0.75 * 48), head=1)
        assert theirs["asks"]
        assert theirs["values"] == [pytest.approx(line, abs=1e-6) for line in row.tolist()]
    lost = client.predict(["lab/mhsa"], scene=scene, head=9, api_name="/attend")["models"][0]["layers"][0]
    assert lost["values"] is None
    assert "head 9" in lost["error"]


def test_a_measurement_is_that_of_python(client: Client) -> None:
    job = client.submit(models=["lab/mhsa"], probe="attention-distance", api_name="/probe")
    told: Any = job.result()
    ours = explorer.probe("attention-distance", [explorer.load("lab/mhsa", device="cpu")])
    assert told["share"] == 1
    rows = [dict(zip(told["rows"]["columns"], row)) for row in told["rows"]["data"]]
    assert len(rows) == len(ours.rows)
    for theirs, own in zip(rows, ours.rows):
        assert theirs["measure"] == own["measure"]
        assert theirs["value"] == pytest.approx(own["value"])
    assert "mean attention distance" in told["finding"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"models": []}, "at least one model"),
        ({"models": ["lab/mhsa"] * 7}, "At most 6"),
        ({"models": ["lab/mhsa"], "move": {"left": 3}}, "no field 'left'"),
        ({"models": ["lab/mhsa"], "scene": {"label": "cube"}}, "Unknown label 'cube'"),
        ({"models": ["lab/mhsa"], "picture": "http://127.0.0.1:9/a.png"}, "addresses are not fetched"),
        ({"models": ["lab/mhsa"], "picture": "/etc/hostname"}, "addresses are not fetched"),
        ({"models": ["lab/mhsa"], "picture": "data:image/png;base64,!!"}, "addresses are not fetched"),
        ({"models": ["lab/mhsa"], "picture": "data:image/png;base64,aGVsbG8="}, "text file"),
        ({"models": ["lab/mhsa"], "picture": "data:,", "scene": {}}, "not both"),
    ],
)
def test_what_is_wrong_is_told(client: Client, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(AppError, match=said):
        client.predict(**asked, api_name="/predict")


def test_files_of_the_server_are_not_read(address: str) -> None:
    body = {"data": [["lab/mhsa"], {"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}}]}
    got = httpx.post(f"{address}/gradio_api/call/predict", json=body)
    assert got.status_code == 400
    assert "not uploaded here" in got.text


def test_the_same_three_are_tools(address: str) -> None:
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    photograph = "data:image/jpeg;base64," + base64.b64encode(samples()["cat"].read_bytes()).decode()

    async def ask() -> tuple[list[str], list[Any]]:
        async with (
            streamablehttp_client(f"{address}/gradio_api/mcp/") as (reads, writes, _),
            ClientSession(reads, writes) as session,
        ):
            await session.initialize()
            names = [one.name for one in (await session.list_tools()).tools]
            given = ({"picture": photograph}, {"picture": "http://127.0.0.1:9/a.png"})
            return names, [await session.call_tool("predict", {"models": [PICTURE_MODEL], **one}) for one in given]

    # In a thread of its own: the browser's tests leave a running loop in this one.
    with ThreadPoolExecutor(1) as pool:
        names, (answered, refused) = pool.submit(lambda: asyncio.run(ask())).result()
    assert sorted(names) == ["attend", "predict", "probe"]
    best = explorer.predict(explorer.load(PICTURE_MODEL, device="cpu"), samples()["cat"]).top[0].label
    assert not answered.isError
    assert best in answered.content[0].text
    assert refused.isError
    assert "addresses are not fetched" in refused.content[0].text


def test_tools_without_their_package_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "find_spec", lambda *_: None)
    with pytest.raises(ParameterError, match=r"attention-explorer\[mcp\]"):
        page.build(tools=True)
