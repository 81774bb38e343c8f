"""Mirrored keypoints and groups of keypoints, from names and from a file."""

from types import SimpleNamespace

import pytest

from spherecorr.data.ap10k import KEYPOINTS as AP10K
from spherecorr.data.awa_pose import KEYPOINTS as AWA
from spherecorr.data.records import DatasetError
from spherecorr.data.spair_symmetry import COUNTS, PARTS
from spherecorr.data.symmetry import known_symmetry, read_symmetry, symmetry_by_name, symmetry_by_number


def test_mirrored_keypoints_differ_in_the_side_and_groups_in_side_and_end():
    names = ["nose", "left_eye", "right_eye", *(f"{e}_{s}_paw" for e in ("front", "back") for s in ("left", "right"))]
    symmetry = symmetry_by_name(names)
    assert symmetry.mirrored["left_eye"] == "right_eye" and symmetry.mirrored["back_right_paw"] == "back_left_paw"
    assert symmetry.groups["left_eye"] == {"left_eye", "right_eye"}
    assert symmetry.groups["back_right_paw"] == set(names[3:])
    assert "nose" not in symmetry.mirrored and "nose" not in symmetry.groups


def test_a_side_whose_twin_does_not_exist_stands_alone():
    assert symmetry_by_name(["left_eye", "nose"]).mirrored == {}


@pytest.mark.parametrize("keypoints", [AP10K, AWA])
def test_in_the_animal_datasets_every_sided_name_has_its_twin(keypoints):
    symmetry = symmetry_by_name(keypoints)
    assert set(symmetry.mirrored) == {name for name in keypoints if "left" in name or "right" in name}
    assert all(
        symmetry.mirrored[mirrored] == name and mirrored in symmetry.groups[name]
        for name, mirrored in symmetry.mirrored.items()
    )


@pytest.mark.parametrize("category", PARTS)
def test_spairs_numbers_mirror_each_other_one_to_one(category):
    symmetry = symmetry_by_number(PARTS[category])
    numbers = [number for pairs in PARTS[category].values() for pair in pairs for number in pair]
    assert len(set(numbers)) == len(numbers) and set(numbers) <= set(range(COUNTS[category]))
    assert all(symmetry.mirrored[other] == name != other for name, other in symmetry.mirrored.items())
    assert all(name in group and len(group) > 1 for name, group in symmetry.groups.items())
    assert set(symmetry.mirrored) <= set(symmetry.groups) <= set(map(str, range(COUNTS[category])))


def test_spair_is_known_whole():
    """18 categories; and by hand: a cat's eyes and paws, a car's wheels, a screen's corners."""
    assert len(PARTS) == 18 and PARTS.keys() == COUNTS.keys()
    cat, car, screen = (symmetry_by_number(PARTS[name]) for name in ("cat", "car", "tvmonitor"))
    assert cat.mirrored["4"] == "5" and cat.mirrored["12"] == "11" and "8" not in cat.groups  # the mouth
    assert cat.groups["9"] == {"9", "10", "11", "12"}
    assert car.mirrored["11"] == "21" and car.groups["11"] == {"11", "14", "21", "24"}
    assert car.groups["4"] == {"4", "8"} and "4" not in car.mirrored  # plates in front and behind, on the plane
    assert screen.mirrored["4"] == "6" and screen.groups["4"] == {"0", "2", "4", "6"}


def test_the_right_side_of_an_annotated_aeroplane_shows_the_first_of_each_pair():
    """2009_001056 of SPair-71k, pose "Right": these of its numbers have a point."""
    shown = {0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 16, 18, 20, 22, 23, 24}
    hidden = [pair for pairs in PARTS["aeroplane"].values() for pair in pairs if not set(pair) <= shown]
    assert [pair for pair in hidden if pair[0] in shown] == [(8, 9), (10, 11), (16, 17), (18, 19), (20, 21)]
    assert all(pair[1] not in shown for pair in hidden)


def test_what_a_file_says_of_a_category_counts_instead_of_what_the_reader_knows(tmp_path):
    reader = SimpleNamespace(symmetry={name: symmetry_by_number(PARTS[name]) for name in ("cat", "dog")})
    path = tmp_path / "symmetry.json"
    path.write_text('{"cat": [[["0", "8"]]]}')
    known = known_symmetry(reader, read_symmetry(path))
    assert known["cat"].mirrored == {"0": "8", "8": "0"} and known["dog"] == reader.symmetry["dog"]
    assert known_symmetry(reader) == reader.symmetry and known_symmetry([]) == {}


def test_a_file_says_it_for_keypoints_that_have_numbers_only(tmp_path):
    path = tmp_path / "symmetry.json"
    path.write_text('{"cat": [[["0", "1"]], [["9", "10"], ["11"]]]}')
    symmetry = read_symmetry(path)["cat"]
    assert symmetry.mirrored == {"0": "1", "1": "0", "9": "10", "10": "9"}
    assert symmetry.groups["11"] == {"9", "10", "11"} and symmetry.groups["0"] == {"0", "1"}


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        '{"cat": [["0", "1"]]}',  # mirrored where groups belong
        '{"cat": [[["0", "1", "2"]]]}',  # three mirrored
        '{"cat": [[["0", "1"]], [["1", "2"]]]}',  # a keypoint twice
        '{"cat": [[[0, 1]]]}',  # numbers, not names
        '{"cat": 3}',
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path, text):
    path = tmp_path / "symmetry.json"
    path.write_text(text)
    with pytest.raises(DatasetError, match=r"symmetry\.json'"):
        read_symmetry(path)
