"""The recipe photographs, from nothing to a checkpoint: a real DINOv2 architecture of a few channels, tiny renders."""

import json
from dataclasses import replace

import pytest
import timm
import torch
from photographs import folder_of
from PIL import Image
from timm.models import save_for_hf

from spherecorr.cli import main
from spherecorr.errors import SpherecorrError
from spherecorr.pipelines.photographs import train_on_photographs
from spherecorr.pipelines.recipes import PHOTOGRAPHS
from spherecorr.render.settings import RenderSettings
from spherecorr.sphere.checkpoint import load_sphere

TINY = replace(
    PHOTOGRAPHS,
    renders=RenderSettings("trn", 12, 6, ("car", "dog"), size=56),
    held_out=RenderSettings("val", 6, 3, ("car", "dog"), size=56),
    resolution=56,
    photograph_crops=2,
    width=32,
    depth=1,
    steps=20,
    batch=6,
    tokens=0,
    optimiser="adamw",
    precision="fp32",
    log_every=5,
    save_every=10,
    validate_every=10,
)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("backbone")
    torch.manual_seed(0)
    shape = {"depth": 2, "embed_dim": 64, "num_heads": 2, "img_size": 56, "num_classes": 0}
    model = timm.create_model("vit_small_patch14_dinov2", **shape)
    save_for_hf(model, str(folder / "dinov2"), model_args=shape, safe_serialization=True)
    return f"local-dir:{folder / 'dinov2'}"


@pytest.fixture(scope="module")
def ponies(tmp_path_factory):
    """Twelve photographs, and one without viewpoint and with a mask, which still teaches what is object."""
    root = folder_of(tmp_path_factory.mktemp("ponies") / "data", 13)
    table = root / "viewpoints.csv"
    mask = Image.new("L", (128, 128), 0)
    mask.paste(255, (30, 30, 90, 80))
    mask.save(root / "mask.png")
    table.write_text(table.read_text().replace("12.png,pony,0,good,", "12.png,pony,,good,mask.png"))
    return root


@pytest.fixture(scope="module")
def made(backbone, ponies, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "tiny-dinov2"
    said: list[str] = []
    how = {"backbone": backbone, "recipe": TINY, "device": "cpu", "processes": 1}
    sphere = train_on_photographs(ponies, out, **how, notify=said.append)
    return out, sphere, said


def test_one_call_renders_extracts_trains_chooses_alpha_and_writes_a_card(made, backbone):
    out, sphere, said = made
    assert [line.split(",")[0] for line in said] == ["12 images", "13 images"]
    assert len(list((out / "renders" / "JPEGImages").rglob("*.jpg"))) == 18
    assert len(list((out / "masks").rglob("*.png"))) == 12  # one was given
    loaded = load_sphere(out, device="cpu")
    assert loaded.settings == sphere.settings and loaded.settings.alpha in TINY.alphas
    assert loaded.settings.categories == ("car", "dog", "pony") and loaded.settings.background == "head"
    assert (loaded.settings.source.patch, loaded.settings.source.dim) == (14, 64)
    config = json.loads((out / "config.json").read_text())
    assert config["recipe"] == "photographs" and config["training"]["images"] == 12 + 2 * 13
    card = (out / "README.md").read_text()
    assert "| renders | 12 |\n| photographs | 13 |" in card
    assert card.count("\n| 0.") == 9 and "## Limits" in card
    losses = json.loads((out / "training" / "metrics.jsonl").read_text().splitlines()[0])
    assert losses.keys() == {"step", "viewpoint", "orientation", "surface", "foreground"}


def test_the_same_call_does_nothing_again(made, backbone, ponies):
    out, sphere, _ = made
    before = {path: path.stat().st_mtime_ns for path in (out / "training").rglob("model.safetensors")}
    told: list[int] = []
    again = train_on_photographs(
        ponies, out, backbone=backbone, recipe=TINY, device="cpu", on_step=lambda step, *_: told.append(step)
    )
    assert not told and again.settings == sphere.settings
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_stopped_run_ends_where_one_that_was_not_stopped_does(made, backbone, ponies, tmp_path):
    """Renders that are there are taken, from wherever they are."""
    renders = made[0] / "renders"
    how = {"backbone": backbone, "renders": renders, "recipe": TINY, "device": "cpu"}
    train_on_photographs(ponies, tmp_path / "out", **how, on_step=lambda step, *_: step < 7)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["step"] == 7
    resumed = train_on_photographs(ponies, tmp_path / "out", **how)
    assert not (tmp_path / "out" / "renders").exists()
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), made[1].parameters(), strict=True))


def test_the_command_follows_the_recipe(made, backbone, ponies, tmp_path, capsys):
    command = ["train", str(tmp_path / "out"), "--recipe", "photographs", "--data", "folder", str(ponies)]
    models = ["--backbone", backbone, "--renders", str(made[0] / "renders"), "--resolution", "56", "--device", "cpu"]
    short = ["--steps", "5", "--batch", "4", "--tokens", "0", "--width", "32", "--depth", "1", "--optimiser", "adamw"]
    assert main([*command, *models, *short, "--precision", "fp32"]) == 0
    assert f"wrote {tmp_path / 'out'}, a sphere to be used as --sphere" in capsys.readouterr().out
    assert main([*command, "--start", "mini", *models]) == 2
    assert "The recipe photographs does not use --start" in capsys.readouterr().err
    assert main(["train", str(tmp_path / "out"), "--data", "renders", "data", "--renders", "data"]) == 2
    assert "--renders is for --recipe photographs" in capsys.readouterr().err
    assert main(command) == 2
    assert "name it with --backbone" in capsys.readouterr().err


def test_a_folder_with_another_sphere_is_left_alone(made, backbone, ponies, tmp_path):
    (tmp_path / "config.json").write_text('{"recipe": "teach"}')
    with pytest.raises(SpherecorrError, match="holds something else"):
        train_on_photographs(ponies, tmp_path, backbone=backbone, recipe=TINY)
