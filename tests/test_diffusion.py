import weakref

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from PIL import Image
from torch.nn.functional import cosine_similarity

from spherecorr.backbones.diffusion import DiffusionBackbone, DiffusionSettings
from spherecorr.backbones.unet_levels import find_level
from spherecorr.errors import SpherecorrError
from spherecorr.identity import FeatureSource

# Four levels as in Stable Diffusion, each with channels of its own, so that a wrong one shows.
UNET = {
    "block_out_channels": (8, 16, 24, 32),
    "cross_attention_dim": 12,
    "attention_head_dim": 4,
    "norm_num_groups": 4,
    "sample_size": 8,
}
VAE = {
    "block_out_channels": (8, 8, 8, 8),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "norm_num_groups": 4,
    "latent_channels": 4,
}
NOISE = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
PAPER = ("up_blocks[2].attentions[1]", "up_blocks[1].attentions[1]", "up_blocks[0].resnets[1]")


def tiny_unet(**changes) -> UNet2DConditionModel:
    torch.manual_seed(0)
    return UNet2DConditionModel(**{**UNET, **changes})


def tiny_vae(**changes) -> AutoencoderKL:
    torch.manual_seed(1)
    return AutoencoderKL(**{**VAE, **changes})


def tiny_prompt() -> torch.Tensor:
    return torch.randn(5, 12, generator=torch.Generator().manual_seed(2))


def tiny(*levels: str, timestep: int = 100, weights: str | None = None, **settings) -> DiffusionBackbone:
    chosen = DiffusionSettings(levels or PAPER, timestep, **{"resolution": 128, **settings})
    return DiffusionBackbone(
        tiny_vae(), tiny_unet(), DDIMScheduler(**NOISE), tiny_prompt(), chosen, "tiny", weights=weights
    )


