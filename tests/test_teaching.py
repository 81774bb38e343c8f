"""Teaching from the page, without a page: what is kept of a visit, who reaches it, and one training at a time."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from photographs import FACES, SIDE, paint
from PIL import Image

from spherecorr.data.folder import Folder
from spherecorr.errors import SpherecorrError
from spherecorr.pipelines.recipes import TEACH_FROM_NOTHING
from spherecorr.ui import teaching_files, trainings
from spherecorr.ui.engine import Engine
from spherecorr.ui.menus import sphere_choices
from spherecorr.ui.panels.teach import answer
from spherecorr.ui.session import NO_SPHERE, Controls
from spherecorr.ui.settings import AppSettings
from spherecorr.ui.teaching import Teaching
from spherecorr.ui.teaching_run import run

SHORT = replace(TEACH_FROM_NOTHING, steps=4, resolution=128, show_every=2, fewest=2, held_out=0.25)


@pytest.fixture
def settings(tiny_app, tmp_path):
    return replace(tiny_app, teach_folder=tmp_path / "teach", teach_recipe=SHORT, teach_from_nothing=SHORT)


@pytest.fixture
def teaching(settings):
    return Teaching(Engine(settings))


@pytest.fixture(scope="module")
def ponies(tmp_path_factory):
    """Paths of eight photographs and the directions they show."""
    folder, rng = tmp_path_factory.mktemp("ponies"), np.random.default_rng(0)
    paths = {folder / f"pony {number}.png": list(FACES)[number % 4] for number in range(8)}
    for path, azimuth in paths.items():
        paint(path, azimuth, rng)
    return paths


def lesson_of(teaching, paths, category="pony"):
    """A visit with these photographs, their directions, and outlines by hand: what the page leaves before training."""
    visit = teaching.open()["visit"]
    for path, azimuth in paths.items():
        key = teaching.add(visit, path, path.name)["photographs"][-1]["key"]
        teaching.turn(visit, key, azimuth)
        teaching.mark(visit, key, "box", [[20, 20], [105, 105]])
    teaching.call_it(visit, category)
    return visit


def folder_of(teaching, visit):
    return teaching.root / "visits" / visit


def files_below(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_what_a_person_says_becomes_records_of_viewpoints(teaching, ponies):
    """Arrows become azimuths; a photograph without one has its mask alone."""
    some = dict(list(ponies.items())[:3])
    visit = lesson_of(teaching, some)
    keys = [photograph["key"] for photograph in teaching.open(visit)["photographs"]]
    teaching.turn(visit, keys[2], None)
    folder = folder_of(teaching, visit)
    teaching_files.write_viewpoints(folder, teaching_files.read_lesson(folder))
    records = Folder(folder / "photographs").images("all")
    assert [record.viewpoint for record in records] == [0, 90, None]
    assert {record.category for record in records} == {"pony"}
    assert all(record.mask.is_file() and record.size == (SIDE, SIDE) for record in records)


def test_a_photograph_is_kept_upright_and_without_its_place(teaching, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8825)[1] = "N"  # GPS
    Image.new("RGB", (2000, 400), "red").save(tmp_path / "a.jpg", exif=exif)
    visit = teaching.open()["visit"]
    (photograph,) = teaching.add(visit, tmp_path / "a.jpg", "a.jpg")["photographs"]
    with Image.open(teaching_files.image_path(folder_of(teaching, visit), photograph["key"])) as kept:
        assert kept.size == photograph["size"] == (205, 1024)
        assert not kept.getexif()


def test_another_server_on_the_folder_shows_the_same(teaching, settings, ponies):
    visit = lesson_of(teaching, ponies)
    assert Teaching(Engine(settings)).open(visit) == teaching.open(visit)
    assert [p["azimuth"] for p in teaching.open(visit)["photographs"]] == [0, 90, 180, 270] * 2


def test_an_outline_is_proposed_and_follows_what_a_person_paints(teaching, ponies, tiny_app):
    path = next(iter(ponies))
    visit = teaching.open()["visit"]
    teaching.add(visit, path, path.name)
    (proposed,) = teaching.propose(visit, tiny_app.backbones[0], NO_SPHERE)["photographs"]
    assert proposed["outline"] and not proposed["marked"]
    key, mask = proposed["key"], teaching_files.mask_path(folder_of(teaching, visit), proposed["key"])
    (painted,) = teaching.mark(visit, key, "box", [[105, 105], [20, 20]])["photographs"]
    assert painted["marked"]
    inside = np.asarray(Image.open(mask)) > 127
    assert inside[60, 60] and not inside[5].any()
    refused = [("box", [[1, 1], [1, 1]]), ("object", [["a", 1]]), ("object", [[float("nan"), 1]]), ("ball", [[1, 1]])]
    for kind, marked in refused:
        with pytest.raises(SpherecorrError):
            teaching.mark(visit, key, kind, marked)
    assert teaching.open(visit)["photographs"] == [painted]
    (again,) = teaching.unmark(visit, key)["photographs"]
    assert again["outline"] is None and not again["marked"]


def test_a_stroke_over_background_cuts_it_out_of_the_proposal(teaching, ponies, tiny_app):
    path = next(iter(ponies))
    visit = teaching.open()["visit"]
    key = teaching.add(visit, path, path.name)["photographs"][0]["key"]
    teaching.propose(visit, tiny_app.backbones[0], NO_SPHERE)
    teaching.mark(visit, key, "background", [[60, 50], [60, 70]])
    inside = np.asarray(Image.open(teaching_files.mask_path(folder_of(teaching, visit), key))) > 127
    assert inside.any() and not inside[50:71, 60].any()


@pytest.mark.parametrize(
    "name", ["../../../evil.png", "/etc/passwd", "C:\\a\\b.png", "a\nb\x00.png", "<img onerror=x>"]
)
def test_a_hostile_file_name_is_never_a_path(teaching, ponies, tmp_path, name):
    visit = teaching.open()["visit"]
    before = files_below(tmp_path)
    (photograph,) = teaching.add(visit, next(iter(ponies)), name)["photographs"]
    new = files_below(tmp_path) - before
    at = f"teach/visits/{visit}"
    assert new == {f"{at}/lesson.json", f"{at}/photographs/images/{photograph['key']}.jpg"}
    assert "/" not in photograph["name"] and "\n" not in photograph["name"]


@pytest.mark.parametrize("visit", ["..", "../visits", "", None, 7, ["a"], "A" * 32, "0" * 31, f"{'0' * 32}\n"])
def test_no_other_folder_is_reached(teaching, visit):
    for ask in (teaching.progress, teaching.stop, teaching.forget, teaching.sphere):
        with pytest.raises(SpherecorrError, match="knows no photographs"):
            ask(visit)
    assert teaching.open(visit)["visit"] != visit and not teaching.root.exists()


def test_a_visits_keys_do_not_open_anothers_pictures(teaching, ponies):
    visits = [teaching.open()["visit"] for _ in range(2)]
    key = teaching.add(visits[0], next(iter(ponies)), "a.png")["photographs"][0]["key"]
    assert teaching.picture(visits[0], key)["picture"].startswith("data:image/jpeg;base64,")
    for asked in (key, "../photographs/images/" + key, None, {"a": 1}):
        with pytest.raises(SpherecorrError, match="no longer there"):
            teaching.picture(visits[1], asked)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("text.png", "'own.png' is not an image"),
        ("small.png", "'own.png' is only 8 x 8"),
        ("none.png", "did not arrive"),
    ],
)
def test_a_file_that_cannot_be_used_gets_a_sentence(teaching, tmp_path, file, message):
    (tmp_path / "text.png").write_text("text")
    Image.new("RGB", (8, 8)).save(tmp_path / "small.png")
    visit = teaching.open()["visit"]
    with pytest.raises(SpherecorrError, match=message):
        teaching.add(visit, tmp_path / file, "own.png")


def test_photographs_are_bounded_and_none_is_there_twice(teaching, ponies, monkeypatch):
    first, second, third = list(ponies)[:3]
    monkeypatch.setattr(teaching_files, "MOST_PHOTOGRAPHS", 2)
    visit = teaching.open()["visit"]
    teaching.add(visit, first, "a.png")
    with pytest.raises(SpherecorrError, match=r"'b.png' is there already"):
        teaching.add(visit, first, "b.png")
    teaching.add(visit, second, "b.png")
    with pytest.raises(SpherecorrError, match="one too many"):
        teaching.add(visit, third, "c.png")
    monkeypatch.setattr(teaching_files, "MOST_VISITS", 1)
    with pytest.raises(SpherecorrError, match="as many photographs as it can"):
        teaching.add(teaching.open()["visit"], first, "a.png")


def test_folders_that_nobody_opened_for_days_are_deleted(teaching, ponies):
    old, new = (lesson_of(teaching, dict(list(ponies.items())[:1])) for _ in range(2))
    long_ago = time.time() - 86400 * (teaching_files.DAYS_KEPT + 1)
    for visit in (old, new):
        os.utime(folder_of(teaching, visit), (long_ago, long_ago))
    teaching.open(new)
    teaching_files.forget_old(teaching.root)
    assert not folder_of(teaching, old).exists() and len(teaching.open(new)["photographs"]) == 1
    assert teaching.open(old)["photographs"] == []


def test_training_says_what_is_missing(teaching, ponies, tiny_app):
    def train():
        teaching.train(visit, tiny_app.backbones[0], NO_SPHERE)

    visit = lesson_of(teaching, dict(list(ponies.items())[:7]))
    with pytest.raises(SpherecorrError, match="at least 8 photographs which way they face; 7 have"):
        train()
    key = teaching.add(visit, list(ponies)[7], "last.png")["photographs"][-1]["key"]
    teaching.turn(visit, key, 270)
    with pytest.raises(SpherecorrError, match="1 photographs have no outline yet"):
        train()
    for name in ("", "  ", "a/b", "../x", "=1+1", "x" * 41, None, 3):
        with pytest.raises(SpherecorrError, match="letters, digits"):
            teaching.call_it(visit, name)
    for azimuth in (30, "90", True, 360, [0], float("nan")):
        with pytest.raises(SpherecorrError, match="one of eight"):
            teaching.turn(visit, key, azimuth)


@pytest.fixture
def pending(monkeypatch):
    """In place of trainings, processes that do nothing until their input ends."""
    wait = [sys.executable, "-S", "-c", "import sys; sys.stdin.read()"]
    monkeypatch.setattr(trainings, "_process", lambda folder: subprocess.Popen(wait, stdin=subprocess.PIPE))


def prepared(teaching, visit, backbone):
    """The folder of a visit as it is when its training's process starts."""
    teaching.train(visit, backbone, NO_SPHERE)
    return folder_of(teaching, visit)


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it has not happened"
        time.sleep(0.02)


