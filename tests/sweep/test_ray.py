"""A sweep on a Ray cluster of three machines, one of which is lost: the same rows as in this process."""

from __future__ import annotations

import builtins
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from explorer.errors import ParameterError
from explorer.sweep.plan import SweepPlan
from explorer.sweep.run import SweepProgress, sweep
from tests.sweep.killing import files
from tests.sweep.test_packed import sets  # noqa: F401 - a fixture
from tests.sweep.test_stored_pictures import uploaded

PLAN: dict[str, Any] = {
    "models": ["lab/none", "lab/mhsa", "lab/conv"],
    "probes": ["edges", {"probe": "translation", "side": 3, "step": 4}, "consistency"],
    "data": [48],
    "shard": 8,
    "batch": 8,
    "device": "cpu",
}
UNITS = 3 * 3 * 6


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    ray = pytest.importorskip("ray", reason="Ray is not installed: uv sync --extra ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    small = {"object_store_memory": 80 * 2**20}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
    made.machines = [made.add_node(num_cpus=1, **small) for _ in range(3)]
    made.wait_for_nodes()
    try:
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def test_a_machine_that_is_lost_costs_no_row(cluster: Any, tmp_path: Path) -> None:
    expected = files(sweep(PLAN, tmp_path / "here").root)
    assert len(expected) == UNITS
    lost: list[int] = []

    def told(now: SweepProgress) -> None:
        if now.done >= 8 and not lost:
            lost.append(now.done)
            cluster.remove_node(cluster.machines[0], allow_graceful=False)

    found = sweep(PLAN, tmp_path / "ray", ray=cluster.address, progress=told)
    assert lost
    assert lost[0] < UNITS
    assert not found.failed
    assert files(found.root) == expected
    import ray

    assert not ray.is_initialized()  # it has left the cluster
    ray.init(address=cluster.address, log_to_driver=False)
    assert sum(one["Alive"] for one in ray.nodes()) == 3  # the head and two others
    # It joins the cluster that it is in, and what is done is not done again.
    before = {one.name: one.stat().st_mtime_ns for one in (found.root / "rows").iterdir()}
    sweep(PLAN, tmp_path / "ray", ray=cluster.address)
    assert before == {one.name: one.stat().st_mtime_ns for one in (found.root / "rows").iterdir()}


def test_its_machines_read_pictures_from_storage(
    s3: str,
    cluster: Any,
    sets: dict[str, Path],  # noqa: F811
    tmp_path: Path,
) -> None:
    plan = {**PLAN, "models": ["random/test_vit"], "probes": ["consistency"], "shard": 4, "batch": 4}
    address = uploaded(sets["parquet"], s3.format("parquet"))
    expected = files(sweep({**plan, "data": [{"images": str(sets["parquet"]), "name": "set"}]}, tmp_path / "here").root)
    found = sweep({**plan, "data": [{"images": address, "name": "set"}]}, tmp_path / "ray", ray=cluster.address)
    assert not found.failed
    assert files(tmp_path / "ray") == expected
    assert len(expected) == 3


def test_what_the_cluster_cannot_do_is_said(cluster: Any, tmp_path: Path) -> None:
    for changed, share, says in (
        ({"threads": 2}, 1.0, "no machine with 2 CPUs"),
        ({"device": "cuda"}, 0.5, "no machine with a GPU"),
        ({}, 0.0, "gpu_share lies above 0"),
    ):
        with pytest.raises(ParameterError, match=says):
            sweep({**PLAN, **changed}, tmp_path, ray=cluster.address, gpu_share=share)


def test_an_address_without_a_cluster_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: uv sync --extra ray")
    monkeypatch.setitem(os.environ, "RAY_gcs_rpc_server_connect_timeout_s", "1")
    for address in ("auto", "127.0.0.1:1"):
        with pytest.raises(ParameterError, match=f"no Ray cluster answers at '{address}'"):
            sweep(PLAN, tmp_path, ray=address)


def test_without_ray_it_says_how_to_have_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "ray":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ParameterError, match="pip install 'attention-explorer"):
        sweep(PLAN, tmp_path, ray="auto")


def test_a_gpu_of_another_machine_is_no_matter_of_this_one() -> None:
    assert SweepPlan.of({**PLAN, "device": "cuda"}).device == "cuda:0"
