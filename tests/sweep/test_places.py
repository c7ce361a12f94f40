"""A sweep whose folder is on storage: the same files as in a folder of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from explorer.errors import ParameterError, WriteError
from explorer.sweep.board import board
from explorer.sweep.places import LocalPlace, RemotePlace, place_of
from explorer.sweep.publishing import save
from explorer.sweep.run import SweepProgress, sweep
from explorer.sweep.store import Store
from explorer.sweep.summary import Sweep
from tests.sweep.killing import files

PLAN: dict[str, Any] = {
    "models": ["lab/none", "lab/mhsa"],
    "probes": ["edges"],
    "data": [24],
    "shard": 8,
    "batch": 8,
    "device": "cpu",
}


def _stored(address: str) -> dict[str, bytes]:
    place = place_of(address)
    return {name: place.read(f"rows/{name}") for name in sorted(place.names("rows"))}


def test_fsspecs_addresses(tmp_path: Path) -> None:
    expected = files(sweep(PLAN, tmp_path / "here").root)
    address = "memory://swept/one"

    def ended(now: SweepProgress) -> None:
        if now.done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(PLAN, address, progress=ended)
    assert len(_stored(address)) == 4
    place_of(address).write("rows/" + next(iter(_stored(address))), b"PAR1 and no more")
    told: list[SweepProgress] = []
    found = sweep(PLAN, address, progress=told.append)
    assert len(told) == 3
    assert _stored(address) == expected
    assert found.root == "memory://swept/one"
    assert found.dataset().to_table().equals(Sweep(tmp_path / "here").dataset().to_table())
    made, local = board(found), board(Sweep(tmp_path / "here"))
    assert made.rows() == local.rows()
    assert files(save(made, tmp_path / "set", found)) == expected
    with pytest.raises(ParameterError, match="has no sweep"):
        Sweep("memory://nothing/here")


def test_a_failure_is_recorded_there_and_gone_once_it_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    import explorer.sweep.work as work

    real = work.load

    def failing(spec: Any, device: str) -> Any:
        if str(spec) == "lab/mhsa":
            raise RuntimeError("not now")
        return real(spec, device)

    monkeypatch.setattr(work, "load", failing)
    found = sweep(PLAN, "memory://swept/two")
    assert [one["error"] for one in found.failed.values()] == ["RuntimeError: not now"] * 3
    monkeypatch.setattr(work, "load", real)
    assert not sweep(PLAN, "memory://swept/two").failed
    assert not place_of("memory://swept/two").names("failed")


def test_what_an_address_is_called_gives_no_access() -> None:
    place = RemotePlace("s3://AKIAKEY:secret@bucket/path?region=us-east-1&endpoint_override=localhost:1&scheme=http")
    assert place.root == "s3://bucket/path"
    with pytest.raises(ParameterError) as error:
        place_of("nosuch://user:secret@host/path")
    assert "secret" not in str(error.value)
    assert isinstance(place_of("file:///tmp/x"), LocalPlace)
    assert Store("file:///tmp/x").root == Path("/tmp/x")


def test_s3(s3: str, tmp_path: Path) -> None:
    expected = files(sweep(PLAN, tmp_path).root)
    found = sweep(PLAN, s3.format("study"), workers=2)
    assert _stored(s3.format("study")) == expected
    assert found.root == "s3://swept/study"
    assert len(found.done) == 6
    assert found.dataset().to_table().num_rows == Sweep(tmp_path).dataset().to_table().num_rows
    again: list[SweepProgress] = []
    sweep(PLAN, s3.format("study"), progress=again.append)
    assert [one.images for one in again] == [0]
    with pytest.raises(WriteError, match="cannot be written"):
        sweep(PLAN, s3.replace("&allow_bucket_creation=true", "").replace("swept", "other").format("study"))
