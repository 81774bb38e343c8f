"""Listing folders: what systems hide beside a user's files is not seen."""

import pytest

from spherecorr.files import list_files, list_folders

HIDDEN = ("._a.png", ".a.png", ".DS_Store", "Thumbs.db", "thumbs.db", "desktop.ini", "__MACOSX", ".ipynb_checkpoints")


@pytest.fixture
def folder(tmp_path):
    """Below a hidden folder: two pictures, a text and a folder of one picture, each with all companions beside."""
    root = tmp_path / ".cache" / "pictures"
    (root / "car").mkdir(parents=True)
    for name in ("b.png", "A.PNG", "notes.txt", "car/c.png"):
        (root / name).touch()
    for place in (root, root / "car"):
        for name in HIDDEN:
            if name.startswith((".ipynb", "__")):
                (place / name).mkdir()
                (place / name / "a.png").touch()
            else:
                (place / name).touch()
    return root


def names(root, paths) -> list[str]:
    return [path.relative_to(root).as_posix() for path in paths]


def test_files_are_listed_in_order_without_companions(folder):
    assert names(folder, list_files(folder)) == ["A.PNG", "b.png", "notes.txt"]
    assert names(folder, list_files(folder, endings=(".png",))) == ["A.PNG", "b.png"]
    assert names(folder, list_files(folder, "*/*")) == ["car/c.png"]
    assert names(folder, list_files(folder, "**/*", {".png"})) == ["A.PNG", "b.png", "car/c.png"]


def test_folders_are_listed_the_same_way(folder):
    assert names(folder, list_folders(folder)) == ["car"]


def test_a_folder_that_is_not_there_holds_nothing(tmp_path):
    assert list_files(tmp_path / "gone") == [] and list_folders(tmp_path / "gone") == []
