"""Lists of annotated pairs: the set that ships, long lists, and folders that are none."""

import json

import pytest
from test_datasets import spair_image

from spherecorr.cli import main
from spherecorr.data.check import check_picture
from spherecorr.data.pair_list import PairList, open_pairs
from spherecorr.data.records import DatasetError
from spherecorr.shipped import shipped_folder
from spherecorr.ui.examples import listed_examples, read_examples

RENDERS = shipped_folder("examples") / "renders"


def test_the_renders_that_ship_can_be_read_and_are_small():
    pairs = open_pairs("renders", RENDERS)
    assert list(pairs.counts.values()) == [3] * 8 and pairs.title.startswith("renders, test")
    for category, count in pairs.counts.items():
        for number in range(1, count + 1):
            record = pairs.pair(category, number).record
            assert record.source.category == record.target.category == category and record.target.box
            assert any(point and record.target.keypoints[name] for name, point in record.source.keypoints.items())
            for image in (record.source, record.target):
                assert check_picture(image).size == (320, 320) and image.mask
    files = [path for path in RENDERS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 1_500_000
    assert not [path for path in files if ":" in path.name]  # Windows could neither clone nor install them


def test_examples_are_a_list_too():
    examples = read_examples(shipped_folder("examples"))
    pairs = listed_examples(examples)
    assert list(pairs.counts) == [example.title for example in examples.values()]
    record = pairs.pair(examples["car"].title, 1).record
    assert record.source.path == examples["car"].source and record.target.longer_side == 274
    assert record.target.keypoints["left_front_wheel"] is None


@pytest.fixture
def long_list(tmp_path):
    """SPair-71k as far as a menu needs it: 12,000 names, and the files of one pair only."""
    names = [f"{i:06d}-a{i}-b{i}:{('car', 'bus')[i % 2]}" for i in range(12_000)]
    layout = tmp_path / "Layout" / "large" / "test.txt"
    layout.parent.mkdir(parents=True)
    layout.write_text("\n".join(names))
    folder = tmp_path / "ImageAnnotation" / "car"
    folder.mkdir(parents=True)
    for stem in ("a4000", "b4000"):
        annotation = {**spair_image(stem), "category": "car", "kps": {"11": [10, 10], "21": [20, 10], "4": None}}
        (folder / f"{stem}.json").write_text(json.dumps(annotation))
    pair = tmp_path / "PairAnnotation" / "test" / f"{names[4000]}.json"
    pair.parent.mkdir(parents=True)
    pair.write_text(json.dumps({"category": "car", "src_imname": "a4000.jpg", "trg_imname": "b4000.jpg"}))
    return tmp_path


def test_a_long_list_is_read_pair_by_pair(long_list):
    pairs = open_pairs("spair", long_list)
    assert pairs.counts == {"bus": 6000, "car": 6000}
    pair = pairs.pair("car", 2001)
    assert pair.record.source.id == "car/a4000"
    assert pair.labels == {"11": "11 (wheel)", "21": "21 (wheel)", "4": "4 (licence plate)"}
    assert pair.symmetry["car"].mirrored["11"] == "21"
    assert pair.swapped().record.source.id == "car/b4000"
    with pytest.raises(DatasetError, match=r"000001-a1-b1:bus.json' cannot be read"):
        pairs.pair("bus", 1)


@pytest.mark.parametrize(
    ("category", "number", "words"),
    [("cat", 1, "has no category 'cat'"), ("car", 0, "has the pairs 1 to 3"), ("car", 4, "there is no pair 4")],
)
def test_a_pair_that_is_not_there_gets_a_sentence(category, number, words):
    with pytest.raises(DatasetError, match=words):
        open_pairs("renders", RENDERS).pair(category, number)


def test_a_list_is_read_when_it_is_first_asked_for_and_once():
    calls = []
    pairs = PairList("a list", lambda: calls.append("read") or {"car": []})
    assert not calls
    assert pairs.counts == pairs.counts == {"car": 0} and calls == ["read"]


def eth80(folder):
    (folder / "car1").mkdir()
    (folder / "car1" / "car1-090-045.png").touch()


def no_pairs(folder):
    (folder / "ImageAnnotation").mkdir()


def broken_list(folder):
    no_pairs(folder)
    (folder / "Layout" / "large").mkdir(parents=True)
    (folder / "Layout" / "large" / "test.txt").write_text("a name of another form")


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("spare", None, "There is no dataset 'spare'; there are spair,"),
        ("spair", "missing", "There is no folder"),
        ("spair", None, "has no folder ImageAnnotation"),
        ("eth80", eth80, "ETH-80 has viewpoints but no pairs with keypoints"),
        ("renders", no_pairs, "lists no pairs"),
        ("renders", broken_list, "which is not of the form number-source-target:category"),
    ],
)
def test_the_app_refuses_a_folder_that_it_cannot_open(name, make, words, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("spherecorr.ui.blocks.launch", lambda **_: pytest.fail("the app was started"))
    root = tmp_path / "missing" if make == "missing" else tmp_path
    if callable(make):
        make(tmp_path)
    assert main(["app", "--data", name, str(root)]) == 2
    said = capsys.readouterr().err
    assert words in said and "Traceback" not in said


def test_the_app_offers_the_datasets_that_it_is_given(monkeypatch):
    started = []
    monkeypatch.setattr("spherecorr.ui.blocks.launch", lambda **how: started.append(how["settings"].data))
    assert main(["app", "--data", "renders", str(RENDERS), "--data", "renders", str(RENDERS)]) == 0
    assert started == [(("renders", RENDERS),) * 2]
