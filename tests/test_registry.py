import json
import subprocess
import sys

import pytest
import timm
import torch

from spherecorr.backbones import BACKBONES, weights_available
from spherecorr.backbones.registry import resolutions
from spherecorr.shipped import shipped_folder

DOWNLOADED = [info for info in BACKBONES.values() if not info.shipped]
SHIPPED = [info for info in BACKBONES.values() if info.shipped]


@pytest.mark.parametrize("info", DOWNLOADED, ids=lambda info: info.name)
def test_the_registry_says_what_timm_says(info):
    with torch.device("meta"):  # shapes only
        model = timm.create_model(info.model, dynamic_img_size=True)
    assert info.patch == model.feature_info[-1]["reduction"]
    assert info.dim == model.num_features
    assert info.parameters == round(sum(parameter.numel() for parameter in model.parameters()) / 1e6, 1)
    config = timm.get_pretrained_cfg(info.model)
    assert info.repository == config.hf_hub_id
    assert info.licence.lower().replace(" ", "-") == config.license


@pytest.mark.parametrize("info", SHIPPED, ids=lambda info: info.name)
def test_the_registry_says_what_the_shipped_weights_say(info):
    folder = shipped_folder("checkpoints") / info.model
    config = json.loads((folder / "config.json").read_text())
    with torch.device("meta"):
        model = timm.create_model(config["architecture"], **{**config.get("model_args", {}), "num_classes": 0})
    assert info.patch == model.feature_info[-1]["reduction"]
    assert info.dim == model.num_features
    assert info.parameters == round(sum(parameter.numel() for parameter in model.parameters()) / 1e6, 1)
    assert info.layer is None or info.layer < len(model.blocks)


@pytest.mark.parametrize("patch", [8, 14, 16, 28, 32])
def test_presets_are_multiples_of_the_patch_and_grow(patch):
    sizes = resolutions(patch)
    assert all(size % patch == 0 for size in sizes.values())
    assert sizes["fast"] < sizes["balanced"] < sizes["fine"]


def test_weights_that_are_not_here_are_not_available(tmp_path):
    assert not weights_available(f"local-dir:{tmp_path}")
    assert not weights_available("hf-hub:nobody/nothing")
    assert not weights_available("hf-hub:no/such/id")
    assert not weights_available("no-such-backbone")


def test_the_list_and_the_look_for_weights_import_no_torch():
    program = (
        "import sys; from spherecorr.backbones import BACKBONES, weights_available; "
        "[weights_available(name) for name in BACKBONES]; print('torch' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "False"
