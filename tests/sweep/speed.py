"""What does a sweep cost? ``python -m tests.sweep.speed WHAT ...``

Ratios of runs that alternate, so that a busy machine disturbs both alike; honest on a quiet machine alone.

- loop: a sweep beside a plain loop over models;
- workers: one worker beside two;
- ray: two workers of a Ray cluster on this machine beside two processes;
- accuracy: timm's own validation loop beside a sweep of ``accuracy``, with the same model, batch, threads and readers;
- memory: the most that a process holds with 2,000 pictures and with 50,000;
- reckoning: a unit of 20,000 beside a unit of 2,000, none of which computes anything; and the status of such a folder.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch

from explorer.images import photographs
from explorer.models.loading import load
from explorer.probes.run import steps
from explorer.probes.stimuli import read
from explorer.sweep.run import SweepProgress, sweep, work_off
from explorer.sweep.store import SWEEP, Store, encoded
from explorer.sweep.summary import Sweep
from explorer.sweep.units import SCHEMA

MODELS = ("lab/mhsa", "lab/c2f")
GIVEN = {"side": 9, "step": 2}
BATCH = 16
#: Of timm's loop and of the probe alike.
VALIDATED = "resnet18"


def plan(scenes: int) -> dict[str, Any]:
    probe = {"probe": "translation", **GIVEN}
    return {"models": list(MODELS), "probes": [probe], "data": [scenes], "shard": 64, "batch": BATCH, "device": "cpu"}


def swept(scenes: int, **engine: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = sweep(plan(scenes), folder, **engine)
        assert not found.failed


def plain(scenes: int) -> None:
    """The same numbers by a loop over models."""
    for name in MODELS:
        model = load(name, "cpu")
        for _ in steps("translation", [model], read(scenes), batch=BATCH, **GIVEN):
            pass


def alternate(first: Callable[[], None], second: Callable[[], None], repeats: int) -> tuple[float, float, float]:
    """Median seconds of each, and the median of the runs' own ratios, first over second."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(repeats):
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            begun = time.perf_counter()
            (first, second)[which]()
            times[which].append(time.perf_counter() - begun)
    return median(times[0]), median(times[1]), median(a / b for a, b in zip(*times))


def tell(name: str, first: Callable[[], None], second: Callable[[], None], repeats: int) -> None:
    one, other, ratio = alternate(first, second, repeats)
    print(f"{name}: {ratio:.3f} ({one:.2f} s and {other:.2f} s, {repeats} times)", flush=True)


def linked(root: Path, count: int, side: int | None = None) -> Path:
    """A folder of so many names of a few photographs, in folders of ImageNet's synsets."""
    files = list(photographs().values())
    if side is not None:
        from PIL import Image

        for number, file in enumerate(files):
            files[number] = root / f"{number}.jpg"
            Image.open(file).convert("RGB").resize((side, side)).save(files[number], quality=90)
    synsets = ("n01440764", "n01443537", "n02085620", "n02123045")
    for number in range(count):
        folder = root / "set" / synsets[number % len(synsets)]
        folder.mkdir(parents=True, exist_ok=True)
        source, target = files[number % len(files)], folder / f"{number:06}{files[number % len(files)].suffix}"
        try:
            os.link(source, target)
        except OSError:  # another disk
            target.write_bytes(source.read_bytes())
    return root / "set"


def timms(folder: Path, workers: int) -> None:
    """timm's validation as its validate.py has it: its data set, loader, model and measure."""
    import timm
    from timm.data import create_dataset, create_loader, resolve_data_config
    from timm.utils import AverageMeter, accuracy

    model = timm.create_model(VALIDATED).eval()
    config = resolve_data_config({}, model=model)
    loader = create_loader(
        create_dataset("", root=str(folder)),
        input_size=config["input_size"],
        batch_size=BATCH,
        use_prefetcher=False,
        interpolation=config["interpolation"],
        mean=config["mean"],
        std=config["std"],
        num_workers=workers,
        crop_pct=config["crop_pct"],
        device=torch.device("cpu"),
    )
    first, fifth = AverageMeter(), AverageMeter()
    with torch.inference_mode():
        for pictures, target in loader:
            logits = model(pictures)
            one, five = accuracy(logits, target, topk=(1, 5))
            first.update(one.item(), len(target))
            fifth.update(five.item(), len(target))