def inputs(count: int = 1, width: int = 128, height: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def picture(width: int, height: int) -> Image.Image:
    return Image.fromarray(inputs(1, width, height)[0])


# 128 x 64 pixels are 16 x 8 latents; the decoder starts at an eighth of that, and each block but the last ends by
# doubling it.
@pytest.mark.parametrize(
    ("level", "channels", "stride", "rows", "columns"),
    [
        ("up_blocks[0].resnets[0]", 32, 64, 1, 2),
        ("up_blocks[0].resnets[1]", 32, 64, 1, 2),
        ("up_blocks[0]", 32, 32, 2, 4),
        ("up_blocks[1].resnets[2]", 24, 32, 2, 4),
        ("up_blocks[1].attentions[1]", 24, 32, 2, 4),
        ("up_blocks[1]", 24, 16, 4, 8),
        ("up_blocks[2].attentions[1]", 16, 16, 4, 8),
        ("up_blocks[2]", 16, 8, 8, 16),
        ("up_blocks[3].attentions[2]", 8, 8, 8, 16),
        ("up_blocks[3]", 8, 8, 8, 16),
    ],
)
def test_every_level_has_the_shape_that_is_counted_by_hand(level, channels, stride, rows, columns):
    backbone = tiny(level)
    assert backbone.extract(inputs()).shape == (1, channels, rows, columns)
    assert (backbone.source.dim, backbone.source.patch) == (channels, stride)


def test_the_papers_levels_of_stable_diffusion():
    """At 960 pixels: 640 channels on 60 x 60 cells, 1,280 on 30 x 30, 1,280 on 15 x 15."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(cross_attention_dim=768)
        vae = AutoencoderKL(**{**VAE, "block_out_channels": (128, 256, 512, 512), "norm_num_groups": 32})
    assert 859e6 < sum(parameter.numel() for parameter in unet.parameters()) < 860e6
    levels = [find_level(vae, unet, level, "sd15") for level in PAPER]
    assert [(level.dim, 960 / level.stride) for level in levels] == [(640, 60), (1280, 30), (1280, 15)]
    dift = find_level(vae, unet, "up_blocks[1]", "dift-sd")
    assert (dift.dim, 768 / dift.stride) == (1280, 48)


def test_a_unet_of_stable_diffusion_2_is_read_alike():
    unet = tiny_unet(use_linear_projection=True, attention_head_dim=(2, 4, 6, 8))
    scheduler = DDIMScheduler(**NOISE, prediction_type="v_prediction")
    settings = DiffusionSettings(PAPER, 261)
    backbone = DiffusionBackbone(tiny_vae(), unet, scheduler, tiny_prompt(), settings, "tiny-2")
    assert [level.shape[1:] for level in backbone.extract_levels(inputs())] == [(16, 4, 8), (24, 2, 4), (32, 1, 2)]


def full_pass(backbone: DiffusionBackbone, latents: torch.Tensor) -> list[torch.Tensor]:
    """Outputs of the paper's three levels in a pass through the whole UNet."""
    unet, outputs = backbone.unet, []
    layers = [unet.up_blocks[2].attentions[1], unet.up_blocks[1].attentions[1], unet.up_blocks[0].resnets[1]]
    handles = [layer.register_forward_hook(lambda *call: outputs.append(call[-1])) for layer in layers]
    with torch.no_grad():
        unet(latents, 100, encoder_hidden_states=tiny_prompt()[None])
    for handle in handles:
        handle.remove()
    return [output[0] if isinstance(output, tuple) else output for output in reversed(outputs)]


def latents_of(backbone: DiffusionBackbone, pixels: np.ndarray) -> torch.Tensor:
    image = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 * 2 - 1
    with torch.no_grad():
        return backbone.vae.encode(image).latent_dist.mean * 0.18215


def test_features_are_those_of_a_full_pass_over_noised_latents_read_literally():
    backbone, pixels = tiny(), inputs()
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    kept = (1 - betas)[:101].prod()  # share of the latents' variance that is left at timestep 100
    noise = torch.randn(4, 8, 16, generator=torch.Generator().manual_seed(42))
    noised = kept.sqrt() * latents_of(backbone, pixels) + (1 - kept).sqrt() * noise
    for level, expected in zip(backbone.extract_levels(pixels), full_pass(backbone, noised), strict=True):
        torch.testing.assert_close(level, expected, rtol=1e-4, atol=1e-5)


def test_stopping_early_changes_nothing_and_runs_nothing_after_the_last_level():
    backbone, pixels = tiny(noise=False), inputs()
    expected = full_pass(backbone, latents_of(backbone, pixels))
    later = []
    for layer in (backbone.unet.up_blocks[2].resnets[2], backbone.unet.up_blocks[3], backbone.unet.conv_out):
        layer.register_forward_hook(lambda *call: later.append(call[0]))
    for level, whole in zip(backbone.extract_levels(pixels), expected, strict=True):
        torch.testing.assert_close(level, whole)
    assert later == []


def hooks(unet: UNet2DConditionModel) -> int:
    return sum(len(module._forward_hooks) for module in unet.modules())


def test_hooks_are_gone_after_a_pass_and_after_an_error_in_it():
    backbone = tiny()
    backbone.extract(inputs())
    assert hooks(backbone.unet) == 0

    def fail(*call):
        assert hooks(backbone.unet) == 1 + 3  # this one and the levels'
        raise ZeroDivisionError

    own = backbone.unet.mid_block.register_forward_hook(fail)
    with pytest.raises(ZeroDivisionError):
        backbone.extract(inputs())
    own.remove()
    assert hooks(backbone.unet) == 0


def test_the_same_seed_gives_the_same_features_and_another_seed_others():
    first, again, other = (tiny(seed=seed).extract(inputs()) for seed in (7, 7, 8))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, rtol=0.01)


def test_the_random_state_outside_is_neither_used_nor_changed():
    backbone = tiny()
    torch.manual_seed(3)
    first, state = backbone.extract(inputs()), torch.get_rng_state()
    torch.manual_seed(4)
    assert torch.equal(backbone.extract(inputs()), first)
    torch.manual_seed(3)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_batch_gives_what_each_image_gives_alone():
    backbone, pixels = tiny(ensemble=2), inputs(3)
    alone = torch.cat([backbone.extract(one[None]) for one in pixels])
    torch.testing.assert_close(backbone.extract(pixels), alone, rtol=1e-4, atol=1e-5)


def test_an_ensemble_is_the_mean_over_passes_with_different_noise():
    backbone, pixels = tiny(ensemble=3), inputs()
    latents, generator = latents_of(backbone, pixels), torch.Generator().manual_seed(42)
    passes = []
    for _ in range(3):
        noise = torch.randn(4, 8, 16, generator=generator)[None]
        passes.append(full_pass(backbone, DDIMScheduler(**NOISE).add_noise(latents, noise, torch.tensor([100])))[0])
    torch.testing.assert_close(backbone.extract(pixels), sum(passes) / 3, rtol=1e-4, atol=1e-5)


