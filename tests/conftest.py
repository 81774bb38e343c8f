import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports huggingface_hub, which reads it once

import pytest


@pytest.fixture
def test_data() -> Path:
    """The folder with real images and weights (`data/`, `weights/`) that some tests need and the repository lacks."""
    if "SPHERECORR_TEST_DATA" not in os.environ:
        pytest.skip("SPHERECORR_TEST_DATA names no folder with data/ and weights/")
    return Path(os.environ["SPHERECORR_TEST_DATA"])
