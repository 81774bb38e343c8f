import numpy as np
import pytest
import timm
import torch
from PIL import Image
from test_diffusion import tiny
from torch.nn.functional import conv2d, group_norm, interpolate, relu

from spherecorr.backbones import BACKBONES, AdapterSpec, load_backbone
from spherecorr.backbones.adapter import AdapterBackbone, load_adapter, read_adapter
from spherecorr.backbones.fusion import FusionBackbone
from spherecorr.backbones.vit import VitBackbone
from spherecorr.errors import SpherecorrError

VIT = {"depth": 2, "embed_dim": 128, "num_heads": 2, "img_size": 56, "num_classes": 0}


def published(parts=(768,), dim=768) -> dict[str, torch.Tensor]:
    """A state dict with the published adapters' keys and shapes, and random values."""
    generator = torch.Generator().manual_seed(0)
    shapes = {"mixing_weights": (len(parts),), "logit_scale": (), "self_logit_scale": ()}
    for i, part in enumerate(parts):
        convolutions = {
            "conv1": (dim // 4, part, 1, 1),
            "conv2": (dim // 4, dim // 4, 3, 3),
            "conv3": (dim, dim // 4, 1, 1),
        }
        if part != dim:
            convolutions["shortcut"] = (dim, part, 1, 1)
        for name, shape in convolutions.items():
            key = f"bottleneck_layers.{i}.0.{name}"
            shapes |= {f"{key}.weight": shape, f"{key}.norm.weight": shape[:1], f"{key}.norm.bias": shape[:1]}
    return {key: torch.randn(shape, generator=generator) for key, shape in shapes.items()}


@pytest.fixture
def save(tmp_path):
    def save(content: object):
        torch.save(content, tmp_path / "best.pth")
        return tmp_path / "best.pth"

    return save


def literal(state: dict[str, torch.Tensor], maps: list[torch.Tensor]) -> torch.Tensor:
    """1x1, 3x3 and 1x1 convolutions, each with a GroupNorm of 32 groups, and the shortcut, part by part."""
    total = 0
    for i, x in enumerate(maps):

        def convolve(name: str, x: torch.Tensor, i: int = i) -> torch.Tensor:
            key = f"bottleneck_layers.{i}.0.{name}"
            y = conv2d(x, state[f"{key}.weight"], padding=1 if name == "conv2" else 0)
            return group_norm(y, 32, state[f"{key}.norm.weight"], state[f"{key}.norm.bias"])

        inner = convolve("conv3", relu(convolve("conv2", relu(convolve("conv1", x)))))
        shortcut = convolve("shortcut", x) if f"bottleneck_layers.{i}.0.shortcut.weight" in state else x
        share = state["mixing_weights"][i].exp() / state["mixing_weights"].exp().sum()
        total = total + share * relu(inner + shortcut)
    return total


# DINOv2 alone, its small sibling with a shortcut, and the levels s3, s4, s5 of Stable Diffusion with DINOv2.
@pytest.mark.parametrize(("parts", "dim"), [((768,), 768), ((768,), 128), ((640, 1280, 1280, 768), 768)])
def test_a_published_state_dict_gives_what_its_description_says(save, parts, dim):
    state = published(parts, dim)
    adapter = read_adapter(save(state))
    assert (adapter.parts, adapter.dim) == (parts, dim)
    generator = torch.Generator().manual_seed(1)
    maps = [torch.randn(2, part, 5, 4, generator=generator) for part in parts]
    with torch.no_grad():
        refined = adapter(maps)
    assert refined.shape == (2, dim, 5, 4)
    torch.testing.assert_close(refined, literal(state, maps))


def test_coarser_maps_are_interpolated_to_the_first_ones_grid(save):
    state = published((128, 64), 128)
    fine, coarse = torch.randn(1, 128, 6, 4), torch.randn(1, 64, 3, 2)
    with torch.no_grad():
        refined = read_adapter(save(state))([fine, coarse])
    enlarged = interpolate(coarse, (6, 4), mode="bilinear", align_corners=False)
    torch.testing.assert_close(refined, literal(state, [fine, enlarged]))


def test_all_that_is_published_is_loaded(save):
    state = published((128, 64), 128)
    loaded = read_adapter(save(state)).state_dict()
    assert loaded.keys() == state.keys() - {"logit_scale", "self_logit_scale"}
    assert all(torch.equal(loaded[key], state[key]) for key in loaded)


def test_loading_draws_no_random_numbers_of_the_caller(save):
    file = save(published((128,), 128))
    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    read_adapter(file)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_sphere_of_refined_features_is_read_from_them_in_joined_backbones(save, tmp_path, monkeypatch):
    """The mapper tells layer and position embedding of its features; an adapter's are not to choose."""
    torch.manual_seed(0)
    model = timm.create_model("vit_small_patch14_dinov2", **VIT)
    timm.models.save_for_hf(model, str(tmp_path / "vit"), model_args=VIT, safe_serialization=True)
    save(published((128,), 128))
    base = f"local-dir:{tmp_path / 'vit'}"
    spec = AdapterSpec("refined", "tiny", base, f"local-dir:{tmp_path}", "best.pth", 128, "none")
    monkeypatch.setitem(BACKBONES, "refined", spec)
    alone = load_backbone("refined", device="cpu")
    joined = load_backbone("refined+mini", device="cpu", sphere=alone.source)
    assert joined.source == alone.source and joined.source.position_embedding == "dinov2"
    assert load_backbone(alone.source, device="cpu").source == alone.source
    with pytest.raises(SpherecorrError, match="'refined' is no ViT: layer, norm and position"):
        load_backbone("refined+mini", device="cpu", layer=0)


def refused(words: str, call, *arguments) -> None:
    with pytest.raises(SpherecorrError, match=words) as raised:
        call(*arguments)
    assert "\n" not in str(raised.value)


def test_other_files_are_refused(save, tmp_path):
    state = published((128,), 128)
    lacking = {key: state[key] for key in state if key != "bottleneck_layers.0.0.conv2.norm.bias"}
    more = {**state, "last_layer.weight": torch.zeros(1)}
    bent = {**state, "bottleneck_layers.0.0.conv3.weight": torch.zeros(128, 16, 1, 1)}
    narrow = published((64,), 64)  # 16 channels inside, which are no 32 groups
    sphere = {"sphere_mapper.0.weight": torch.zeros(3, 3)}
    others = [lacking, more, bent, narrow, sphere, {"mixing_weights": torch.ones(2)}, {"mixing_weights": 1}, [1, 2]]
    for other in others:
        refused("best.pth holds no adapter in DIY-SC's layout", read_adapter, save(other))
    (tmp_path / "text.pth").write_text("404: Not Found")
    refused("text.pth is damaged or no file of PyTorch weights", read_adapter, tmp_path / "text.pth")
    (tmp_path / "cut.pth").write_bytes(save(state).read_bytes()[:5000])
    refused("cut.pth is damaged", read_adapter, tmp_path / "cut.pth")
    refused("nowhere.pth is damaged or no file", read_adapter, tmp_path / "nowhere.pth")


def tiny_vit(position_embedding: str = "timm", weights: str | None = "vit") -> VitBackbone:
    torch.manual_seed(0)
    model = timm.create_model("vit_small_patch14_dinov2", **VIT, dynamic_img_size=True)
    return VitBackbone(model, "tiny", position_embedding=position_embedding, device="cpu", weights=weights)


def picture(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_refined_features_lie_on_the_bases_grid(save):
    state = published((128,), 256)
    base = tiny_vit()
    backbone = AdapterBackbone(base, read_adapter(save(state)), "refined", weights="adapter")
    raw, refined = (each(picture(100, 60), resolution=70) for each in (base, backbone))
    assert refined.framing == raw.framing
    torch.testing.assert_close(refined.features, literal(state, [raw.features[None]])[0])
    assert (refined.source.backbone, refined.source.dim, refined.source.patch) == ("refined", 256, 14)
    assert backbone.parts == () and backbone.default_resolution == 448
    text = repr(backbone)
    assert "refined: " in text and "256 channels" in text and "\n" not in text


def test_framed_inputs_give_the_same(save):
    backbone = AdapterBackbone(tiny_vit(), read_adapter(save(published((128,), 128))), "refined")
    pixels = np.array(picture(70, 42))
    assert torch.equal(backbone.extract(pixels[None])[0], backbone(picture(70, 42), resolution=70).features)


def test_the_maps_of_several_backbones_are_refined_together(save):
    """As SD + DINOv2: the first backbone's map and its part, then the second one's map, on the first one's grid."""
    state = published((16, 24, 128), 128)
    base = FusionBackbone("sd+vit", [tiny("up_blocks[2].attentions[1]", "up_blocks[1].attentions[1]"), tiny_vit()])
    backbone = AdapterBackbone(base, read_adapter(save(state)), "refined")
    image = picture(128, 64)
    raw, refined = base(image), backbone(image)
    assert refined.features.shape == (128, 4, 8) and refined.framing == raw.framing and refined.parts == ()
    maps = [raw.features, *(part.features for part in raw.parts)]
    assert [tuple(x.shape[1:]) for x in maps[:2]] == [(4, 8), (2, 4)]
    maps = [maps[0][None], *(interpolate(x[None], (4, 8), mode="bilinear") for x in maps[1:])]
    torch.testing.assert_close(refined.features, literal(state, maps)[0])
    refused("refines several maps of an image", backbone.extract, np.zeros((1, 64, 128, 3), dtype=np.uint8))


def test_an_adapter_of_another_backbone_is_refused(save):
    words = "'refined' refines maps of 640 \\+ 768 channels; those of tiny have 128"
    refused(words, AdapterBackbone, tiny_vit(), read_adapter(save(published((640, 768), 128))), "refined")


def test_the_source_tells_other_weights_apart(save):
    adapter = read_adapter(save(published((128,), 128)))
    source = AdapterBackbone(tiny_vit(), adapter, "refined", weights="a").source
    for other in (
        AdapterBackbone(tiny_vit(), adapter, "refined", weights="b"),
        AdapterBackbone(tiny_vit(weights="c"), adapter, "refined", weights="a"),
    ):
        assert source.differs_from(other.source) == ["weights"]
    assert AdapterBackbone(tiny_vit(weights=None), adapter, "refined", weights="a").source.weights is None


def test_an_adapter_loads_with_its_base(save, tmp_path):
    torch.manual_seed(0)
    model = timm.create_model("vit_small_patch14_dinov2", **VIT)
    timm.models.save_for_hf(model, str(tmp_path / "vit"), model_args=VIT, safe_serialization=True)
    state = published((128,), 128)
    file = save(state)
    spec = AdapterSpec(
        "tiny-refined", "tiny", f"local-dir:{tmp_path / 'vit'}", f"local-dir:{tmp_path}", "best.pth", 128, "none"
    )
    backbone = load_adapter(spec, "cpu")
    assert backbone.source.position_embedding == "dinov2"
    expected = AdapterBackbone(tiny_vit("dinov2"), read_adapter(file), "expected")
    image = picture(100, 60)
    assert torch.equal(backbone(image, resolution=84).features, expected(image, resolution=84).features)
    file.unlink()
    refused("'tiny-refined' cannot be loaded: there is no file .*best.pth", load_adapter, spec, "cpu")
