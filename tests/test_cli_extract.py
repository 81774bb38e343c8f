"""`spherecorr extract`: stores of a dataset's split, for evaluation and for training, and of any pictures."""

import json
import shlex
from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from timm.models import save_for_hf

from spherecorr.cli import build_parser, main
from spherecorr.data.spair import SPair71k
from spherecorr.store import FeatureStore


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("backbone")
    torch.manual_seed(0)
    shape = {"depth": 2, "embed_dim": 32, "num_heads": 2, "img_size": 64, "num_classes": 0}
    model = timm.create_model("vit_tiny_patch16_224", **shape)
    save_for_hf(model, str(folder), model_args=shape, safe_serialization=True)
    return f"local-dir:{folder}"


@pytest.fixture
def spair(tmp_path):
    """Three pictures of a car in SPair-71k's layout; a is shown in a pair with b, and c in none."""
    root = tmp_path / "spair"
    for folder in ("ImageAnnotation", "JPEGImages", "Segmentation"):
        (root / folder / "car").mkdir(parents=True)
    for folder in ("PairAnnotation/trn", "Layout/large"):
        (root / folder).mkdir(parents=True)
    for stem in "abc":
        annotation = {"category": "car", "filename": f"{stem}.jpg", "image_width": 64, "image_height": 48}
        annotation |= {"bndbox": [1, 2, 60, 40], "azimuth_id": 0, "kps": {"0": [10, 20]}}
        (root / f"ImageAnnotation/car/{stem}.json").write_text(json.dumps(annotation))
        Image.new("RGB", (64, 48), "gray").save(root / f"JPEGImages/car/{stem}.jpg")
        Image.new("L", (64, 48), 255).save(root / f"Segmentation/car/{stem}.png")
    pair = {"category": "car", "src_imname": "a.jpg", "trg_imname": "b.jpg"}
    (root / "PairAnnotation/trn/0-a-b:car.json").write_text(json.dumps(pair))
    (root / "Layout/large/trn.txt").write_text("0-a-b:car")
    return root


@pytest.fixture
def run(backbone, tmp_path, capsys):
    """Run the command on a dataset; returns exit code, stdout and stderr."""

    def run(name: str, root: Path, *arguments: str):
        command = ["extract", name, str(root), "--backbone", backbone, "--out", str(tmp_path / "store")]
        return main([*command, "--resolution", "64", "--device", "cpu", *arguments]), *capsys.readouterr()

    return run


def test_evaluation_wants_every_image_that_a_pair_shows(run, spair, tmp_path):
    code, text, progress = run("spair", spair, "--split", "trn")
    store = FeatureStore(tmp_path / "store")
    assert code == 0 and store.ids == ("car/a", "car/b")
    assert store["car/b"].features.shape == (32, 4, 4) and store.settings.framing == "pad"
    assert text == (
        f"2 images, 0.00 GB in {tmp_path / 'store'}\n"
        f"wrote {tmp_path / 'store'}, to be used as --store {tmp_path / 'store'}\n"
    )
    assert "features: 100%" in progress and "2/2" in progress


def test_training_wants_the_sources_with_labels(run, spair, tmp_path):
    options = ["--labels", "--crop", "resized", "--crops", "3", "--seed", "5"]
    assert run("spair", spair, "--split", "trn", *options)[0] == 0
    store = FeatureStore(tmp_path / "store")
    assert store.ids == tuple(record.id for record in SPair71k(spair).images("trn")) == ("car/a",)
    assert store.labels.shape == (3 * 16, 5) and (store.labels[:, 0] == 1).all()
    assert (store.settings.crop, store.settings.crops, store.settings.seed) == ("resized", 3, 5)


def test_masks_of_another_folder_count(run, spair, tmp_path):
    (tmp_path / "masks/car").mkdir(parents=True)
    mask = Image.new("L", (64, 48))
    mask.paste(255, (0, 0, 32, 48))
    mask.save(tmp_path / "masks/car/a.png")
    assert run("spair", spair, "--split", "trn", "--labels", "--masks", str(tmp_path / "masks"))[0] == 0
    coverage = FeatureStore(tmp_path / "store").labels[:, 0].reshape(4, 4)
    assert coverage[1].tolist() == [1, 1, 0, 0]


def test_any_folder_of_pictures(run, tmp_path):
    for name, size in (("one.png", (64, 32)), ("deep/two.jpg", (32, 64))):
        (tmp_path / "pictures" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, "gray").save(tmp_path / "pictures" / name)
    assert run("pictures", tmp_path / "pictures", "--framing", "fit")[0] == 0
    store = FeatureStore(tmp_path / "store")
    assert {name: store[name].framing.grid for name in store} == {"deep/two.jpg": (2, 4), "one.png": (4, 2)}


