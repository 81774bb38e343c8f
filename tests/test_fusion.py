"""Several backbones as one."""

from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from spherecorr.backbones import BACKBONES, BackboneError, TimmSpec, load_backbone
from spherecorr.backbones.fusion import FusionBackbone, resolution_for
from spherecorr.backbones.template import MeanColour
from spherecorr.backbones.vit import VitBackbone
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.sphere.settings import SphereSettings


def tiny_vit(name: str, patch: int, dim: int) -> VitBackbone:
    torch.manual_seed(0)
    factory = {14: "vit_small_patch14_dinov2", 16: "vit_small_patch16_224", 8: "vit_small_patch8_224"}[patch]
    model = timm.create_model(
        factory, dynamic_img_size=True, img_size=4 * patch, depth=2, embed_dim=dim, num_heads=2, num_classes=0
    )
    return VitBackbone(model, name, device="cpu")


@pytest.fixture
def pair() -> tuple[VitBackbone, VitBackbone]:
    return tiny_vit("sixteen", 16, 32), tiny_vit("fourteen", 14, 48)


def picture(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_the_first_gives_the_features_and_the_others_the_parts(pair):
    fusion = FusionBackbone("sixteen+fourteen", pair)
    features = fusion(picture(100, 60), resolution=160)
    first, second = pair[0](picture(100, 60), resolution=160), pair[1](picture(100, 60), resolution=140)
    assert torch.equal(features.features, first.features)
    (part,) = features.parts
    assert torch.equal(part.features, second.features)
    assert (features.framing, part.framing) == (first.framing, second.framing)
    assert (fusion.source, fusion.parts) == (pair[0].source, (pair[1].source,))
    assert (features.source, part.source) == (pair[0].source, pair[1].source)


def test_a_preset_is_the_preset_of_all(pair):
    features = FusionBackbone("sixteen+fourteen", pair)(picture(100, 100))  # "fast": 448 pixels with both patches
    assert features.framing.grid == (28, 28)
    assert features.parts[0].framing.grid == (32, 32)


@pytest.mark.parametrize(
    ("resolution", "other"),
    [(448, 448), (512, 518), (768, 840), (160, 140), (168, 140), (320, 280), (16, 14)],
)
def test_the_others_get_the_preset_or_about_as_many_cells(pair, resolution, other):
    assert resolution_for(pair[0], pair[0], resolution) == resolution
    assert resolution_for(pair[1], pair[0], resolution) == other


def test_the_presets_of_the_registry_count(pair, monkeypatch):
    monkeypatch.setitem(BACKBONES, "sixteen", TimmSpec("sixteen", "none", "16", 1, 8, 32, "none"))  # presets of 8
    assert resolution_for(pair[1], pair[0], 336) == 518  # "balanced"


def test_padding_is_for_all(pair):
    features = FusionBackbone("sixteen+fourteen", pair)(picture(100, 50), resolution=160, framing="pad")
    assert features.framing.grid == features.parts[0].framing.grid == (10, 10)


def test_parts_have_no_parts_of_their_own(pair):
    inner = FusionBackbone("inner", pair)
    colours = MeanColour()
    for fusion in (FusionBackbone("first", [inner, colours]), FusionBackbone("last", [colours, inner])):
        features = fusion(picture(64, 64), resolution=64)
        assert tuple(part.source for part in features.parts) == fusion.parts
        assert len(fusion.parts) == 2
        assert all(part.parts == () for part in features.parts)


def test_framed_inputs_give_the_features_of_the_first(pair):
    inputs = np.random.default_rng(1).integers(0, 256, (2, 48, 64, 3), dtype=np.uint8)
    assert torch.equal(FusionBackbone("both", pair).extract(inputs), pair[0].extract(inputs))


def test_a_sphere_reads_the_first(pair):
    mapper = SphereMapper(SphereSettings(32, source=pair[0].source)).eval()
    alone = mapper.sphere_map(pair[0](picture(64, 64), resolution=64))
    together = mapper.sphere_map(FusionBackbone("both", pair)(picture(64, 64), resolution=64))
    assert torch.equal(alone.points, together.points)


def test_the_repr_names_all(pair):
    text = repr(FusionBackbone("sixteen+fourteen", pair))
    assert text == f"sixteen+fourteen: [{pair[0]!r}; {pair[1]!r}]"
    assert "\n" not in text


def test_joined_names_load(tmp_path, monkeypatch):
    """One line in the registry makes a ViT a part; layer and norm are the first one's."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setitem(
        BACKBONES, "tiny", TimmSpec("tiny", "test_vit.r160_in1k", "tiny", 0.4, 16, 64, "Apache-2.0", norm=True)
    )
    with pytest.raises(BackboneError, match=r"timm/test_vit\.r160_in1k' is not on this machine"):
        load_backbone("mini+tiny", device="cpu")
    snapshot = tmp_path / "models--timm--test_vit.r160_in1k" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0" * 40)
    torch.manual_seed(0)
    save_file(timm.create_model("test_vit.r160_in1k").state_dict(), snapshot / "model.safetensors")

    fusion = load_backbone("mini+tiny", layer=3, device="cpu")
    mini, tiny = load_backbone("mini", layer=3, device="cpu"), load_backbone("tiny", device="cpu")
    assert fusion.name == "mini+tiny"
    assert (fusion.source, fusion.parts) == (mini.source, (tiny.source,))
    assert (mini.source.layer, tiny.source.norm) == (3, True)
    assert replace(fusion.source, layer=7) == load_backbone("mini", device="cpu").source
