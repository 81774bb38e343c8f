"""Hostile inputs of every kind of benchmarks/hostile.py: each gets a sentence, and the next honest call is right."""

import shutil
from pathlib import Path

import pytest
from hostile import Faults, Spy, check_honest, try_input
from hostile_files import hostile_spheres
from hostile_inputs import hostile_inputs
from hostile_stage import Stage, event_body, private
from page_client import Refused
from safetensors.torch import load_file, save_file

from spherecorr.errors import SpherecorrError
from spherecorr.sphere.checkpoint import CheckpointError, load_sphere, sphere_settings
from spherecorr.sphere.settings import SphereSettings
from spherecorr.ui.address import Places
from spherecorr.ui.blocks import build_demo, launch
from spherecorr.ui.engine import Engine
from spherecorr.ui.failures import INTERNAL_ERROR
from spherecorr.ui.guard import MISFIT, NO_ENDPOINT, NOT_UNDERSTOOD
from spherecorr.ui.image_files import uploaded
from spherecorr.ui.teaching_files import taught_sphere

A_KIND = 10


@pytest.fixture(scope="module")
def marker(tmp_path_factory):
    """A file that appears if a pickle is run."""
    return tmp_path_factory.mktemp("marker") / "marker"


@pytest.fixture(scope="module")
def spheres(tiny_app, tmp_path_factory, marker):
    return hostile_spheres(tmp_path_factory.mktemp("hostile") / "spheres", Path(tiny_app.spheres[0]), marker)


@pytest.fixture(scope="module")
def stage(tiny_app, spheres, tmp_path_factory):
    from dataclasses import replace

    kept = tmp_path_factory.mktemp("teach")
    demo = build_demo(replace(tiny_app, spheres=(*tiny_app.spheres, *spheres), teach_folder=kept))
    _, address, _ = launch(demo=demo, prevent_thread_lock=True)
    secret = tmp_path_factory.mktemp("outside") / "secret.png"
    shutil.copy(tiny_app.examples / "b.png", secret)
    pictures = tuple((tiny_app.examples / f"{side}.png").read_bytes() for side in "ab")
    yield Stage(address, Spy.start(), secret, pictures, spheres)
    demo.close()


def test_hostile_inputs_are_refused_in_a_sentence_and_the_next_match_is_right(stage, caplog, capfd):
    faults, right = Faults(), stage.match()
    inputs = hostile_inputs(stage, seed=1, a_kind=A_KIND)
    assert len(inputs) >= 100
    for number, entry in enumerate(inputs, start=1):
        try_input(stage, entry, faults)
        if number % 50 == 0 or number == len(inputs):
            check_honest(stage, right, entry, faults)
    printed = caplog.text + "".join(capfd.readouterr())
    assert faults.lines == []
    assert "Traceback" not in printed and INTERNAL_ERROR not in printed
    assert Spy.asked == []


def test_the_inputs_are_a_thousand_and_the_same_for_the_same_seed(stage):
    inputs = hostile_inputs(stage)
    assert len(inputs) >= 1000
    assert [entry.what for entry in inputs] == [entry.what for entry in hostile_inputs(stage)]


def test_a_page_of_another_version_is_told_to_reload(stage):
    for event in (found for found in private(stage) if found["inputs"]):
        with pytest.raises(Refused, match=MISFIT):
            stage.page.post_event(event_body(stage, event, "[]", "null"), event["queue"])
    with pytest.raises(Refused, match=MISFIT):
        stage.page.choose("backbone", "local-dir:/etc")
    for menu, value in (("truth-list", []), ("truth-category", ["x"]), ("truth-number", float("nan"))):
        with pytest.raises(Refused, match=MISFIT):
            choose(stage.page, menu, value)
    stage.renew()


def choose(page, menu, value):
    """Send a menu's value with its button, as JSON: httpx itself sends no NaN."""
    page.values[page._named[menu]] = value
    page.trigger("truth-open", "click")


@pytest.mark.parametrize(
    ("path", "said"), [("queue/join", NOT_UNDERSTOOD), ("run/predict", NOT_UNDERSTOOD), ("call/nothing", NO_ENDPOINT)]
)
def test_a_request_for_what_is_not_there_is_refused_without_a_trace(stage, path, said, caplog):
    body = {"data": []} if path == "call/nothing" else {"data": [], "fn_index": 999, "session_hash": "x"}
    answer = stage.page.http.post(f"/gradio_api/{path}", json=body)
    assert (answer.status_code, answer.json()["error"]) == (400, said)
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("name", ["\0", "\ud800", "x" * 5000, "../secret.png", "..", ""], ids=ascii)
def test_what_no_system_takes_for_a_path_is_no_upload_and_no_picture_of_an_address(stage, tiny_app, name):
    from gradio.utils import get_upload_folder

    folder, engine = get_upload_folder(), Engine(tiny_app)
    with pytest.raises(SpherecorrError, match=r"uploaded files|There is no image file|cannot be opened"):
        engine.open(uploaded(f"{folder}/{name}"))
    with pytest.raises(SpherecorrError, match=r"no longer held here"):
        Places(tiny_app.examples).open(f"uploads/{name}", engine)


def test_an_empty_menu_names_no_sphere(tmp_path):
    assert taught_sphere(tmp_path, None) is None


# Checkpoints


def test_no_checkpoint_that_was_tampered_with_fails_otherwise_than_in_a_sentence(spheres, marker):
    refused = []
    for name in spheres:
        try:
            load_sphere(name, device="cpu")
        except CheckpointError as error:
            assert "\n" not in str(error)
            refused.append(Path(name).name)
        try:
            sphere_settings(name)
        except CheckpointError:
            pass
    sound = {Path(name).name for name in spheres} - set(refused)
    assert sound == {"<img src=x onerror=hacked=1>"}
    assert not marker.exists()


def test_weights_that_are_no_numbers_are_refused_by_name(tiny_app, tmp_path):
    folder = shutil.copytree(tiny_app.spheres[0], tmp_path / "sphere")
    weights = load_file(folder / "model.safetensors")
    key = sorted(weights)[0]
    weights[key].view(-1)[0] = float("inf")
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=rf"{key} holds values that are no finite numbers"):
        load_sphere(folder, device="cpu")


@pytest.mark.parametrize(
    "change",
    [{"feature_dim": -1}, {"feature_dim": "64"}, {"width": 10**9}, {"depth": 10**9}, {"resolution": 0.5},
     {"alpha": float("nan")}, {"alpha": "0.2"}, {"visible_angle": None}, {"mirror_angle": float("inf")}],
    ids=str,
)  # fmt: skip
def test_settings_out_of_all_bounds_are_refused_before_memory_is_taken(change):
    with pytest.raises(SpherecorrError, match=next(iter(change))):
        SphereSettings(**{"feature_dim": 64, **change})
