"""What several test files share: threads, the order of the files, the folder of test data, and three real models."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

# Small models gain nothing from more, and where several processes share the cores, waiting threads cost minutes.
# What tests start inherits it.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
REAL = ("vit_tiny_patch16_224", "deit_tiny_patch16_224", "mobilenetv2_100")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take minutes: two processes share the files, and the last ones have to be short."""
    items.sort(key=lambda item: not item.nodeid.startswith(("tests/ui/", "tests/lab/")))


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of test data beside the checkout."""
    if not DATA.is_dir():
        pytest.skip(f"no test data at {DATA}")
    return DATA


@pytest.fixture(scope="session")
def real_specs(data: Path) -> dict[str, str]:
    """Spec of each model with real weights, by its timm name."""
    return {name: f"local-dir:{data / 'weights' / name}" for name in REAL}
