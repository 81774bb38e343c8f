import json
import sys
from dataclasses import replace

import pytest
import torch
from diffusers import DDIMScheduler, PNDMScheduler, UNet2DConditionModel
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from test_diffusion import NOISE, PAPER, inputs, refused, tiny, tiny_prompt, tiny_unet, tiny_vae

from spherecorr.backbones import DiffusionSpec, load_backbone, weights_available
from spherecorr.backbones.diffusion import load_diffusion
from spherecorr.backbones.diffusion_weights import check_memory, free_memory, prompt_embedding
from spherecorr.backbones.registry import BACKBONES, HubFiles
from spherecorr.identity import digest, file_digest

WEIGHTS = "diffusion_pytorch_model.safetensors"
FILES = ("unet/config.json", f"unet/{WEIGHTS}", "vae/config.json", f"vae/{WEIGHTS}", "scheduler/scheduler_config.json")


@pytest.fixture
def folder(tmp_path):
    """A tiny Stable Diffusion in the Hub's layout, as far as it is needed."""
    tiny_unet().save_pretrained(tmp_path / "sd" / "unet")
    tiny_vae().save_pretrained(tmp_path / "sd" / "vae")
    PNDMScheduler(**NOISE, skip_prk_steps=True).save_pretrained(tmp_path / "sd" / "scheduler")
    save_file({"embedding": tiny_prompt()}, tmp_path / "sd" / "empty_prompt.safetensors")
    return tmp_path / "sd"


def spec(repository: object, **changes) -> DiffusionSpec:
    return DiffusionSpec(
        **{
            "name": "tiny-sd",
            "title": "tiny",
            "repository": str(repository),
            "filenames": FILES,
            "parameters": 0.5,
            "dim": 16,
            "patch": 16,
            "licence": "none",
            "resolutions": {"fast": 128, "balanced": 192, "fine": 256},
            "timestep": 100,
            "levels": PAPER,
            "noise_seed": 42,
            **changes,
        }
    )


def local(folder, **changes) -> DiffusionSpec:
    return spec(f"local-dir:{folder}", **changes)


def test_a_folder_in_the_hubs_layout_loads(folder):
    backbone = load_diffusion(local(folder), device="cpu")
    for loaded, expected in zip(backbone.extract_levels(inputs()), tiny().extract_levels(inputs()), strict=True):
        assert torch.equal(loaded, expected)
    assert backbone.default_resolution == 128
    files = digest([file_digest(folder / part / WEIGHTS).encode() for part in ("unet", "vae")])
    assert backbone.source == replace(tiny(weights=files).source, backbone="tiny-sd")


def test_a_folder_of_another_stable_diffusion_loads_by_its_path(folder):
    """With sd15's levels and settings; SD 2's UNet has linear projections, its own heads, and foretells velocities."""
    name = f"diffusion:local-dir:{folder}"
    config = {"use_linear_projection": True, "attention_head_dim": (2, 4, 6, 8)}
    tiny_unet(**config).save_pretrained(folder / "unet")
    DDIMScheduler(**NOISE, prediction_type="v_prediction").save_pretrained(folder / "scheduler")
    assert weights_available(name)
    backbone = load_backbone(name, device="cpu")
    levels = backbone.extract_levels(inputs())
    assert [level.shape[1:] for level in levels] == [(16, 4, 8), (24, 2, 4), (32, 1, 2)]
    assert (backbone.name, backbone.settings.timestep, backbone.default_resolution) == (name, 100, 512)
    (folder / "vae" / WEIGHTS).unlink()
    assert not weights_available(name)


def test_the_spec_says_what_is_read(folder):
    settings = {"levels": ("up_blocks[1]",), "timestep": 261, "ensemble": 3, "noise_seed": 5}
    backbone = load_diffusion(local(folder, **settings), device="cpu")
    expected = tiny("up_blocks[1]", timestep=261, ensemble=3, seed=5)
    assert torch.equal(backbone.extract(inputs()), expected.extract(inputs()))


def test_the_decoder_is_not_kept(folder):
    backbone = load_diffusion(local(folder), device="cpu")
    kept = {key.partition(".")[0] for key in backbone.vae.state_dict()}
    assert kept == {"encoder", "quant_conv"}