def test_the_same_command_again_opens_what_is_there(run, spair, tmp_path):
    run("spair", spair, "--split", "trn")
    written = (tmp_path / "store/features.npy").stat().st_mtime_ns
    assert run("spair", spair, "--split", "trn")[0] == 0
    assert (tmp_path / "store/features.npy").stat().st_mtime_ns == written
    code, _, errors = run("spair", spair, "--split", "trn", "--framing", "fit")
    assert code == 2 and "store' has framing pad; framing fit needs another folder." in errors


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("spair", ["--split", "val"], "val.txt' is missing."),
        ("coco", [], "There is no dataset 'coco'"),
        ("spair", ["--split", "trn", "--resolution", "65"], "Resolution 65 is not a multiple of the patch size 16."),
        ("spair", ["--split", "trn", "--crops", "2"], "several differ only with the crop"),
        ("spair", ["--split", "trn", "--backbone", "local-dir:nowhere"], "nowhere"),
    ],
)
def test_what_a_user_got_wrong(run, spair, name, arguments, message):
    code, _, errors = run(name, spair, *arguments)
    assert code == 2 and message in errors and errors.count("\n") == 1


def test_one_of_several_splits_has_to_be_named(run, spair):
    (spair / "Layout/large/val.txt").write_text("")
    code, _, errors = run("spair", spair)
    assert code == 2 and "Name a split with --split; SPair-71k has trn, val." in errors


def test_a_missing_mask_is_named(run, spair):
    (spair / "Segmentation/car/a.png").unlink()
    code, _, errors = run("spair", spair, "--split", "trn", "--labels")
    assert code == 2 and "a.jpg' has no mask; training needs one for every image." in errors


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "JPEGImages/car/b.jpg").write_bytes(b"no picture"), "b.jpg' cannot be read as a picture"),
        (lambda root: (root / "JPEGImages/car/b.jpg").unlink(), "b.jpg' cannot be read as a picture"),
        (lambda root: (root / "ImageAnnotation/car/b.json").write_text("{"), "b.json' is not valid JSON"),
    ],
)
def test_what_is_broken_is_named_or_left_out(run, spair, tmp_path, spoil, message):
    pair = {"category": "car", "src_imname": "c.jpg", "trg_imname": "a.jpg"}
    (spair / "PairAnnotation/trn/1-c-a:car.json").write_text(json.dumps(pair))
    (spair / "Layout/large/trn.txt").write_text("0-a-b:car\n1-c-a:car")
    spoil(spair)
    code, _, errors = run("spair", spair, "--split", "trn")
    assert code == 2 and "b.j" in errors.splitlines()[-1]
    code, text, _ = run("spair", spair, "--split", "trn", "--skip-broken")
    assert code == 0 and "left out: 1; the first: " in text and message in text
    assert set(FeatureStore(tmp_path / "store").ids) == {"car/a", "car/c"}
    (line,) = (tmp_path / "store/left-out.txt").read_text().splitlines()
    assert message in line
    assert run("spair", spair, "--split", "trn", "--skip-broken")[0] == 0  # once more, and nothing is to do


def test_for_training_masks_count_too(run, spair, tmp_path):
    pair = {"category": "car", "src_imname": "b.jpg", "trg_imname": "a.jpg"}
    (spair / "PairAnnotation/trn/1-b-a:car.json").write_text(json.dumps(pair))
    (spair / "Layout/large/trn.txt").write_text("0-a-b:car\n1-b-a:car")
    Image.new("L", (64, 47), 255).save(spair / "Segmentation/car/b.png")
    code, text, _ = run("spair", spair, "--split", "trn", "--labels", "--skip-broken")
    assert code == 0 and "left out: 1; " in text and "b.png' has 64 x 47 pixels" in text
    assert FeatureStore(tmp_path / "store").ids == ("car/a",)


def test_pictures_that_are_none_are_left_out(run, tmp_path):
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (64, 64), "gray").save(tmp_path / "pictures" / "sound.png")
    whole = (tmp_path / "pictures" / "sound.png").read_bytes()
    (tmp_path / "pictures" / "cut.png").write_bytes(whole[:-40])  # its head is sound
    (tmp_path / "pictures" / "text.png").write_text("no picture")
    code, text, _ = run("pictures", tmp_path / "pictures", "--skip-broken")
    assert code == 0 and "left out: 2; " in text
    assert FeatureStore(tmp_path / "store").ids == ("sound.png",)


def test_where_nothing_is_sound_there_is_no_store(run, spair, tmp_path):
    for stem in "ab":
        (spair / f"JPEGImages/car/{stem}.jpg").write_bytes(b"")
    code, _, errors = run("spair", spair, "--split", "trn", "--skip-broken")
    assert code == 2 and "No image can be used (" in errors and "a.jpg" in errors
    assert not (tmp_path / "store").exists()


def test_a_folder_without_pictures(run, tmp_path):
    code, _, errors = run("pictures", tmp_path)
    assert code == 2 and f"There are no pictures in {tmp_path}" in errors


def test_the_examples_in_the_help_are_valid(capsys):
    with pytest.raises(SystemExit):
        main(["extract", "--help"])
    example = capsys.readouterr().out.split("example:\n")[1].replace("\\\n", " ")
    commands = [shlex.split(line)[1:] for line in example.strip().splitlines()]
    parsed = [build_parser().parse_args(command) for command in commands]
    assert [(options.split, bool(options.labels)) for options in parsed] == [("test", False), ("trn", True)]
