"""What programs may ask of the page: three endpoints, typed and told, bounded as the page is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client, handle_file
from PIL import Image

import explorer
from explorer.images import samples

from .conftest import running

MODELS = ["lab/mhsa", "random/test_resnet"]


@pytest.fixture(scope="module")
def client(server: str) -> Client:
    return Client(server, verbose=False)


def test_three_endpoints_are_offered_and_told(client: Client):
    told: dict[str, Any] = client.view_api(return_format="dict", print_info=False)  # type: ignore[assignment]
    assert set(told["named_endpoints"]) == {"/predict", "/attend", "/probe"}
    assert not told["unnamed_endpoints"]
    kinds = {
        name: [(one["parameter_name"], one["type"].get("type")) for one in endpoint["parameters"]]
        for name, endpoint in told["named_endpoints"].items()
    }
    assert kinds["/predict"] == [("picture", "string"), ("models", "array"), ("top", "integer"), ("language", "string")]
    assert ("x", "number") in kinds["/attend"]
    assert all(len(one["description"]) > 20 for one in told["named_endpoints"].values())
    for private in ("/attribute", "/evidence", "/measure_all", "/code"):
        with pytest.raises(ValueError, match=r"(?i)api_name|fn_index"):
            client.predict(api_name=private)


def test_predict_answers_as_the_library_does(client: Client, tmp_path: Path):
    found = client.predict(picture="cat", models=MODELS, top=3, api_name="/predict")
    for text, one in zip(MODELS, found, strict=True):
        expected = explorer.predict(explorer.load(text), samples()["cat"], top=3)
        assert one["model"] == text
        assert [each["label"] for each in one["top"]] == [str(each.label) for each in expected.top]
        assert [each["p"] for each in one["top"]] == pytest.approx(
            [each.probability for each in expected.top], abs=1e-4
        )
        assert (one["answer"], one["problem"]) == (expected.answer, "")
        assert one["weights"] == explorer.load(text).state
    # One's own picture by upload, of other pixels.
    Image.new("RGB", (90, 60), (200, 30, 60)).save(tmp_path / "red.png")
    own = client.predict(picture=handle_file(str(tmp_path / "red.png")), models=MODELS[1:], api_name="/predict")
    expected = explorer.predict(explorer.load(MODELS[1]), tmp_path / "red.png")
    assert own[0]["top"][0]["p"] == pytest.approx(expected.top[0].probability, abs=1e-4)
    assert own[0]["top"] != found[1]["top"]


def test_attend_gives_the_librarys_rows(client: Client):
    (found,) = client.predict(picture="cat", models=["lab/mhsa"], x=0.25, y=0.75, api_name="/attend")
    model = explorer.load("lab/mhsa")
    maps = explorer.capture(model, samples()["cat"])
    assert found["layers"] == [one.layer for one in maps]
    assert found["layer"] == maps[-1].layer
    height, width = model.input_size
    row = maps[-1].row(explorer.Point(0.25 * width, 0.75 * height))
    assert found["values"] == [pytest.approx(line, abs=1e-5) for line in row.tolist()]
    (first,) = client.predict(picture="cat", models=["lab/mhsa"], layer="0", api_name="/attend")
    assert first["layer"] == maps[0].layer
    (without,) = client.predict(picture="cat", models=["lab/conv"], api_name="/attend")
    assert without["layers"] == []
    assert without["values"] is None


def test_probe_measures_what_the_library_measures(client: Client):
    found = client.predict(name="heads", models=["lab/mhsa"], api_name="/probe")
    expected = explorer.probe("heads", "lab/mhsa")
    (headline,) = [row for row in found["rows"] if row["measure"] == "mean head diversity"]
    assert headline["value"] == pytest.approx(expected.summary["lab/mhsa: mean head diversity"].value, abs=1e-5)
    assert headline["unit"] == "bits"


@pytest.mark.parametrize(
    "picture", ["http://127.0.0.1:9/cat.png", "https://example.org/a.png", "/etc/hostname", "", "x" * 9000]
)
def test_no_address_and_no_file_of_the_server_is_read(client: Client, picture: str):
    with pytest.raises(Exception, match="not uploaded here"):
        client.predict(picture=picture, models=MODELS, api_name="/predict")


@pytest.mark.parametrize(
    ("name", "asked", "said"),
    [
        ("/predict", {"picture": "cat", "models": []}, "at least one model"),
        ("/predict", {"picture": "cat", "models": ["lab/conv"] * 7}, "At most 6 models"),
        ("/predict", {"picture": "cat", "models": "lab/conv"}, "list"),
        ("/predict", {"picture": "cat", "models": ["lab/conv"], "top": 0}, "from 1 to 100"),
        ("/attend", {"picture": "cat", "models": ["lab/mhsa"], "x": "left"}, "from 0 to 1"),
        ("/probe", {"name": "scael", "models": ["lab/conv"]}, "scale"),
        ("/probe", {"name": "scale", "models": ["lab/conv"], "parameters": {"size": 3}}, "size"),
        ("/probe", {"name": "heads", "models": ["lab/nothing"]}, "nothing"),
    ],
)
def test_what_is_wrong_is_said(client: Client, name: str, asked: dict[str, Any], said: str):
    with pytest.raises(Exception, match=said):
        client.predict(**asked, api_name=name)


def test_a_model_that_cannot_be_had_says_so_beside_the_others(client: Client):
    found = client.predict(picture="cat", models=["lab/nothing", "lab/conv"], api_name="/predict")
    assert "lab/nothing" in found[0]["problem"] or "nothing" in found[0]["problem"]
    assert found[1]["problem"] == ""


def test_they_are_tools_of_an_agent(tmp_path: Path):
    """By the protocol's own client, where its package is there."""
    pytest.importorskip("mcp", reason="the package mcp is not installed (pip install 'gradio[mcp]')")
    import anyio
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async def asked(address: str) -> tuple[list[Any], Any, Any]:
        async with (
            streamablehttp_client(f"{address}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = (await session.list_tools()).tools
            named = {tool.name.rpartition("_")[2]: tool.name for tool in tools}
            good = await session.call_tool(named["predict"], {"picture": "cat", "models": ["lab/conv"]})
            bad = await session.call_tool(
                named["predict"], {"picture": "https://example.org/a.png", "models": ["lab/conv"]}
            )
            return tools, good, bad

    code = "from explorer.ui.page import serve; serve(port={port}, mcp=True)"
    with running(code, tmp_path, path="") as address:
        tools, good, bad = anyio.run(asked, address)
    assert {tool.name.rpartition("_")[2] for tool in tools} == {"predict", "attend", "probe"}
    predict = next(tool for tool in tools if tool.name.endswith("predict"))
    assert set(predict.inputSchema["properties"]) == {"picture", "models", "top", "language"}
    assert "sample" in predict.inputSchema["properties"]["picture"]["description"]
    expected = explorer.predict(explorer.load("lab/conv"), samples()["cat"])
    assert expected.answer in json.dumps([one.model_dump() for one in good.content])
    assert not good.isError
    assert "not uploaded here" in json.dumps([one.model_dump() for one in bad.content])


def test_without_the_package_the_option_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    import importlib.util

    from explorer.errors import ParameterError
    from explorer.ui.page import serve

    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ParameterError, match=r"pip install 'gradio\[mcp\]'"):
        serve(mcp=True)
