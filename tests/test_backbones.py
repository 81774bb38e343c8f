import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load, save_file
from torch import nn

import spherecorr as sc
from spherecorr.backbones import BackboneError, load_backbone, weights_available
from spherecorr.backbones.template import MeanColour
from spherecorr.backbones.vit import VitBackbone, resize_as_dinov2
from spherecorr.errors import SpherecorrError
from spherecorr.identity import FeatureSource, file_digest
from spherecorr.shipped import shipped_folder

# A tiny model of each family: timm's factory, native input size, patch, tokens before the patches.
FAMILIES = {
    "dino, patch 16": ("vit_small_patch16_224", 64, 16, 1),
    "dino, patch 8": ("vit_small_patch8_224", 32, 8, 1),
    "dinov2": ("vit_small_patch14_dinov2", 56, 14, 1),
    "dinov2 with registers": ("vit_small_patch14_reg4_dinov2", 56, 14, 5),
    "dinov3": ("vit_small_patch16_dinov3", 64, 16, 5),
    "clip": ("vit_base_patch16_clip_224", 64, 16, 1),
    "siglip, no class token": ("vit_base_patch16_siglip_224", 64, 16, 0),
}
SHAPE = {"depth": 3, "embed_dim": 32, "num_heads": 2}


def tiny(factory: str, img_size: int = 56, **changes) -> nn.Module:
    torch.manual_seed(0)
    model = timm.create_model(factory, dynamic_img_size=True, img_size=img_size, **{**SHAPE, **changes})
    if getattr(model, "pos_embed", None) is not None:
        nn.init.normal_(model.pos_embed)  # as large as in trained models, so that a wrong one shows
    return model


