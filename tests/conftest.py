"""What several test files share: the folder of test data, and the three real models in it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

# Small models gain nothing from more, and where several processes share the cores, waiting threads cost minutes.
torch.set_num_threads(1)

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
REAL = ("vit_tiny_patch16_224", "deit_tiny_patch16_224", "mobilenetv2_100")


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
