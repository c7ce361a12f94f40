"""What is shown at the end: whole sweeps, each killed twice and resumed, on every engine, give the same bytes of rows.

``uv run pytest -m long -n 0 -s tests/sweep/test_shown.py`` tells how long each took beside a run that nobody disturbed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from explorer.sweep.run import sweep
from tests.sweep.killing import files, killed_and_resumed

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]
#: One a block, trained alike.
BLOCKS = ("none", "conv", "mhsa", "axial", "channel", "linear", "c2f", "coord", "ca_c2f", "se", "cbam", "nonlocal")
PROBES = ["edges", {"probe": "translation", "side": 3, "step": 4}, "consistency", "heads"]
#: A plan's file, the rows of a run that nobody disturbed, and the seconds that it took.
Study = tuple[Path, dict[str, bytes], float]
COMMON: dict[str, Any] = {"device": "cpu", "threads": 1}


@pytest.fixture(scope="module", params=["laboratory", "cue conflicts"])
def study(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A plan's file, the rows of a run in this process that nobody disturbs, and the seconds that it took."""
    folder = tmp_path_factory.mktemp("study")
    if request.param == "laboratory":
        plan = {"models": [f"lab/{one}" for one in BLOCKS], "probes": PROBES, "data": [48], "shard": 16, **COMMON}
    else:
        data = request.getfixturevalue("data")
        models = [f"local-dir:{one}" for one in sorted((data / "weights").iterdir()) if one.is_dir()]
        assert len(models) == 3
        plan = {"models": models, "probes": ["shape-bias"], "data": [str(data / "cue_conflict")], "shard": 64, **COMMON}
    (folder / "plan.yaml").write_text(json.dumps(plan))  # JSON is YAML
    begun = time.perf_counter()
    found = sweep(plan, folder / "undisturbed")
    seconds = time.perf_counter() - begun
    assert not found.failed
    return folder / "plan.yaml", files(folder / "undisturbed"), seconds


@pytest.mark.parametrize("engine", ["one process", "two processes", "Ray"])
def test_killed_twice_and_resumed_the_rows_are_the_same_to_the_byte(
    study: Study, engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    plan, expected, undisturbed = study
    flags = {"one process": ["--workers", "1"], "two processes": ["--workers", "2"]}.get(engine)
    if flags is None:
        flags = ["--ray", request.getfixturevalue("address")]
    begun = time.perf_counter()
    out = tmp_path / "out"
    killed = killed_and_resumed([str(plan), "--out", str(out), *flags], out, len(expected), kills=2, seed=5)
    ratio = (time.perf_counter() - begun) / undisturbed
    assert killed == 2
    assert files(out) == expected
    print(
        f"\n{plan.parent.name}, {engine}: {len(expected)} units, killed twice; {ratio:.2f} times the "
        f"{undisturbed:.1f} s of an undisturbed run, libraries loaded three times"
    )


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A Ray cluster of two machines with one CPU each."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: uv sync --extra ray")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        patched.setenv("RAY_USAGE_STATS_ENABLED", "0")
        from ray.cluster_utils import Cluster

        small = {"object_store_memory": 80 * 2**20}
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
        for _ in range(2):
            made.add_node(num_cpus=1, **small)
        made.wait_for_nodes()
        try:
            yield made.address
        finally:
            ray.shutdown()
            made.shutdown()