def picture(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.fixture(params=FAMILIES, ids=FAMILIES)
def family(request):
    factory, img_size, patch, prefix = FAMILIES[request.param]
    return tiny(factory, img_size), patch, prefix


@pytest.mark.parametrize(("columns", "rows"), [(4, 4), (7, 3), (2, 5)])
@pytest.mark.parametrize("norm", [False, True])
def test_features_are_the_blocks_output_without_the_prefix_tokens(family, columns, rows, norm):
    model, patch, prefix = family
    outputs = []
    model.blocks[1].register_forward_hook(lambda module, inputs, output: outputs.append(output))
    backbone = VitBackbone(model, "tiny", layer=1, norm=norm, device="cpu")

    image = picture(columns * patch, rows * patch)
    features = backbone(image, resolution=max(columns, rows) * patch).features

    assert features.shape == (32, rows, columns)
    assert outputs[0].shape == (1, prefix + rows * columns, 32)
    tokens = (model.norm(outputs[0]) if norm else outputs[0])[0, prefix:]
    for row in range(rows):
        for column in range(columns):
            assert torch.equal(features[:, row, column], tokens[row * columns + column])


def test_a_change_in_one_patch_shows_most_in_its_cell(family):
    model, patch, _ = family
    backbone = VitBackbone(model, "tiny", layer=0, device="cpu")
    inputs = np.random.default_rng(1).integers(0, 256, (1, 3 * patch, 5 * patch, 3), dtype=np.uint8)
    changed = inputs.copy()
    changed[:, 2 * patch : 3 * patch, patch : 2 * patch] = 255 - changed[:, 2 * patch : 3 * patch, patch : 2 * patch]
    change = (backbone.extract(changed) - backbone.extract(inputs))[0].norm(dim=0)
    assert divmod(int(change.argmax()), 5) == (2, 1)  # row 2, column 1


def test_the_same_image_gives_the_same_features(family):
    backbone = VitBackbone(family[0], "tiny", device="cpu")
    image = picture(60, 40)
    assert torch.equal(backbone(image).features, backbone(image).features)


def test_a_batch_gives_what_each_image_gives_alone(family):
    model, patch, _ = family
    backbone = VitBackbone(model, "tiny", device="cpu")
    inputs = np.random.default_rng(1).integers(0, 256, (3, 2 * patch, 3 * patch, 3), dtype=np.uint8)
    alone = torch.cat([backbone.extract(one[None]) for one in inputs])
    torch.testing.assert_close(backbone.extract(inputs), alone)


def test_the_source_says_which_tokens_they_are():
    backbone = VitBackbone(tiny("vit_small_patch14_dinov2"), "tiny", device="cpu")
    assert backbone.source == FeatureSource("tiny", dim=32, patch=14, layer=2, norm=False, position_embedding="timm")
    features = backbone(picture(100, 50), resolution=56)
    assert features.source == backbone.source
    assert features.framing.grid == (4, 2)


def test_without_a_resolution_the_fast_preset_is_taken():
    backbone = VitBackbone(tiny("vit_small_patch16_224", 64), "tiny", device="cpu")
    assert backbone(picture(100, 50)).features.shape == (32, 14, 28)  # 448 x 224 pixels


def test_pad_makes_a_square():
    backbone = VitBackbone(tiny("vit_small_patch14_dinov2"), "tiny", device="cpu")
    assert backbone(picture(100, 50), resolution=56, framing="pad").features.shape == (32, 4, 4)


def test_pixels_are_normalised_as_the_model_wants():
    model = tiny("vit_base_patch16_siglip_224", 64)  # mean and deviation 0.5
    seen = []
    model.patch_embed.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    backbone = VitBackbone(model, "tiny", device="cpu")
    backbone(Image.new("RGB", (64, 64), (0, 255, 255)), resolution=64)
    assert seen[0][0, :, 5, 5].tolist() == [-1, 1, 1]


@pytest.mark.parametrize("layer", [3, -1])
def test_a_layer_that_does_not_exist_is_refused(layer):
    with pytest.raises(BackboneError, match=f"has the layers 0 to 2; there is no layer {layer}"):
        VitBackbone(tiny("vit_small_patch16_224", 64), "tiny", layer=layer)


def test_a_resolution_below_one_patch_is_refused():
    with pytest.raises(BackboneError, match="Resolution 10 is smaller than one patch"):
        VitBackbone(tiny("vit_small_patch16_224", 64), "tiny", device="cpu")(picture(64, 64), resolution=10)


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(SpherecorrError, match="no device 'toaster'"):
        VitBackbone(tiny("vit_small_patch16_224", 64), "tiny", device="toaster")


def release_positions(embedding: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """The original DINOv2 release's embedding of patch positions, read literally: `[1, N, D]` of another grid.

    Bicubic interpolation with A = -0.75 of the square native grid, as a factor (size + 0.1) / native, edges clamped.
    """
    native = math.isqrt(embedding.shape[1])
    if (rows, columns) == (native, native):
        return embedding
    grid = embedding[0].reshape(native, native, -1).double()

    def cubic(distance):
        near = 1.25 * distance**3 - 2.25 * distance**2 + 1
        far = -0.75 * (distance**3 - 5 * distance**2 + 8 * distance - 4)
        return near if distance <= 1 else far if distance < 2 else 0.0

    def weights(size):
        matrix = torch.zeros(size, native, dtype=torch.float64)
        for index in range(size):
            position = (index + 0.5) * native / (size + 0.1) - 0.5
            for tap in range(math.floor(position) - 1, math.floor(position) + 3):
                matrix[index, min(max(tap, 0), native - 1)] += cubic(abs(position - tap))
        return matrix

    resized = torch.einsum("yi,xj,ijd->yxd", weights(rows), weights(columns), grid)
    return resized.reshape(1, rows * columns, -1).float()


# DeiT 3 has no position for its class token, DINOv2 has one; both have four by four patches here.
@pytest.mark.parametrize(
    ("factory", "patch", "class_position"),
    [("vit_small_patch14_dinov2", 14, True), ("deit3_small_patch16_224", 16, False)],
)
@pytest.mark.parametrize(("rows", "columns"), [(4, 4), (3, 3), (2, 7), (32, 32)])
def test_positions_are_embedded_as_in_the_dinov2_release(factory, patch, class_position, rows, columns):
    model = tiny(factory, 4 * patch)
    seen = []
    model.blocks[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    backbone = VitBackbone(model, "tiny", position_embedding="dinov2", device="cpu")
    backbone.extract(np.zeros((1, rows * patch, columns * patch, 3), dtype=np.uint8))

    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    black = (-mean / std).view(1, 3, 1, 1).expand(1, 3, rows * patch, columns * patch)
    patches = model.patch_embed.proj(black).flatten(2).mT
    if class_position:
        first = model.cls_token + model.pos_embed[:, :1]
        patches = patches + release_positions(model.pos_embed[:, 1:], rows, columns)
    else:
        first = model.cls_token
        patches = patches + release_positions(model.pos_embed, rows, columns)
    # Single precision on both sides, values up to 5 and four taps a side.
    torch.testing.assert_close(seen[0], torch.cat([first, patches], dim=1), atol=2e-5, rtol=0)


def test_the_resize_of_a_constant_is_the_constant():
    torch.testing.assert_close(resize_as_dinov2(torch.ones(1, 16, 8), (7, 3), (4, 4)), torch.ones(1, 21, 8))


def test_the_release_and_timm_agree_at_the_native_size_and_differ_a_little_elsewhere():
    timms, release = (
        VitBackbone(
            tiny("vit_small_patch14_dinov2", 518, depth=1), "tiny", position_embedding=position_embedding, device="cpu"
        )
        for position_embedding in ("timm", "dinov2")
    )
    image = picture(518, 518)
    assert torch.equal(timms(image, resolution=518).features, release(image, resolution=518).features)
    a, b = timms(image, resolution=448).features, release(image, resolution=448).features
    assert 0.01 < ((a - b).norm() / a.norm()) < 0.5


def test_with_registers_the_release_does_as_timm_does():
    timms, release = (
        VitBackbone(tiny("vit_small_patch14_reg4_dinov2"), "tiny", position_embedding=position_embedding, device="cpu")
        for position_embedding in ("timm", "dinov2")
    )
    image = picture(100, 70)
    assert torch.equal(timms(image, resolution=98).features, release(image, resolution=98).features)


def test_rotary_positions_cannot_be_resized_as_in_dinov2():
    with pytest.raises(BackboneError, match="'tiny' has no learned position embedding"):
        VitBackbone(tiny("vit_small_patch16_dinov3", 64), "tiny", position_embedding="dinov2", device="cpu")


def test_an_unknown_position_embedding_is_refused():
    with pytest.raises(BackboneError, match="as 'timm' or 'dinov2'; not 'other'"):
        VitBackbone(tiny("vit_small_patch16_224", 64), "tiny", position_embedding="other", device="cpu")


@pytest.fixture
def saved(tmp_path):
    """A tiny DINOv2 in timm's own layout, and the model itself."""
    arguments = {**SHAPE, "img_size": 56, "num_classes": 0}
    model = tiny("vit_small_patch14_dinov2", num_classes=0)
    timm.models.save_for_hf(model, str(tmp_path), model_args=arguments, safe_serialization=True)
    return tmp_path, model


def test_a_folder_in_timms_layout_loads(saved):
    folder, model = saved
    assert weights_available(f"local-dir:{folder}")
    backbone = load_backbone(f"local-dir:{folder}", layer=1, norm=True, device="cpu")
    weights = file_digest(folder / "model.safetensors")
    assert backbone.source == FeatureSource(f"local-dir:{folder}", 32, 14, 1, True, "timm", weights)
    expected = VitBackbone(model, "tiny", layer=1, norm=True, device="cpu")
    image = picture(90, 60)
    assert torch.equal(backbone(image, resolution=84).features, expected(image, resolution=84).features)


def test_half_precision_weights_are_used_in_single(saved):
    folder, _ = saved
    weights = load((folder / "model.safetensors").read_bytes())
    save_file({key: tensor.half() for key, tensor in weights.items()}, folder / "model.safetensors")
    features = load_backbone(f"local-dir:{folder}", device="cpu")(picture(60, 60), resolution=56).features
    assert features.dtype == torch.float32


def test_a_source_brings_back_the_very_features(saved):
    folder, _ = saved
    source = FeatureSource(f"local-dir:{folder}", 32, 14, layer=0, norm=True, position_embedding="dinov2")
    loaded = load_backbone(source, device="cpu").source
    assert loaded == replace(source, weights=file_digest(folder / "model.safetensors"))
    assert load_backbone(loaded, device="cpu").source == loaded


def test_a_folder_is_known_by_its_weights_and_not_by_its_path(saved, tmp_path):
    folder, _ = saved
    source = load_backbone(f"local-dir:{folder}", device="cpu").source
    shutil.copytree(folder, tmp_path / "moved" / "vit")
    moved = load_backbone(f"local-dir:{tmp_path / 'moved' / 'vit'}", device="cpu").source
    assert moved.backbone != source.backbone
    assert moved.differs_from(source) == []

    weights = load((folder / "model.safetensors").read_bytes())
    save_file({key: 2 * tensor for key, tensor in weights.items()}, folder / "model.safetensors")
    other = load_backbone(f"local-dir:{folder}", device="cpu").source
    assert other.backbone == source.backbone
    assert other.differs_from(source) == ["weights"]


def test_mini_sphere_knows_the_weights_of_mini():
    config = json.loads((shipped_folder("checkpoints") / "mini-sphere" / "config.json").read_text())
    assert FeatureSource(**config["sphere"]["source"]) == load_backbone("mini", device="cpu").source


@pytest.mark.parametrize(("channels", "words"), [(1, "images of 1 channel;"), (4, "images of 4 channels;")])
def test_folders_with_vits_for_other_images_are_refused(tmp_path, channels, words):
    arguments = {**SHAPE, "img_size": 56, "num_classes": 0, "in_chans": channels}
    model = tiny("vit_small_patch14_dinov2", num_classes=0, in_chans=channels)
    timm.models.save_for_hf(model, str(tmp_path), model_args=arguments, safe_serialization=True)
    refused(f"local-dir:{tmp_path}", f"takes {words} choose one for RGB images")


def test_the_repr_is_one_line():
    backbone = VitBackbone(tiny("vit_small_patch14_dinov2"), "tiny", layer=1, device="cpu", dtype="bfloat16")
    millions = sum(parameter.numel() for parameter in backbone.model.parameters()) / 1e6
    assert repr(backbone) == (f"tiny: {millions:.1f} M parameters, patch 14, 32 channels, layer 1, bfloat16 on cpu")


@pytest.mark.parametrize("position_embedding", ["timm", "dinov2"])
def test_half_precision_gives_nearly_the_features_of_single(position_embedding):
    image = picture(100, 70)

    def features(dtype: str) -> torch.Tensor:
        backbone = VitBackbone(
            tiny("vit_small_patch14_dinov2"), "tiny", position_embedding=position_embedding, device="cpu", dtype=dtype
        )
        return backbone(image, resolution=98).features

    single, half = features("float32"), features("bfloat16")
    assert (single.dtype, half.dtype) == (torch.float32, torch.bfloat16)
    cosines = torch.nn.functional.cosine_similarity(single, half.float(), dim=0)
    # bfloat16 keeps 8 bits, so every step errs by up to 1 in 512; they add up to 1 in 300 here, a cosine of 0.99998.
    # Trained models of more blocks lie lower: the worst cell of `mini` on an example picture has 0.991.
    # Neighbouring cells taken for each other lie below the bound.
    assert cosines.min() >= 0.99
    exchanged = torch.nn.functional.cosine_similarity(single, half.float().roll(1, dims=2), dim=0)
    assert exchanged.min() < 0.99


def test_a_dtype_is_chosen_or_follows_from_the_device(saved):
    folder, _ = saved
    image = picture(60, 60)
    for dtype, expected in (("auto", torch.float32), ("float16", torch.float16), ("bfloat16", torch.bfloat16)):
        backbone = load_backbone(f"local-dir:{folder}", device="cpu", dtype=dtype)
        assert backbone(image, resolution=56).features.dtype == expected
    with pytest.raises(SpherecorrError, match="no dtype 'int8'"):
        load_backbone(f"local-dir:{folder}", device="cpu", dtype="int8")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_computes_in_half_precision(saved):
    folder, _ = saved
    features = load_backbone(f"local-dir:{folder}")(picture(90, 60), resolution=84).features
    single = load_backbone(f"local-dir:{folder}", device="cpu")(picture(90, 60), resolution=84).features
    assert features.dtype in (torch.bfloat16, torch.float16)
    # As on the CPU.
    assert torch.nn.functional.cosine_similarity(single, features.float().cpu(), dim=0).min() >= 0.99


def test_the_template_matches_colours():
    left, right = np.zeros((2, 160, 160, 3), dtype=np.uint8)
    left[32:48, 64:80] = right[96:112, 16:32] = (255, 0, 0)  # a red patch in black
    backbone = MeanColour()
    a, b = (backbone(image, resolution=160) for image in (left, right))
    assert a.features.shape == (3, 10, 10)
    result = sc.match(a, b, points=[(70, 40)])
    assert result.raw.xy[0, 0].tolist() == [24, 104]


def refused(name: str, words: str) -> None:
    with pytest.raises(BackboneError, match=words) as raised:
        load_backbone(name)
    assert "\n" not in str(raised.value)


def test_a_missing_folder_is_named(tmp_path):
    refused(f"local-dir:{tmp_path}/nowhere", "there is no file .*nowhere/config.json")


def test_broken_folders_are_refused(saved):
    folder, _ = saved
    name, config = f"local-dir:{folder}", json.loads((folder / "config.json").read_text())
    weights = load((folder / "model.safetensors").read_bytes())

    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:5000])
    refused(name, "are damaged or belong to another model; replace .*model.safetensors")
    save_file(
        {key: tensor for key, tensor in weights.items() if key != "blocks.1.ls1.gamma"}, folder / "model.safetensors"
    )
    refused(name, "are damaged or belong to another model")
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({**config, "architecture": "resnet18"}))
    refused(name, "is no plain ViT of timm")
    (folder / "config.json").write_text("{")
    refused(name, "config.json is broken")
    (folder / "model.safetensors").unlink()
    refused(name, "there is no file .*model.safetensors")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("dinov2b", "There is no backbone 'dinov2b'. Did you mean dinov2-b"),
        ("???", "There is no backbone '\\?\\?\\?'. Known are mini, dinov2-s"),
        ("resnet18", "'resnet18' is no plain ViT"),
        ("swin_tiny_patch4_window7_224", "is no plain ViT"),
        ("vit_small_patch16_224.made_up", "no weights 'vit_small_patch16_224.made_up', only vit_small_patch16_224.aug"),
        ("vit_base_patch16_reg4_gap_256", "has no weights for 'vit_base_patch16_reg4_gap_256'"),
        ("hf-hub:nobody/nothing", "'nobody/nothing' is not on this machine and HF_HUB_OFFLINE is set"),
        ("hf-hub:no/such/id", "'no/such/id' is no id of the Hugging Face Hub"),
    ],
)
def test_backbones_that_cannot_be_had_get_one_sentence(name, words):
    refused(name, words)


