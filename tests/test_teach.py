"""Teaching a sphere from painted photographs: what it learns, what a person may do in between, and what is refused."""

import json
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from photographs import FACES, folder_of
from PIL import Image
from timm.models import save_for_hf

from spherecorr.cli import main
from spherecorr.data.folder import Folder
from spherecorr.errors import SpherecorrError
from spherecorr.pipelines.held_out import hold_out
from spherecorr.pipelines.recipes import TEACH, TEACH_FROM_NOTHING
from spherecorr.pipelines.teach import teach
from spherecorr.sphere.checkpoint import load_sphere, save_sphere
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.sphere.settings import SphereSettings

QUICK = replace(TEACH_FROM_NOTHING, steps=150, resolution=128, show_every=50)
SHORT = replace(QUICK, steps=6, show_every=2)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    """A tiny ViT with random weights, whose tokens still tell colours."""
    folder = tmp_path_factory.mktemp("backbone")
    torch.manual_seed(0)
    shape = {"depth": 2, "embed_dim": 64, "num_heads": 2, "img_size": 64, "num_classes": 0}
    model = timm.create_model("vit_tiny_patch16_224", **shape)
    save_for_hf(model, str(folder / "vit"), model_args=shape, safe_serialization=True)
    return f"local-dir:{folder / 'vit'}"


@pytest.fixture(scope="module")
def ponies(tmp_path_factory):
    return folder_of(tmp_path_factory.mktemp("ponies") / "data", 24)


@pytest.fixture(scope="module")
def taught(backbone, ponies, tmp_path_factory):
    out = tmp_path_factory.mktemp("taught") / "pony-sphere"
    return out, teach(ponies, out, backbone=backbone, recipe=QUICK, device="cpu")


def median(errors: dict[str, float]) -> float:
    return float(np.median(list(errors.values())))


def test_photographs_that_were_held_out_are_seen_from_where_they_were_taken(taught):
    """Up to front and rear of ponies whose mirror image shows the same colours, four sides are learned from 19."""
    out, result = taught
    assert len(result.photographs) == 19 and len(result.after) == 2 * 5
    assert result.before is None and result.steps == 150
    assert median(result.after) < 25
    loaded = load_sphere(out, device="cpu")
    assert loaded.settings == result.sphere.settings
    assert loaded.settings.categories == ("pony",) and loaded.settings.background == "head"
    config = json.loads((out / "config.json").read_text())
    assert config["recipe"] == "teach" and config["step"] == 150
    assert config["metrics"]["azimuth errors after"] == result.after


def test_the_card_tells_what_it_was_taught_on_and_what_it_is_worth(taught):
    out, result = taught
    card = (out / "README.md").read_text()
    assert card.startswith("# pony-sphere\n")
    assert "| taught by | 19 photographs" in card and f"| after | {median(result.after):.1f} |" in card
    assert "## Licence" in card and "## Limits" in card and "before" not in card.split("## Licence")[0]


def test_a_start_sphere_is_asked_before_and_goes_on_knowing_its_kinds(taught, backbone, ponies, tmp_path):
    start, earlier = taught
    result = teach(ponies, tmp_path / "again", start=str(start), recipe=replace(SHORT, resolution=None), device="cpu")
    assert result.before == pytest.approx(earlier.after)
    assert result.sphere.settings == replace(earlier.sphere.settings)
    assert f"before ({start})" in (tmp_path / "again" / "README.md").read_text()
    records = [replace(record, category="mule") for record in Folder(ponies).images("all")]
    other = teach(records, tmp_path / "mule", start=str(start), recipe=SHORT, device="cpu")
    assert other.sphere.settings.categories == ("mule", "pony")


@pytest.mark.parametrize("background", ["free", "below", "head"])
def test_any_start_keeps_its_way_to_tell_the_background(taught, backbone, ponies, tmp_path, background):
    source = load_sphere(taught[0], device="cpu").settings.source
    torch.manual_seed(0)
    save_sphere(SphereMapper(SphereSettings(64, source=source, background=background)), tmp_path / "start")
    result = teach(ponies, tmp_path / "out", start=str(tmp_path / "start"), recipe=SHORT, device="cpu")
    assert result.sphere.settings.background == ("head" if background == "free" else background)
    assert result.before is None  # it knows no axes; what was taught does
    assert result.sphere.settings.mirror_angle is not None


def test_masks_are_proposed_kept_when_corrected_and_given_ones_win(backbone, tmp_path):
    data = folder_of(tmp_path / "data", 12)
    given = np.zeros((128, 128), np.uint8)
    given[40:80, 40:80] = 255
    Image.fromarray(given).save(data / "mask.png")
    table = data / "viewpoints.csv"
    table.write_text(table.read_text().replace("00.png,pony,0,good,", "00.png,pony,0,good,mask.png"))
    out = tmp_path / "out"
    first = teach(data, out, backbone=backbone, recipe=SHORT, device="cpu")
    masks = sorted(path.name for path in (out / "masks" / "pony").iterdir())
    assert masks == [f"images-{number:02d}.png" for number in range(1, 12)]
    taught = Path(first.photographs[-1]).name
    corrected = out / "masks" / "pony" / f"{taught}.png"
    Image.fromarray(given).save(corrected)
    kept = corrected.read_bytes()
    second = teach(data, out, backbone=backbone, recipe=SHORT, device="cpu")
    assert corrected.read_bytes() == kept
    assert len(list((out / "runs").iterdir())) == 2  # other masks are another training
    assert not torch.equal(first.sphere.head.weight, second.sphere.head.weight)