def test_a_sphere_comes_of_it_that_the_engine_knows_by_its_name(teaching, settings, ponies, pending):
    backbone = settings.backbones[0]
    visit = lesson_of(teaching, ponies)
    folder = prepared(teaching, visit, backbone)
    assert teaching.open(visit)["training"]["state"] == "running"
    run(folder, threading.Event())
    training = teaching.open(visit)["training"]
    assert (training["state"], training["step"], training["shown"], training["taught"]) == ("done", 4, 4, 6)
    assert [line[0] for line in training["losses"]] == [2, 4]
    assert training["errors"]["before"] is None and 0 <= training["errors"]["after"]["median"] <= 180
    assert training["each"]["after"].keys() == set(training["keys"]) and len(training["keys"]) == 2
    shown = teaching.picture(visit, training["keys"][0], "now")["picture"]
    assert shown.startswith("data:image/png;base64,")
    name = teaching.sphere(visit)
    assert ("pony · taught here", name) in sphere_choices(settings, name)
    mapper, _ = Engine(settings).sphere(Controls(backbone, name))
    assert mapper.settings.categories == ("pony",)
    for text in (teaching.root / "spheres" / name).glob("*.*"):
        assert str(teaching.root).encode() not in text.read_bytes()
    # A further training starts from what this one started from, not from what has seen the photographs to be asked.
    assert teaching.start(backbone, name) == NO_SPHERE
    with pytest.raises(SpherecorrError, match="Unknown sphere"):
        Engine(settings).sphere(Controls(backbone, "taught-../../etc"))