def put_into_cache(cache, repository: str, files: dict, monkeypatch) -> None:
    from huggingface_hub import constants

    folder = cache / f"models--{repository.replace('/', '--')}"
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0" * 40)
    for name, content in files.items():
        (snapshot / name).write_bytes(content)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))


def test_registered_weights_that_are_not_here_name_the_download(tmp_path, monkeypatch):
    put_into_cache(tmp_path, "somebody/else", {}, monkeypatch)
    assert not weights_available("dinov2-b")
    refused("dinov2-b", "hf download timm/vit_base_patch14_dinov2.lvd142m.*local-dir:PATH")


# The second one's weights have a format of their own where timm fetches them itself.
@pytest.mark.parametrize("name", ["test_vit.r160_in1k", "vit_tiny_patch16_224.augreg_in21k_ft_in1k"])
def test_timm_names_load_from_the_cache_without_network(tmp_path, monkeypatch, name):
    torch.manual_seed(0)
    model = timm.create_model(name)
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    files = {"model.safetensors": (tmp_path / "model.safetensors").read_bytes()}
    put_into_cache(tmp_path / "hub", f"timm/{name}", files, monkeypatch)
    assert weights_available(name)
    loaded = load_backbone(name, device="cpu")
    assert loaded.source.backbone == name
    torch.testing.assert_close(loaded.model.state_dict()["blocks.0.attn.qkv.weight"], model.blocks[0].attn.qkv.weight)


