import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from spherecorr.cli import main
from spherecorr.identity import FeatureSource
from spherecorr.sphere.checkpoint import CheckpointError, import_authors, load_sphere, save_sphere
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.sphere.settings import SphereSettings

SETTINGS = SphereSettings(
    feature_dim=16,
    width=24,
    depth=2,
    positions="frame",
    source=FeatureSource("tiny", 16, 8, 3, norm=True, position_embedding="dinov2"),
    resolution=224,
    alpha=0.4,
    categories=("car", "horse"),
)


@pytest.fixture
def mapper() -> SphereMapper:
    torch.manual_seed(0)
    return SphereMapper(SETTINGS)


@pytest.fixture
def folder(tmp_path, mapper) -> Path:
    save_sphere(mapper, tmp_path / "sphere", metadata={"metrics": {"kap": 0.5}})
    return tmp_path / "sphere"


def authors_state(dim: int) -> dict[str, torch.Tensor]:
    """Random weights under the keys of the paper's public code, some of those for training only included."""
    width = dim // 2
    shapes = {
        "sphere_mapper.0.weight": (width, dim),
        "sphere_mapper.0.bias": (width,),
        "sphere_mapper.2.norm1.weight": (width,),
        "sphere_mapper.2.norm1.bias": (width,),
        "sphere_mapper.2.attn.qkv.weight": (3 * width, width),
        "sphere_mapper.2.attn.proj.weight": (width, width),
        "sphere_mapper.2.attn.proj.bias": (width,),
        "sphere_mapper.2.norm2.weight": (width,),
        "sphere_mapper.2.norm2.bias": (width,),
        "sphere_mapper.2.mlp.fc1.weight": (4 * width, width),
        "sphere_mapper.2.mlp.fc1.bias": (4 * width,),
        "sphere_mapper.2.mlp.fc2.weight": (width, 4 * width),
        "sphere_mapper.2.mlp.fc2.bias": (width,),
        "sphere_mapper.3.weight": (3, width),
        "sphere_mapper.3.bias": (3,),
        "sphere.weight": (1024, 3),
        "prototypes.proj.weight": (dim, 3),
        "prototypes.blocks.0.attn.q.weight": (dim, dim),
    }
    generator = torch.Generator().manual_seed(3)
    state = {key: torch.randn(shape, generator=generator) / math.sqrt(shape[-1]) for key, shape in shapes.items()}
    # A small first layer gives the norms inputs so small that their eps of 1e-5 matters.
    return {key: value / 100 if key.startswith("sphere_mapper.0.") else value for key, value in state.items()}


