"""Mirrored keypoints and groups of keypoints, from names and from a file."""

import pytest

from spherecorr.data.ap10k import KEYPOINTS as AP10K
from spherecorr.data.awa_pose import KEYPOINTS as AWA
from spherecorr.data.records import DatasetError
from spherecorr.data.symmetry import read_symmetry, symmetry_by_name


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