def test_without_noise_the_seed_is_of_no_account_and_the_timestep_still_is():
    clean, other_seed, other_step = tiny(noise=False), tiny(noise=False, seed=1), tiny(noise=False, timestep=900)
    assert torch.equal(clean.extract(inputs()), other_seed.extract(inputs()))
    assert not torch.allclose(clean.extract(inputs()), other_step.extract(inputs()), rtol=0.01)
    assert tiny(noise=False, weights="w").source == tiny(noise=False, seed=1, weights="w").source


def test_the_finest_level_comes_first_and_the_others_are_parts_over_the_same_input():
    feature_map = tiny(*reversed(PAPER))(picture(300, 160))  # 128 x 68.3 pixels, so 128 x 64
    maps = [feature_map, *feature_map.parts]
    assert [m.framing.grid for m in maps] == [(8, 4), (4, 2), (2, 1)]
    assert [m.framing.patch for m in maps] == [16, 32, 64]
    assert [m.features.shape for m in maps] == [(16, 4, 8), (24, 2, 4), (32, 1, 2)]
    for m in maps:
        assert m.framing.input_size == (128, 64)
        np.testing.assert_allclose(m.framing.to_grid((150, 80)) * m.framing.patch, (64, 32))  # the image's centre


def test_pad_makes_a_square_that_all_levels_share():
    feature_map = tiny()(picture(300, 150), framing="pad")
    assert [m.framing.grid for m in (feature_map, *feature_map.parts)] == [(8, 8), (4, 4), (2, 2)]
    assert feature_map.framing.offset == (0, 32)
    assert feature_map.parts[1].framing.to_pixel((0, 0)).tolist() == [75, 0]  # 32, 32 in the input


def test_sides_need_to_be_multiples_of_the_finest_stride_alone():
    """Coarser cells reach over the edge then: 112 x 80 pixels are 7 x 5, 3.5 x 2.5 and 1.75 x 1.25 cells."""
    levels = tiny().extract_levels(inputs(1, 112, 80))
    assert [level.shape[2:] for level in levels] == [(5, 7), (3, 4), (2, 2)]
    one_level = tiny("up_blocks[1]")(picture(112, 80), resolution=112)
    assert one_level.framing.grid == (7, 5)
    assert torch.equal(one_level.features[None], tiny("up_blocks[1]").extract(inputs(1, 112, 80)))


def test_a_change_in_the_picture_shows_most_in_its_cells():
    backbone = tiny("up_blocks[3].attentions[0]", noise=False)
    pixels = inputs(1, 192, 128)
    changed = pixels.copy()
    changed[:, 64:128, 128:192] = 255 - changed[:, 64:128, 128:192]  # the last 8 rows and 8 columns of 16 x 24 cells
    change = (backbone.extract(changed) - backbone.extract(pixels))[0].norm(dim=0)
    inside = torch.zeros(16, 24, dtype=torch.bool)
    inside[8:, 16:] = True
    assert change[inside].mean() > 2 * change[~inside].mean()


def test_half_precision_gives_nearly_the_same_features():
    single = tiny()
    half = DiffusionBackbone(
        *(tiny_vae().bfloat16(), tiny_unet().bfloat16(), DDIMScheduler(**NOISE), tiny_prompt(), single.settings, "half")
    )
    for exact, rounded in zip(single.extract_levels(inputs()), half.extract_levels(inputs()), strict=True):
        assert rounded.dtype == torch.bfloat16
        assert cosine_similarity(exact, rounded.float()).min() > 0.99


def test_the_source_tells_features_of_other_settings_apart():
    backbone = tiny()
    assert backbone.source == FeatureSource("tiny", dim=16, patch=16, layer=2)
    assert backbone.parts == (FeatureSource("tiny", 24, 32, 1), FeatureSource("tiny", 32, 64, 0))
    same = tiny(weights="digest").source
    assert same == tiny(weights="digest", resolution=256).source
    others = [{"seed": 1}, {"ensemble": 2}, {"noise": False}, {"timestep": 50}, {"prompt": "a cat"}]
    for other in [tiny(weights="digest", **change) for change in others] + [tiny(weights="another digest")]:
        assert same.differs_from(other.source) == ["weights"]
    assert same.differs_from(tiny("up_blocks[2].attentions[0]", weights="digest").source) == ["weights"]