def test_hub_ids_load_from_the_cache_without_network(saved, tmp_path, monkeypatch):
    folder, _ = saved
    files = {name: (folder / name).read_bytes() for name in ("config.json", "model.safetensors")}
    put_into_cache(tmp_path / "hub", "somebody/tiny-vit", files, monkeypatch)
    assert weights_available("hf-hub:somebody/tiny-vit")
    assert load_backbone("hf-hub:somebody/tiny-vit", device="cpu").source.dim == 32


def test_real_weights_give_what_timm_gives(test_data):
    folder = test_data / "weights" / "vit_tiny_patch16_224"
    image = Image.open(sorted((test_data / "data" / "eth80" / "car").glob("*.jpg"))[0]).resize((224, 224))
    features = load_backbone(f"local-dir:{folder}", norm=True, device="cpu")(image, resolution=224).features

    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 127.5 - 1  # mean and deviation 0.5
    with torch.no_grad():
        tokens = model.forward_features(pixels)[0, 1:]
    torch.testing.assert_close(features, tokens.T.reshape(192, 14, 14), atol=1e-4, rtol=0)


def test_a_torchvision_of_another_torch_is_told_in_one_sentence(tmp_path):
    """Its compiled part is then missing, which timm's import runs into."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    program = (
        "from spherecorr.backbones import BackboneError, load_backbone\n"
        "for name in ('mini', 'dinov2-b+mini', 'vit_tiny_patch16_224'):\n"
        "    try:\n        load_backbone(name, device='cpu')\n"
        "    except BackboneError as error:\n        print(error)\n"
    )
    paths = [str(tmp_path), str(Path(__file__).parent.parent)]
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
    )
    assert run.stdout.count("torch and torchvision do not belong together") == 3, run.stderr
    assert run.stdout.count("\n") == 3 and "pip install --force-reinstall torch torchvision" in run.stdout


def test_loading_draws_no_random_numbers_of_the_caller():
    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    load_backbone("mini", device="cpu")
    assert torch.equal(torch.random.get_rng_state(), state)