def test_the_steps_are_told_with_sphere_maps_of_what_is_held_out(backbone, ponies, tmp_path):
    heard = []
    result = teach(ponies, tmp_path / "out", backbone=backbone, recipe=SHORT, device="cpu", on_step=heard.append)
    assert [step.step for step in heard if step.maps is None] == [1, 2, 3, 4, 5, 6]
    shown = {step.step: step.maps for step in heard if step.maps is not None}
    assert list(shown) == [2, 4, 6]
    assert shown[6].keys() == result.after.keys()
    assert {found.points.shape for found in shown[6].values()} == {(3, 8, 8)}
    assert {name for step in heard for name in step.losses} == {"viewpoint", "orientation", "surface", "foreground"}


def test_an_event_ends_it_with_a_checkpoint_and_the_same_call_goes_on(backbone, ponies, tmp_path):
    stop = threading.Event()

    def watch(step):
        if step.step == 3:
            stop.set()
        return not stop.is_set()

    def call(**options):
        return teach(ponies, tmp_path / "out", backbone=backbone, recipe=SHORT, device="cpu", **options)

    ended = call(on_step=watch)
    assert ended.steps == 3 and load_sphere(tmp_path / "out", device="cpu")
    assert "3 of 6; the training was ended then" in (tmp_path / "out" / "README.md").read_text()
    resumed = call()
    whole = teach(ponies, tmp_path / "whole", backbone=backbone, recipe=SHORT, device="cpu")
    assert resumed.steps == 6 and resumed.after == whole.after


def test_held_out_are_photographs_from_all_sides(ponies):
    records = Folder(ponies).images("all")
    taught, asked = hold_out(records, replace(TEACH, held_out=1 / 3))
    assert Counter(record.azimuth for record in asked) == dict.fromkeys(FACES, 2)
    assert {record.id for record in taught} | {record.id for record in asked} == {record.id for record in records}
    assert not {record.id for record in taught} & {record.id for record in asked}
    assert hold_out(records, replace(TEACH, held_out=1 / 3)) == (taught, asked)
    assert hold_out(records, replace(TEACH, held_out=1 / 3, seed=1)) != (taught, asked)
    assert len(hold_out(records, replace(TEACH, held_out=0.01))[1]) == 3


def test_photographs_of_one_animal_stay_together_and_doubtful_ones_teach(ponies):
    records = [
        replace(record, instance=f"pony{place // 2}", quality=float(place > 3))
        for place, record in enumerate(Folder(ponies).images("all"))
    ]
    taught, asked = hold_out(records, replace(TEACH, fewest=2))
    assert not {record.instance for record in taught} & {record.instance for record in asked}
    assert {record.id for record in records[:4]} <= {record.id for record in taught}


def test_too_few_photographs_are_refused(ponies, backbone, tmp_path):
    records = Folder(ponies).images("all")[:11]
    with pytest.raises(SpherecorrError, match="of at least 12 objects, and there are 11"):
        teach(records, tmp_path / "out", backbone=backbone, recipe=SHORT)


def test_a_folder_with_something_else_is_left_alone(ponies, backbone, taught, tmp_path):
    save_sphere(taught[1].sphere, tmp_path / "sphere")
    before = (tmp_path / "sphere" / "config.json").read_bytes()
    for out in (tmp_path / "sphere", ponies):
        with pytest.raises(SpherecorrError, match="holds something else"):
            teach(ponies, out, backbone=backbone, recipe=SHORT)
    assert (tmp_path / "sphere" / "config.json").read_bytes() == before


def test_the_command_teaches_and_says_what_came_of_it(ponies, backbone, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["train", str(out), "--recipe", "teach", "--data", "folder", str(ponies), "--backbone", backbone]
    assert main([*command, "--steps", "5", "--resolution", "128", "--device", "cpu", "--weights", "surface=1"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("held-out photographs: ") and f"--sphere {out}" in said
    assert json.loads((out / "config.json").read_text())["training"]["steps"] == 5


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--width", "32"], "The recipe teach does not use --width"),
        (["--preset", "paper"], "does not use --preset"),
        (["--data", "folder", "elsewhere"], "takes --data folder ROOT once"),
    ],
)
def test_options_that_a_recipe_does_not_use_are_refused(ponies, tmp_path, capsys, more, message):
    command = ["train", str(tmp_path / "out"), "--recipe", "teach", "--data", "folder", str(ponies), *more]
    assert main(command) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()
