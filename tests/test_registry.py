import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch

from spherecorr.backbones import (
    BACKBONES,
    AdapterSpec,
    BackboneError,
    DiffusionSpec,
    FusionSpec,
    TimmSpec,
    availability,
    find,
    load_backbone,
    weights_available,
)
from spherecorr.backbones.registry import HubFiles, members, parts_of, resolutions
from spherecorr.backbones.weights import TEXT_FILES, TEXT_MEGABYTES, download_notice, fetch
from spherecorr.shipped import shipped_folder

TIMM = [spec for spec in BACKBONES.values() if isinstance(spec, TimmSpec)]
DOWNLOADED = [spec for spec in TIMM if not spec.shipped]
SHIPPED = [spec for spec in TIMM if spec.shipped]
DIFFUSION = DiffusionSpec(
    "tiny-sd",
    "tiny diffusion",
    "somebody/sd",
    ("unet/config.json", "unet/model.fp16.safetensors"),
    parameters=10,
    dim=32,
    patch=16,
    licence="OpenRAIL-M",
    resolutions={"fast": 512, "balanced": 768, "fine": 960},
    revision="v1",
)
ADAPTER = AdapterSpec("refined-s", "refined", "dinov2-s", "somebody/adapter", "best.pth", 128, "CC0-1.0")


@pytest.fixture
def more_backbones(monkeypatch):
    for spec in (DIFFUSION, ADAPTER, FusionSpec("pair", "The pair", ("tiny-sd", "dinov2-s"))):
        monkeypatch.setitem(BACKBONES, spec.name, spec)


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


def test_names_joined_by_plus_are_a_fusion():
    spec = find("mini+dinov2-s")
    assert isinstance(spec, FusionSpec)
    assert (spec.name, spec.parts, spec.title) == ("mini+dinov2-s", ("mini", "dinov2-s"), "mini + DINOv2 ViT-S/14")
    assert (spec.patch, spec.dim, spec.resolutions) == (16, 192, resolutions(16))  # a sphere reads mini
    assert spec.parameters == pytest.approx(3.9 + 22.1)
    assert spec.licence == "Apache-2.0"
    assert find("dinov2-s+dinov3-s").licence == "Apache-2.0, DINOv3 License"
    assert spec.repository == "timm/vit_small_patch14_dinov2.lvd142m"


def test_a_sphere_reads_a_vit_wherever_the_name_has_it():
    spec = find("sd15+dinov2-b")
    assert (spec.name, spec.parts) == ("sd15+dinov2-b", ("dinov2-b", "sd15"))
    assert (spec.patch, spec.dim, spec.resolutions) == (14, 768, resolutions(14))
    assert parts_of("sd15+dinov2-b") == parts_of("dinov2-b+sd15") == spec.parts
    assert parts_of("sd15") == ("sd15",) and parts_of("local-dir:x+y") == ("local-dir:x+y",)


@pytest.mark.parametrize("name", ["mini+", "+", "mini+unheard-of", "local-dir:/data/mini+mini", "hf-hub:a/mini+mini"])
def test_other_names_with_a_plus_are_no_fusion(name):
    assert find(name) is None


def test_an_unknown_part_is_named():
    with pytest.raises(BackboneError, match=r"no backbone 'mini\+dinov2': 'dinov2' is none of those .*dinov2-s"):
        load_backbone("mini+dinov2")


def test_a_timm_id_is_the_backbone_of_the_list():
    assert find("vit_small_patch14_dinov2.lvd142m") is BACKBONES["dinov2-s"]
    assert find("vit_small_patch14_dinov2.lvd142m+mini").parts == ("dinov2-s", "mini")


def test_every_kind_says_what_a_menu_shows(more_backbones):
    for spec in (*BACKBONES.values(), find("mini+refined-s")):
        assert spec.title and spec.licence and spec.parameters > 0 and spec.patch > 0 and spec.dim > 0
        assert set(spec.resolutions) == {"fast", "balanced", "fine"}
        assert spec.repository or spec.shipped
        assert isinstance(spec.note, str)
    assert (BACKBONES["refined-s"].patch, BACKBONES["refined-s"].parameters) == (14, 22.1)


def test_what_must_be_there_first_comes_first(more_backbones):
    names = [member.name for member in members(find("pair+refined-s"))]
    assert names == ["tiny-sd", "dinov2-s", "dinov2-s", "refined-s"]
    assert DIFFUSION.files == (HubFiles("somebody/sd", DIFFUSION.filenames, "v1"),)
    assert BACKBONES["mini"].files == ()


def put_into_cache(files: HubFiles) -> None:
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE) / f"models--{files.repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True, exist_ok=True)
    (folder / "refs" / (files.revision or "main")).write_text("0" * 40)
    for filename in files.filenames:
        path = folder / "snapshots" / ("0" * 40) / filename
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))