def test_a_training_that_is_stopped_goes_on_from_there(teaching, settings, ponies, pending, monkeypatch):
    visit = lesson_of(teaching, ponies)
    folder = prepared(teaching, visit, settings.backbones[0])
    ended = threading.Event()

    class EndsAtTheSecondStep(threading.Event):
        def is_set(self):
            return json.loads((folder / "progress.json").read_text())["step"] >= 1

    monkeypatch.setattr("spherecorr.ui.teaching_run.EVERY", 0)
    run(folder, EndsAtTheSecondStep())
    stopped = teaching.open(visit)["training"]
    assert stopped["state"] == "stopped" and 1 <= stopped["step"] < 4 and stopped["sphere"]
    run(folder, ended)
    done = teaching.open(visit)["training"]
    assert done["state"] == "done" and done["step"] == 4 and done["sphere"] != stopped["sphere"]


def test_one_training_at_a_time_and_the_next_starts_by_itself(teaching, settings, ponies, pending):
    backbone = settings.backbones[0]
    visits = [lesson_of(teaching, ponies) for _ in range(3)]

    def states():
        return [teaching.open(visit)["training"]["state"] for visit in visits]

    for visit in visits:
        teaching.train(visit, backbone, NO_SPHERE)
    assert states() == ["running", "waiting", "waiting"]
    assert "Another training is running" in teaching.open(visits[1])["training"]["sentence"]
    with pytest.raises(SpherecorrError, match="Stop the training first"):
        teaching.forget(visits[0])
    teaching.stop(visits[2])
    assert states() == ["running", "waiting", "stopped"]
    teaching.stop(visits[0])
    wait_for(lambda: states()[1] == "running")
    assert states()[0] == "failed"  # such a process writes no end
    teaching.stop(visits[1])
    wait_for(lambda: states() == ["failed", "failed", "stopped"])