def test_half_precision_weights_compute_in_single_on_the_cpu(folder):
    for part, model in (("unet", tiny_unet()), ("vae", tiny_vae())):
        save_file({key: tensor.half() for key, tensor in model.state_dict().items()}, folder / part / WEIGHTS)
    backbone = load_diffusion(local(folder), device="cpu")
    assert backbone.extract(inputs()).dtype == torch.float32
    assert load_diffusion(local(folder), device="cpu", dtype="bfloat16").extract(inputs()).dtype == torch.bfloat16


def test_a_vae_with_the_names_of_old_loads(folder):
    """Stable Diffusion 1.5 stores its VAE so: `query` for `to_q`, `proj_attn` for `to_out.0`, and so on."""
    names = {"to_q.": "query.", "to_k.": "key.", "to_v.": "value.", "to_out.0.": "proj_attn."}
    state = load_file(folder / "vae" / WEIGHTS)
    for new, old in names.items():
        assert any(new in key for key in state)
        state = {key.replace(new, old): tensor for key, tensor in state.items()}
    save_file(state, folder / "vae" / WEIGHTS)
    assert torch.equal(load_diffusion(local(folder), device="cpu").extract(inputs()), tiny().extract(inputs()))


def put_into_cache(cache, repository: str, files: dict[str, bytes], revision: str, monkeypatch) -> None:
    home = cache / f"models--{repository.replace('/', '--')}"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / revision).write_text("0" * 40)
    for name, content in files.items():
        path = home / "snapshots" / ("0" * 40) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))


def test_a_repository_loads_from_the_cache_without_network(folder, tmp_path, monkeypatch):
    names = (*FILES, "empty_prompt.safetensors")
    files = {name: (folder / name).read_bytes() for name in names}
    put_into_cache(tmp_path / "hub", "somebody/tiny-sd", files, "fp32", monkeypatch)
    backbone = load_diffusion(spec("somebody/tiny-sd", revision="fp32"), device="cpu")
    assert torch.equal(backbone.extract(inputs()), tiny().extract(inputs()))
    refused(
        "'tiny-sd' cannot be loaded: 'somebody/tiny-sd' is not on this machine",
        load_diffusion,
        spec("somebody/tiny-sd", revision="main"),
        "cpu",
    )


def test_a_unet_may_come_from_another_repository(folder, tmp_path, monkeypatch):
    """CleanDIFT publishes the state dict of Stable Diffusion's UNet alone."""
    torch.manual_seed(9)
    other = UNet2DConditionModel.from_config(tiny_unet().config)
    save_file(other.state_dict(), tmp_path / "clean_unet.safetensors")
    content = (tmp_path / "clean_unet.safetensors").read_bytes()
    put_into_cache(tmp_path / "hub", "somebody/clean", {"clean_unet.safetensors": content}, "main", monkeypatch)
    (folder / "unet" / WEIGHTS).unlink()
    chosen = local(
        folder,
        filenames=tuple(name for name in FILES if name != f"unet/{WEIGHTS}"),
        unet=HubFiles("somebody/clean", ("clean_unet.safetensors",)),
        noise=False,
    )
    backbone = load_diffusion(chosen, device="cpu")
    assert torch.equal(backbone.unet.conv_in.weight, other.conv_in.weight)
    assert not backbone.settings.noise


def test_a_full_download_of_nothing_else_is_missed(folder):
    """What the spec lists is what is loaded: with one file less, it is named."""
    for name in FILES:
        content = (folder / name).read_bytes()
        (folder / name).unlink()
        refused(f"'tiny-sd' cannot be loaded: there is no file .*{name}", load_diffusion, local(folder), "cpu")
        (folder / name).write_bytes(content)


def test_broken_folders_are_refused(folder):
    whole = {name: (folder / name).read_bytes() for name in FILES}

    def broken(name: str, content: bytes, words: str) -> None:
        (folder / name).write_bytes(content)
        refused(words, load_diffusion, local(folder), "cpu")
        (folder / name).write_bytes(whole[name])

    broken(f"unet/{WEIGHTS}", whole[f"unet/{WEIGHTS}"][:5000], "unet/.*safetensors is damaged, or holds no weights of")
    broken(f"unet/{WEIGHTS}", whole[f"vae/{WEIGHTS}"], "unet/.*safetensors is damaged, or holds no weights of")
    broken("unet/config.json", b"{", "unet/config.json is broken: it is no JSON object")
    broken("unet/config.json", b"[1]", "unet/config.json is broken: it is no JSON object")
    broken("unet/config.json", whole["vae/config.json"], "describes a AutoencoderKL; a UNet2DConditionModel is needed")
    config = {**json.loads(whole["unet/config.json"]), "block_out_channels": [8, 16, 24, 16]}
    broken("unet/config.json", json.dumps(config).encode(), "is damaged, or holds no weights of")
    (folder / "empty_prompt.safetensors").write_bytes(b"")
    refused("empty_prompt.safetensors holds no embedding of a prompt; delete it", load_diffusion, local(folder), "cpu")