def authors_sphere(state: dict[str, torch.Tensor], tokens: torch.Tensor) -> torch.Tensor:
    """The paper's mapper written out for tokens `[N, D]`: Linear, GELU, pre-norm block, Linear, unit length."""

    def linear(x, name):
        return x @ state[f"{name}.weight"].T + state.get(f"{name}.bias", 0)

    def layer_norm(x, name):
        centred = x - x.mean(dim=-1, keepdim=True)
        deviation = (centred.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt()
        return centred / deviation * state[f"{name}.weight"] + state[f"{name}.bias"]

    def gelu(x):
        return x * (1 + torch.erf(x / math.sqrt(2))) / 2

    def attention(x, name):
        heads = max(1, x.shape[1] // 64)
        size = x.shape[1] // heads
        queries, keys, values = linear(x, f"{name}.qkv").chunk(3, dim=1)
        mixed = []
        for head in range(heads):
            q, k, v = (t[:, head * size : (head + 1) * size] for t in (queries, keys, values))
            mixed.append((q @ k.T / math.sqrt(size)).softmax(dim=1) @ v)
        return linear(torch.cat(mixed, dim=1), f"{name}.proj")

    hidden = gelu(linear(tokens, "sphere_mapper.0"))
    hidden = hidden + attention(layer_norm(hidden, "sphere_mapper.2.norm1"), "sphere_mapper.2.attn")
    normed = layer_norm(hidden, "sphere_mapper.2.norm2")
    hidden = hidden + linear(gelu(linear(normed, "sphere_mapper.2.mlp.fc1")), "sphere_mapper.2.mlp.fc2")
    points = linear(hidden, "sphere_mapper.3")
    return points / points.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("dim", [768, 32])
def test_weights_of_the_authors_give_the_authors_sphere(tmp_path, dim):
    state = authors_state(dim)
    torch.save(state, tmp_path / "200.pth")
    tokens = torch.randn(50, dim, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        points = load_sphere(tmp_path / "200.pth", device="cpu")(tokens[None])[0]
    torch.testing.assert_close(points, authors_sphere(state, tokens), atol=1e-5, rtol=0)


def test_the_authors_mapper_knows_its_features(tmp_path):
    torch.save(authors_state(768), tmp_path / "200.pth")
    settings = import_authors(tmp_path / "200.pth").settings
    assert settings.source == FeatureSource("dinov2-b", 768, 14, 11, False, "dinov2")
    assert settings.alpha == 0.2


def test_an_imported_mapper_can_be_saved_as_a_folder(tmp_path):
    torch.save(authors_state(32), tmp_path / "200.pth")
    imported = import_authors(tmp_path / "200.pth")
    save_sphere(imported, tmp_path / "sphere")
    tokens = torch.randn(1, 9, 32)
    assert torch.equal(load_sphere(tmp_path / "sphere", device="cpu")(tokens), imported(tokens))


def test_the_import_command_writes_the_same_folder(tmp_path, capsys):
    torch.save(authors_state(32), tmp_path / "200.pth")
    assert main(["import", str(tmp_path / "200.pth"), str(tmp_path / "imported")]) == 0
    tokens = torch.randn(1, 5, 32)
    assert torch.equal(load_sphere(tmp_path / "imported")(tokens), import_authors(tmp_path / "200.pth")(tokens))
    assert main(["import", str(tmp_path / "100.pth"), str(tmp_path / "none")]) == 2
    assert "There is no sphere checkpoint" in capsys.readouterr().err


def test_a_saved_mapper_comes_back_the_same(folder, mapper):
    again = load_sphere(folder)
    assert again.settings == SETTINGS
    assert not again.training
    for key, tensor in mapper.state_dict().items():
        assert torch.equal(again.state_dict()[key].cpu(), tensor), key


def test_a_config_of_before_surfaces_and_digests_is_one_of_a_sphere(folder):
    config = json.loads((folder / "config.json").read_text())
    del config["sphere"]["surface"], config["sphere"]["source"]["weights"]
    (folder / "config.json").write_text(json.dumps(config))
    assert load_sphere(folder).settings == SETTINGS


def test_a_plane_comes_back_as_a_plane(folder):
    settings = replace(SETTINGS, surface="plane", source=replace(SETTINGS.source, weights="0123"))
    save_sphere(SphereMapper(settings), folder)
    assert load_sphere(folder).settings == settings
    edit_config(folder, surface="sphere")
    refused(folder, r"head.bias is \(2,\), not \(3,\)")


def test_the_folder_holds_weights_settings_and_metadata_only(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    config = json.loads((folder / "config.json").read_text())
    assert config["metrics"] == {"kap": 0.5}
    assert config["sphere"]["alpha"] == 0.4


def test_saving_again_replaces_the_old_and_keeps_other_files(folder):
    (folder / "README.md").write_text("card")
    save_sphere(SphereMapper(SphereSettings(feature_dim=8)), folder)
    assert load_sphere(folder).settings.feature_dim == 8
    assert (folder / "README.md").read_text() == "card"


def edit_config(folder: Path, **changes) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["sphere"].update(changes)
    (folder / "config.json").write_text(json.dumps(config))


def refused(source, words: str) -> None:
    with pytest.raises(CheckpointError, match=words) as raised:
        load_sphere(source)
    assert "\n" not in str(raised.value)


def test_missing_files_are_named(tmp_path, folder):
    refused(tmp_path / "nowhere", "there is no file .*nowhere/config.json")
    refused(tmp_path / "nowhere.pth", "no sphere checkpoint '.*nowhere.pth'")
    (folder / "model.safetensors").unlink()
    refused(folder, "no file .*model.safetensors")


def test_damaged_weights_are_refused(folder):
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    refused(folder, "model.safetensors is damaged")


def test_weights_of_another_mapper_are_refused(folder):
    edit_config(folder, depth=3)
    refused(folder, r"blocks.2.attn.proj.bias is missing, .* and \d+ more")
    edit_config(folder, depth=1)
    refused(folder, "blocks.1.attn.proj.bias is unknown")
    edit_config(folder, depth=2, feature_dim=20)
    refused(folder, r"embed.weight is \(24, 16\), not \(24, 20\)")


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"flavour": "sweet"}, "flavour"), ({"feature_dim": "many"}, "does not describe"), ({"source": {}}, "backbone")],
)
def test_settings_that_make_no_sense_are_refused(folder, changes, words):
    edit_config(folder, **changes)
    refused(folder, words)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"sphere": 3}', '{"sphere": {}}'])
def test_a_broken_config_is_refused(folder, content):
    (folder / "config.json").write_text(content)
    refused(folder, "config.json does not describe a sphere mapper")


def test_other_pth_files_are_refused(tmp_path):
    path = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(2, 2)}, path)
    refused(path, "no state dict of the paper's authors")
    torch.save([1, 2], path)
    refused(path, "no state dict of the paper's authors")
    path.write_bytes(b"no pickle at all")
    refused(path, "damaged")
    torch.save({"sphere_mapper.0.weight": torch.zeros(4, 8), "sphere_mapper.4.weight": torch.zeros(3)}, path)
    refused(path, "blocks.0.attn.proj.bias is missing")


def test_pickled_code_is_not_run(tmp_path):
    torch.save({"sphere_mapper.0.weight": Path("harm")}, tmp_path / "code.pth")  # any class but a tensor
    refused(tmp_path / "code.pth", "holds more than a state dict")


def test_a_hub_id_that_is_not_here_gets_one_sentence():
    refused("nobody/no-sphere", "no folder 'nobody/no-sphere', and on the Hub: .* HF_HUB_OFFLINE is set")


def test_a_hub_id_in_the_cache_loads_without_network(folder, tmp_path, monkeypatch):
    from huggingface_hub import constants

    snapshot = tmp_path / "hub" / "models--somebody--a-sphere" / "snapshots" / ("0" * 40)
    shutil.copytree(folder, snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("spherecorr.hub._fetch_from_hub", None)  # not even for what it does not have
    assert load_sphere("somebody/a-sphere").settings == SETTINGS


def test_loading_draws_no_random_numbers_of_the_caller():
    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    load_sphere("mini", device="cpu")
    assert torch.equal(torch.random.get_rng_state(), state)