def test_after_a_kill_the_page_shows_where_the_training_was(teaching, settings, ponies, pending):
    visit = lesson_of(teaching, ponies)
    folder = prepared(teaching, visit, settings.backbones[0])
    told = {"state": "running", "what": "Training", "step": 3, "steps": 4, "losses": [[2, {"viewpoint": 0.5}]]}
    (folder / "progress.json").write_text(json.dumps(told))
    another = Teaching(Engine(settings))  # while the process of the one that was killed may still write its checkpoint
    assert another.open(visit)["training"]["state"] == "running"
    os.utime(folder / "progress.json", (0, 0))
    training = another.open(visit)["training"]
    assert training["state"] == "stopped" and training["step"] == 3 and "interrupted" in training["sentence"]
    assert another.train(visit, settings.backbones[0], NO_SPHERE)["training"]["state"] == "running"
    for server in (teaching, another):
        server.stop(visit)


def test_the_process_ends_with_a_checkpoint_when_its_input_does(teaching, settings, ponies):
    """As when a person presses Stop, or the server is killed and the system closes its pipe."""
    long = replace(SHORT, steps=100_000)
    teaching = Teaching(Engine(replace(settings, teach_from_nothing=long)))
    visit = lesson_of(teaching, ponies)
    teaching.train(visit, settings.backbones[0], NO_SPHERE)
    wait_for(lambda: teaching.open(visit)["training"]["step"] > 0 if "step" in teaching.open(visit)["training"] else 0)
    teaching.stop(visit)
    wait_for(lambda: teaching.open(visit)["training"]["state"] == "stopped")
    training = teaching.open(visit)["training"]
    assert 0 < training["step"] < 100_000 and training["sphere"]


@pytest.mark.parametrize(
    "call",
    [None, 1, "open", [], {}, {"do": "__init__"}, {"do": "root"}, {"do": ["open"]}, {"do": "train"},
     {"do": "add", "path": "/etc/passwd"}, {"do": "add", "path": "a\0b"}, {"do": "add", "path": {"path": "x"}},
     {"do": "mark", "visit": "0" * 32, "key": "0" * 16, "kind": "box", "path": [[1, 2], [3]]},
     {"do": "picture", "visit": "0" * 32, "key": "../lesson.json", "kind": "../.."}],
)  # fmt: skip
def test_a_page_may_ask_for_nothing_else(teaching, call):
    with pytest.raises(SpherecorrError):
        answer(teaching, call)
    assert not teaching.root.exists()


def test_a_space_offers_it_only_when_asked(monkeypatch):
    assert AppSettings().teach and Path(AppSettings().teach_folder).is_absolute()
    monkeypatch.setenv("SPACE_ID", "someone/space")
    assert not AppSettings().teach