def validated(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as out:
        given = {"models": [f"random/{VALIDATED}"], "probes": ["accuracy"], "data": [str(folder)], "batch": BATCH}
        found = sweep({**given, "device": "cpu"}, out)
        assert len(found.done) == len(found.units)


def peak(count: int) -> float:
    """MiB that a process holds at most while it sweeps so many pictures."""
    code = (
        "import resource, sys; from explorer.sweep.run import sweep; "
        "f = sweep({'models': ['random/test_vit'], 'probes': ['accuracy'], 'data': [sys.argv[1]], 'device': 'cpu', "
        "'batch': 64}, sys.argv[2]); assert len(f.done) == len(f.units); "
        "(r,) = f.results(); assert r.rows[0]['n'] == int(sys.argv[3]); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    with tempfile.TemporaryDirectory() as root:
        folder = linked(Path(root), count, side=200)
        command = [sys.executable, "-c", code, str(folder), f"{root}/out", str(count)]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def reckoned(count: int) -> float:
    """Seconds of a sweep of so many units that compute nothing."""
    from tests.sweep.test_pace import Idle, made

    some = made(count)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        store.make()
        begun = time.perf_counter()
        work_off(store, Idle(), some, SweepProgress(count, 0, 0), lambda _: None)
        return time.perf_counter() - begun


def looked_through(count: int) -> float:
    """Seconds to know what is done and what failed in a folder of so many units."""
    from tests.sweep.test_pace import made

    with tempfile.TemporaryDirectory() as folder:
        store, some = Store(folder), made(count)
        store.make()
        for one in some:
            (Path(folder) / "rows" / f"{one.key}.parquet").write_bytes(encoded(one, [], "", []))
        about = {"schema": SCHEMA, "plan": {}, "versions": {}, "units": [one.about() for one in some]}
        store.write_note(SWEEP, about)
        begun = time.perf_counter()
        found = Sweep(folder)
        assert len(found.done) == count
        assert not found.failed
        return time.perf_counter() - begun


def on_ray(scenes: int, repeats: int) -> None:
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "object_store_memory": 80 * 2**20})
    try:
        address = cluster.address
        swept(16, ray=address)
        name = "two workers of Ray / two processes"
        tell(name, lambda: swept(scenes, ray=address), lambda: swept(scenes, workers=2), repeats)
    finally:
        ray.shutdown()
        cluster.shutdown()


def main() -> None:
    names = ("loop", "workers", "ray", "accuracy", "memory", "reckoning")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", help=f"of {', '.join(names)}; loop and workers if left out")
    parser.add_argument("--scenes", type=int, default=192, help="(%(default)s)")
    parser.add_argument("--pictures", type=int, default=50_000, help="of memory (%(default)s)")
    parser.add_argument("--repeats", type=int, default=7, help="(%(default)s)")
    options = parser.parse_args()
    asked = options.what or ["loop", "workers"]
    if unknown := set(asked) - set(names):
        parser.error(f"{', '.join(sorted(unknown))} is none of {', '.join(names)}")
    scenes, repeats = options.scenes, options.repeats
    torch.set_num_threads(1)
    if set(asked) & {"loop", "workers", "ray"}:
        plain(16)  # what is loaded once is loaded
    if "loop" in asked:
        tell("a sweep / a plain loop", lambda: swept(scenes), lambda: plain(scenes), repeats)
    if "workers" in asked:
        tell("one worker / two", lambda: swept(8 * scenes), lambda: swept(8 * scenes, workers=2), repeats)
    if "ray" in asked:
        on_ray(4 * scenes, repeats)
    if "accuracy" in asked:
        cores = len(os.sched_getaffinity(0))
        with tempfile.TemporaryDirectory() as root:
            folder = linked(Path(root), 4 * scenes)
            timms(folder, cores)
            validated(folder)
            name = f"timm's validation / a sweep of accuracy, {cores} readers"
            tell(name, lambda: timms(folder, cores), lambda: validated(folder), repeats)
    if "memory" in asked:
        few, many = peak(2000), peak(options.pictures)
        print(f"{options.pictures} pictures / 2000: {many / few:.3f} ({many:.0f} and {few:.0f} MiB)", flush=True)
    if "reckoning" in asked:
        for name, measured in (("a unit", reckoned), ("a unit's status", looked_through)):
            few, many = measured(2000), measured(20_000)
            print(f"{name} of 20,000 / of 2000: {many / few / 10:.2f} ({many:.2f} s and {few:.2f} s)", flush=True)


if __name__ == "__main__":
    main()
