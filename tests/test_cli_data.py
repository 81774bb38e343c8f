"""`spherecorr data`: counts, comparison with what is published, the first broken file, what was left out, lists."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from spherecorr.cli import build_parser, main
from spherecorr.data.check import check_image
from spherecorr.data.records import DatasetError, ImageRecord
from spherecorr.data.registry import DATASETS, open_dataset

ROOT = Path(__file__).parent.parent


@pytest.fixture
def renders(tmp_path):
    """Three pictures of a car, two of them with masks, in two pairs of one split."""
    for folder in ("ImageAnnotation", "JPEGImages", "Segmentation"):
        (tmp_path / folder / "car").mkdir(parents=True)
    for folder in ("PairAnnotation/val", "Layout/large"):
        (tmp_path / folder).mkdir(parents=True)
    for stem in "abc":
        annotation = {"category": "car", "filename": f"{stem}.jpg", "image_width": 64, "image_height": 48}
        annotation |= {"bndbox": [1, 2, 60, 40], "azimuth_id": 0, "kps": {"0": [10, 20], "1": [30, 5], "2": None}}
        (tmp_path / f"ImageAnnotation/car/{stem}.json").write_text(json.dumps(annotation))
        Image.new("RGB", (64, 48)).save(tmp_path / f"JPEGImages/car/{stem}.jpg")
    for stem in "ab":
        Image.new("L", (64, 48), 255).save(tmp_path / f"Segmentation/car/{stem}.png")
    names = ("0-a-b:car", "1-a-c:car")
    for name in names:
        pair = {"category": "car", "src_imname": f"{name[2]}.jpg", "trg_imname": f"{name[4]}.jpg"}
        (tmp_path / f"PairAnnotation/val/{name}.json").write_text(json.dumps(pair))
    (tmp_path / "Layout/large/val.txt").write_text("\n".join(names))
    return tmp_path


def rows(text: str) -> dict[str, list[str]]:
    """Split -> the numbers in its row."""
    return {words[0]: words[1:] for words in (line.split() for line in text.splitlines()) if len(words) == 5}


def test_a_sound_dataset_is_counted(renders, capsys):
    assert main(["data", "check", "renders", str(renders)]) == 0
    text = capsys.readouterr().out
    header = ["images", "pairs", "keypoints", "masks"]
    assert rows(text) == {"split": header, "val": ["3", "2", "6", "2"]}  # each image counts once
    assert text.endswith("masks are read as: binary (2)\n3 images of 1 categories are sound\n")


def test_published_numbers_are_compared(renders, capsys):
    assert main(["data", "check", "spair", str(renders), "--split", "val"]) == 2
    assert "The split val has 2 pairs; SPair-71k has 5,384. Is the download complete?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "JPEGImages/car/c.jpg").unlink(), "c.jpg' cannot be read as a picture"),
        (lambda root: (root / "ImageAnnotation/car/c.json").write_text("{"), "c.json' is not valid JSON"),
        (
            lambda root: Image.new("RGB", (48, 64)).save(root / "JPEGImages/car/c.jpg"),
            "c.jpg' has 48 x 64 pixels, its annotation says 64 x 48",
        ),
    ],
)
def test_the_first_broken_file_is_named_or_counted(renders, capsys, spoil, message):
    spoil(renders)
    assert main(["data", "check", "renders", str(renders)]) == 2
    errors = capsys.readouterr().err
    assert message in errors and errors.startswith("spherecorr: ") and errors.count("\n") == 1
    assert main(["data", "check", "renders", str(renders), "--skip-broken"]) == 0
    text = capsys.readouterr().out
    assert rows(text)["val"] == ["2", "1", "4", "2"]
    assert "left out: 1; the first: " in text and message in text


def test_masks_are_checked(renders):
    record = ImageRecord("car/a", renders / "JPEGImages/car/a.jpg", (64, 48), "car", None, {})
    mask = renders / "mask.png"
    for size, colour, message in (
        ((64, 47), 255, "has 64 x 47 pixels, its picture 64 x 48"),
        ((64, 48), 0, "is empty"),
    ):
        Image.new("L", size, colour).save(mask)
        with pytest.raises(DatasetError, match=rf"mask\.png' {message}"):
            check_image(replace(record, mask=mask))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["coco", "."], "There is no dataset 'coco'; there are spair, spair-u"),
        (["renders", "nowhere"], "There is no folder 'nowhere'."),
        (["renders", "."], "'.' has no folder ImageAnnotation"),
        (["renders", "ROOT", "--split", "train"], "There is no split 'train'"),
        (["renders", "ROOT", "--split", "trn"], "trn.txt' is missing"),
    ],
)
def test_what_a_user_got_wrong(renders, capsys, arguments, message):
    assert main(["data", "check", *(str(renders) if word == "ROOT" else word for word in arguments)]) == 2
    assert message in capsys.readouterr().err


def test_renders_without_lists_of_pairs(renders, capsys):
    (renders / "Layout/large/val.txt").unlink()
    assert main(["data", "check", "renders", str(renders)]) == 2
    assert "has no list of pairs in Layout/large" in capsys.readouterr().err


def test_eth80_as_a_whole(test_data, capsys):
    assert main(["data", "check", "eth80", str(test_data / "data" / "eth80")]) == 0
    assert rows(capsys.readouterr().out)["all"] == ["1,148", "0", "0", "1,148"]


def test_pairs_are_written_as_a_list(renders, tmp_path, capsys):
    command = ["data", "pairs", "renders", str(renders), "--split", "val", "--out", str(tmp_path / "lists/val.txt")]
    assert main(command) == 0
    assert (tmp_path / "lists/val.txt").read_text() == "car/a car/b\ncar/a car/c\n"
    assert "wrote 2 pairs to" in capsys.readouterr().out
    (renders / "viewpoints.csv").write_text("image,category,azimuth\n")
    assert main(["data", "pairs", "folder", str(renders), "--out", str(tmp_path / "none.txt")]) == 2
    assert "a folder has no pairs" in capsys.readouterr().err and not (tmp_path / "none.txt").exists()


def test_masks_of_another_folder(renders, capsys):
    (renders / "better/car").mkdir(parents=True)
    Image.new("L", (64, 48), 255).save(renders / "better/car/c.png")
    assert main(["data", "check", "renders", str(renders), "--masks", str(renders / "better")]) == 0
    assert rows(capsys.readouterr().out)["val"] == ["3", "2", "6", "1"]
    assert main(["data", "check", "ap10k", str(renders), "--masks", str(renders)]) == 2
    assert "AP-10K is read without masks" in capsys.readouterr().err


def test_help_and_the_page_on_data_list_every_dataset(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")  # no line breaks inside names
    with pytest.raises(SystemExit):
        build_parser().parse_args(["data", "check", "--help"])
    listed = re.search(r"NAME\s+(spair,.*? or \S+)", capsys.readouterr().out, re.DOTALL).group(1)
    assert re.split(r",?\s+(?:or\s+)?", listed) == list(DATASETS)
    section = (ROOT / "docs/data.md").read_text(encoding="utf-8").split("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("| `")]
    assert table == [f"| `{info.name}` | {info.title} | {info.layout} | {info.licence} |" for info in DATASETS.values()]


@pytest.mark.parametrize("info", DATASETS.values(), ids=lambda info: info.name)
def test_every_dataset_refuses_a_folder_of_another_layout(tmp_path, info):
    with pytest.raises(DatasetError, match=re.escape(str(tmp_path))):
        open_dataset(info.name, tmp_path)