def test_without_diffusers_one_sentence_says_how_to_get_it(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    refused(
        "diffusers is needed for backbone 'tiny-sd'; install it with `pip install diffusers`",
        load_diffusion,
        local(folder),
        "cpu",
    )


def test_a_model_that_does_not_fit_is_refused_with_what_would(folder):
    cpu = torch.device("cpu")
    check_memory("sd15", 900e6, torch.float32, 5e9, cpu)
    check_memory("sd15", 900e6, torch.float32, None, cpu)
    # 900 million parameters of 4 bytes are 3.6 GB, and 0.3 times that are for the pass.
    words = "'sd15' needs about 4.7 GB, but only 4.0 GB are free on cpu. With dtype 'bfloat16' it needs 2.3 GB"
    refused(words, check_memory, "sd15", 900e6, torch.float32, 4e9, cpu)
    refused("'dinov2-b' needs below 1 GB", check_memory, "sd15", 900e6, torch.float32, 2e9, cpu)
    refused("needs about [0-9.]+ GB, but only", load_diffusion, local(folder, parameters=1e6), "cpu")


def test_free_memory_is_between_nothing_and_a_few_terabytes():
    assert 1e8 < free_memory(torch.device("cpu")) < 1e13
    assert free_memory(torch.device("meta")) is None


def test_without_the_embedding_and_transformers_one_sentence_says_so(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    (folder / "empty_prompt.safetensors").unlink()
    refused(
        "transformers is needed for the embedding of the prompt '', once, as there is no .*empty_prompt",
        load_diffusion,
        local(folder),
        "cpu",
    )
    refused("the embedding of the prompt 'a cat'", load_diffusion, local(folder, prompt="a cat"), "cpu")


def test_an_embedding_is_computed_once_and_kept(folder):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    words = ["a</w>", "cat</w>", "<|startoftext|>", "<|endoftext|>", "c", "a", "t</w>", "ca"]
    sizes = {"hidden_size": 12, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.CLIPTextConfig(
        vocab_size=len(words), max_position_embeddings=7, bos_token_id=2, eos_token_id=3, pad_token_id=3, **sizes
    )
    encoder = transformers.CLIPTextModel(config)
    encoder.save_pretrained(folder / "text_encoder")
    tokenizer = folder / "tokenizer"
    tokenizer.mkdir()
    (tokenizer / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (tokenizer / "merges.txt").write_text("#version: 0.2\nc a\nca t</w>\n")
    ends = {"bos_token": words[2], "eos_token": words[3], "unk_token": words[3], "pad_token": words[3]}
    (tokenizer / "special_tokens_map.json").write_text(json.dumps(ends))
    (tokenizer / "tokenizer_config.json").write_text(
        json.dumps({**ends, "model_max_length": 7, "tokenizer_class": "CLIPTokenizer"})
    )

    def embed(prompt: str) -> torch.Tensor:
        return prompt_embedding(prompt, folder, lambda filename: folder / filename)

    (folder / "empty_prompt.safetensors").unlink()
    with torch.no_grad():
        empty = encoder(torch.tensor([[2, 3, 3, 3, 3, 3, 3]]))[0][0]
        cat = encoder(torch.tensor([[2, 0, 1, 3, 3, 3, 3]]))[0][0]
    torch.testing.assert_close(embed(""), empty)
    torch.testing.assert_close(embed("a cat"), cat)
    assert torch.equal(load_file(folder / "empty_prompt.safetensors")["embedding"], embed(""))
    (folder / "text_encoder" / "model.safetensors").unlink()
    torch.testing.assert_close(embed("a cat"), cat)


@pytest.mark.parametrize("name", ["sd15", "dift-sd", "sd15-clean"])
def test_registered_models_that_are_not_here_name_the_download(name, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert BACKBONES[name].levels
    refused(f"'{name}' cannot be loaded: .* is not on this machine and HF_HUB_OFFLINE is set", load_backbone, name)
