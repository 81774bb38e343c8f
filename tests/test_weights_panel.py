"""The panel "Weights" without a browser: what it lists, what it refuses, and what a download changes for everybody."""

import io
import sys
from dataclasses import replace

import gradio as gr
import pytest
import torch
from slow_host import slow_host
from test_checkpoint import authors_state
from test_downloads import wait

from spherecorr.backbones import BACKBONES
from spherecorr.cli import main
from spherecorr.ui.downloads import Downloads
from spherecorr.ui.missing import missing_of, present_spheres, unwritable_cache
from spherecorr.ui.panels.weights import REFUSED, Weights
from spherecorr.ui.session import NO_SPHERE
from spherecorr.ui.settings import AppSettings


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


class NoDownloads(Downloads):
    """Would start processes, and here only says what it was asked."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def start(self, key, arguments, expected=None):
        self.asked.append(("start", key, arguments, expected))

    def cancel(self, key):
        self.asked.append(("cancel", key))


def press(weights, **data):
    """The panel's value after a button."""
    return weights.press("", "", gr.EventData(None, data))[0]


def items(weights):
    return {item["key"]: item for item in weights.view()["items"]}


def test_everything_that_is_missing_says_what_it_is(cache):
    settings = AppSettings()
    found = {missing.key: missing for missing in missing_of(settings.backbones, settings.spheres)}
    assert "backbone mini" not in found and "sphere mini" not in found  # they ship
    assert len(found) == len(BACKBONES) - 1 + 3
    small = found["backbone dinov2-s"]
    assert (small.title, small.licence, small.terms, small.gpu) == ("DINOv2 ViT-S/14", "Apache-2.0", "", False)
    assert small.bytes == pytest.approx(88e6, rel=0.01)
    assert small.page == "https://huggingface.co/timm/vit_small_patch14_dinov2.lvd142m"
    dift = found["backbone dift-sd"]
    assert dift.gpu and dift.note.startswith("Eight passes an image.") and "CreativeML OpenRAIL-M" in dift.terms
    assert found["backbone diy-sc"].arguments == ("diy-sc",) and found["backbone dinov3-s"].terms
    gsa = found["sphere gsa"]
    assert gsa.arguments == ("sphere", "gsa", "--accept") and "non-commercial use" in gsa.terms
    assert "by hand, and run `spherecorr download sphere jamaisvu --file FILE`" in found["sphere jamaisvu"].how


def test_a_name_of_ones_own(cache, tmp_path):
    names = (f"local-dir:{tmp_path}", "diffusion:somebody/model", "hf-hub:somebody/vit")
    folder, diffusion, other = missing_of(names, ())
    assert folder.how.startswith("It is a folder on this machine") and folder.page == ""
    assert diffusion.page == "https://huggingface.co/somebody/model"
    assert diffusion.terms == "that of somebody/model, which may restrict what the weights are used for"
    assert other.terms == "The licence is not known; the page about it may tell" and other.bytes is None


def test_a_press_starts_or_cancels_and_terms_come_first(cache):
    weights = Weights(AppSettings(), downloads := NoDownloads())
    assert press(weights, action="start", key="backbone dinov2-s")["message"] == ""
    assert press(weights, action="cancel", key="backbone dinov2-s")["message"] == ""
    assert downloads.asked[0][:3] == ("start", "backbone dinov2-s", ("dinov2-s",)) and downloads.asked[0][3] > 8e7
    assert downloads.asked[1] == ("cancel", "backbone dinov2-s")
    for accepted in (None, False, "yes", 1):
        answer = press(weights, action="start", key="sphere gsa", accepted=accepted)
        assert answer["message"] == "Accept the terms of gsa first."
    assert len(downloads.asked) == 2
    press(weights, action="start", key="sphere gsa", accepted=True)
    assert downloads.asked[2] == ("start", "sphere gsa", ("sphere", "gsa", "--accept"), None)
    assert (
        "No program can fetch jamaisvu. It lies on" in press(weights, action="start", key="sphere jamaisvu")["message"]
    )


@pytest.mark.parametrize("key", ["backbone mini", "backbone ../x", "dinov2-s", "sphere --file", None, 3, [], {}])
def test_nothing_else_is_fetched(cache, key):
    weights = Weights(AppSettings(), downloads := NoDownloads())
    assert "not in the menus" in press(weights, action="start", key=key, accepted=True)["message"]
    assert downloads.asked == []


def test_an_event_without_sense_changes_nothing(cache):
    weights = Weights(AppSettings(), downloads := NoDownloads())
    for data in (None, [], "start", {"action": "start"}):
        assert weights.press("", "", gr.EventData(None, data))[0]["message"]
    assert downloads.asked == []


def test_no_downloads_is_refused_on_the_server_too(cache):
    weights = Weights(AppSettings(downloads=False), downloads := NoDownloads())
    assert weights.view()["refusal"] == REFUSED and "backbone dinov2-s" in items(weights)
    assert press(weights, action="start", key="backbone dinov2-s")["message"] == REFUSED
    assert downloads.asked == []


def test_a_cache_that_cannot_be_written_is_said_before_anybody_tries(cache):
    assert unwritable_cache() == "" and not cache.exists()
    cache.write_text("no folder")
    weights = Weights(AppSettings(), downloads := NoDownloads())
    assert weights.view()["refusal"].endswith("hub' cannot be written.")
    assert "cannot be written" in press(weights, action="start", key="backbone dinov2-s")["message"]
    assert downloads.asked == []


def test_the_command_takes_the_switch(monkeypatch):
    started = []
    monkeypatch.setattr("spherecorr.ui.blocks.launch", lambda **options: started.append(options["settings"]))
    assert main(["app", "--no-downloads"]) == 0 and main(["app"]) == 0
    assert [settings.downloads for settings in started] == [False, True]


def test_a_sphere_comes_into_the_menu_of_everybody(monkeypatch, tmp_path):
    buffer = io.BytesIO()
    torch.save(authors_state(768), buffer)
    with slow_host(monkeypatch, tmp_path) as host:
        host.files["/200.pth"] = buffer.getvalue()
        host.open()
        command = (sys.executable, "-m", "spherecorr", "download", "--mirror", host.url)
        settings = replace(AppSettings(), backbones=("mini",))
        weights = Weights(settings, downloads := Downloads(command))
        _, clock, known, _, sphere = weights.refresh("", "")
        assert not clock.active and [name for _, name in sphere.choices] == ["mini", NO_SPHERE]
        press(weights, action="start", key="sphere diysc-spair", accepted=True)
        assert weights.refresh(known, "")[1].active  # the page looks again soon
        wait(lambda: not downloads.is_busy())
        assert downloads.progress("sphere diysc-spair").state == "done"
        shown, clock, _, _, sphere = weights.refresh(known, "")
        assert "sphere diysc-spair" not in [item["key"] for item in shown["items"]] and not clock.active
        assert [name for _, name in sphere.choices] == ["mini", "diysc-spair", NO_SPHERE]
        assert present_spheres(AppSettings().spheres) == ("mini", "diysc-spair")