def test_availability_says_what_a_download_means(more_backbones, empty_cache):
    mini = availability("mini")
    assert (mini.here, mini.megabytes, mini.licence, mini.missing) == (True, None, "Apache-2.0", ())
    assert mini.note == BACKBONES["mini"].note

    absent = availability("dinov2-s")
    assert (absent.here, absent.licence) == (False, "Apache-2.0")
    assert absent.missing == ("timm/vit_small_patch14_dinov2.lvd142m/model.safetensors",)
    assert absent.megabytes == pytest.approx(88.4)  # 22.1 million numbers of four bytes
    assert availability("mini+dinov2-s").megabytes == absent.megabytes

    pair = availability("pair")
    assert pair.missing == (
        "somebody/sd/unet/config.json",
        "somebody/sd/unet/model.fp16.safetensors",
        *(f"somebody/sd/{name}" for name in TEXT_FILES),
        "timm/vit_small_patch14_dinov2.lvd142m/model.safetensors",
    )
    assert pair.megabytes == pytest.approx(2 * 10 + TEXT_MEGABYTES + 88.4)  # fp16 has two bytes


def test_the_text_encoder_is_a_download_until_the_prompts_embedding_is_kept(more_backbones, empty_cache, monkeypatch):
    monkeypatch.setattr("spherecorr.backbones.weights.find_spec", lambda name: name)  # as if transformers were there
    put_into_cache(DIFFUSION.files[0])
    assert availability("tiny-sd").missing == tuple(f"somebody/sd/{name}" for name in TEXT_FILES)
    assert availability("tiny-sd").megabytes == TEXT_MEGABYTES
    with pytest.raises(BackboneError, match="'tiny-sd' cannot be loaded: 'somebody/sd' is not on this machine"):
        fetch("tiny-sd")
    put_into_cache(replace(DIFFUSION.files[0], filenames=("empty_prompt.safetensors",)))
    assert availability("tiny-sd").here


@pytest.mark.parametrize("library", ["diffusers", "transformers"])
def test_a_missing_library_is_told_before_gigabytes_are_downloaded(more_backbones, empty_cache, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(BackboneError, match=f"{library} is needed for backbone 'tiny-sd'; run `pip install {library}`"):
        fetch("tiny-sd")


def test_size_licence_and_what_it_wants_are_told_before_a_download(more_backbones, empty_cache):
    assert download_notice("mini") == ""
    assert download_notice("sd15") == (
        "Stable Diffusion 1.5, three levels. Licence: CreativeML OpenRAIL-M. About 2,279 MB are to be downloaded. "
        "GPU recommended."
    )
    joined = download_notice("dinov2-b+dift-sd")
    assert "Licence: Apache-2.0, CreativeML OpenRAIL-M. About 2,626 MB" in joined and "GPU recommended" in joined
    small = download_notice("vit_tiny_patch16_224.augreg_in21k_ft_in1k")
    assert small == "vit_tiny_patch16_224.augreg_in21k_ft_in1k. Licence: apache-2.0."


def test_another_stable_diffusion_is_known_by_its_repository(empty_cache):
    spec = find("diffusion:somebody/sd21")
    assert (spec.levels, spec.timestep, spec.repository) == (BACKBONES["sd15"].levels, 100, "somebody/sd21")
    assert "somebody/sd21/vae/diffusion_pytorch_model.safetensors" in availability(spec.name).missing
    assert "Licence: that of somebody/sd21." in download_notice(spec.name)
    assert not weights_available("diffusion:no/such/id")
    with pytest.raises(BackboneError, match="'diffusion:somebody/sd21' cannot be loaded: 'somebody/sd21' is not on"):
        load_backbone(spec.name)


def test_what_is_in_the_cache_needs_no_download(more_backbones, empty_cache):
    put_into_cache(replace(DIFFUSION.files[0], filenames=(*DIFFUSION.filenames, "empty_prompt.safetensors")))
    put_into_cache(BACKBONES["dinov2-s"].files[0])
    assert availability("pair").here
    assert [path.name for path in fetch("tiny-sd")] == ["config.json", "model.fp16.safetensors"]
    # The refinement alone is missing, and small.
    assert availability("refined-s").missing == ("somebody/adapter/best.pth",)
    assert availability("refined-s").megabytes is None
    with pytest.raises(BackboneError, match="'refined-s' cannot be loaded: 'somebody/adapter' is not on this machine"):
        fetch("refined-s")


def test_files_of_another_revision_are_not_taken(more_backbones, empty_cache):
    put_into_cache(replace(DIFFUSION.files[0], revision="v2"))
    assert len(availability("tiny-sd").missing) == 2 + len(TEXT_FILES)


def test_availability_of_names_that_are_not_in_the_list(tmp_path, empty_cache):
    timms = availability("vit_tiny_patch16_224.augreg_in21k_ft_in1k")
    assert (timms.here, timms.licence, timms.megabytes) == (False, "apache-2.0", None)
    folder = availability(f"local-dir:{tmp_path}")
    assert folder.missing == (f"{tmp_path}/config.json", f"{tmp_path}/model.safetensors")
    assert folder.licence is None
    with pytest.raises(BackboneError, match="There is no backbone 'dinov2b'"):
        availability("dinov2b")


@pytest.mark.parametrize("name", ["tiny-sd", "refined-s"])
def test_what_is_no_vit_has_no_layers_to_choose(more_backbones, name):
    with pytest.raises(BackboneError, match=f"'{name}' is no ViT: layer, norm and position"):
        load_backbone(name, layer=3)