def test_one_line_says_what_it_is():
    text = repr(tiny())
    assert text.startswith("tiny: ") and "patch 16, 16 channels, timestep 100" in text and "float32 on cpu" in text
    assert "\n" not in text


def refused(words: str, call, *arguments, **settings) -> None:
    with pytest.raises(SpherecorrError, match=words) as raised:
        call(*arguments, **settings)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("resolution", [63, 2049])
def test_resolutions_that_are_too_small_or_too_large_are_refused(resolution):
    refused(f"from 64 to 2048 pixels, not {resolution}", tiny(), picture(64, 64), resolution=resolution)


def test_sides_that_are_no_multiples_are_refused():
    refused("multiples of 16 pixels, not 128 x 72", tiny().extract, inputs(1, 128, 72))
    refused("Resolution 100 is not a multiple", tiny(), picture(64, 64), resolution=100, framing="pad")


@pytest.mark.parametrize(
    "level", ["up_blocks[4]", "up_blocks[0].attentions[0]", "up_blocks[1].resnets[3]", "mid_block"]
)
def test_levels_that_do_not_exist_are_refused_with_those_that_do(level):
    refused(r"has no level .*; it has up_blocks\[0\] \(resnets\[0..2\]\), up_blocks\[1\] \(resnets", tiny, level)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"timestep": 1000}, "timesteps 0 to 999; there is no 1000"),
        ({"timestep": -1}, "there is no -1"),
        ({"ensemble": 0}, "at least one pass"),
        ({"ensemble": 2, "noise": False}, "without noise only one"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, words):
    refused(words, tiny, **settings)


def test_models_of_another_kind_are_refused():
    settings = DiffusionSettings(PAPER, 100)
    sdxl = tiny_unet(addition_embed_type="text", addition_embed_type_num_heads=4)
    for unet in (sdxl, tiny_unet(in_channels=9)):  # the second one paints into masks
        refused(
            "no UNet of the kind of Stable Diffusion 1 or 2",
            DiffusionBackbone,
            *(tiny_vae(), unet, DDIMScheduler(), tiny_prompt(), settings, "other"),
        )
    refused(
        r"has the shape \[5, 20\]; its UNet takes \[tokens, 12\]",
        DiffusionBackbone,
        *(tiny_vae(), tiny_unet(), DDIMScheduler(), torch.zeros(5, 20), settings, "other"),
    )
    refused(
        "at least one level",
        DiffusionBackbone,
        *(tiny_vae(), tiny_unet(), DDIMScheduler(), tiny_prompt()),
        DiffusionSettings((), 100),
        "none",
    )


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:98] DefaultCPUAllocator: can't allocate memory: you tried to"),
    ],
)
def test_full_memory_is_one_sentence(error):
    backbone = tiny()

    def fail(*call):
        raise error

    backbone.unet.mid_block.register_forward_hook(fail)
    words = "needs more memory than cpu has for 1 x 128 x 64 pixels. Take fewer images at once or a lower resolution"
    refused(words, backbone.extract, inputs())


def test_other_errors_are_not_taken_for_full_memory():
    backbone = tiny()

    def fail(*call):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    backbone.unet.mid_block.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        backbone.extract(inputs())


def test_memory_is_free_as_soon_as_nobody_holds_the_backbone():
    backbone = tiny()
    backbone.extract(inputs())
    unet, vae = weakref.ref(backbone.unet), weakref.ref(backbone.vae)
    del backbone
    assert unet() is None and vae() is None


@pytest.mark.parametrize(("width", "height", "grid"), [(300, 16, (8, 4)), (16, 300, (4, 8)), (3000, 17, (8, 4))])
def test_flat_and_narrow_pictures_are_enlarged_to_a_cell_of_the_coarsest_level(width, height, grid):
    assert tiny()(picture(width, height)).framing.grid == grid


def test_a_picture_without_content_to_speak_of_is_refused():
    refused("only 300 x 4 pixels", tiny(), picture(300, 4))
