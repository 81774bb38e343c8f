"""The panel "Weights" in headless Chromium: a backbone is fetched, stopped, gone on with, and then in the menu."""

from dataclasses import replace

import pytest
from explorer import MARKS, watch
from slow_host import DINOV2_S, slow_host, weights

from spherecorr.ui.blocks import build_demo, launch

pytestmark = MARKS


@pytest.fixture
def host(monkeypatch, tmp_path):
    with slow_host(monkeypatch, tmp_path) as host:
        yield host


@pytest.fixture
def address(tiny_app, host):
    demo = build_demo(replace(tiny_app, spheres=(*tiny_app.spheres, "gsa", "jamaisvu")))
    _, address, _ = launch(demo=demo, prevent_thread_lock=True)
    yield address
    demo.close()


@pytest.fixture
def page(browser, address):
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    troubles = watch(page, address)
    page.goto(address)
    page.get_by_role("tab", name="Weights").click()
    yield page
    page.close()
    assert not troubles


def row(page, key):
    return page.locator(f'.sc-weight[data-key="{key}"]')


def menu(page, label):
    """What a menu offers."""
    page.get_by_label(label, exact=True).click()
    offered = page.get_by_role("option").all_inner_texts()
    page.keyboard.press("Escape")
    return [text.strip().lstrip("✓").strip() for text in offered]


def test_a_backbone_is_downloaded_cancelled_resumed_and_then_in_the_menu(page, host, address):
    small = row(page, "backbone dinov2-s")
    small.get_by_role("button", name="Download DINOv2 ViT-S/14").wait_for()
    assert "About 88.4 MB · Apache-2.0" in small.inner_text()
    assert "DINOv2 ViT-S/14 · not downloaded" in menu(page, "Backbone")

    gsa = row(page, "sphere gsa")  # not without its terms
    assert gsa.get_by_role("button").is_disabled()
    gsa.get_by_label("I accept these terms").check()
    assert gsa.get_by_role("button").is_enabled()
    assert "By hand: It lies on Google Drive" in row(page, "sphere jamaisvu").inner_text()
    assert row(page, "sphere jamaisvu").get_by_role("button").count() == 0

    small.get_by_role("button").click()
    small.get_by_text(" of 88.4 MB").wait_for()
    assert 0 < small.get_by_role("progressbar").evaluate("(bar) => bar.position") < 0.1
    assert gsa.get_by_label("I accept these terms").is_checked()  # the tick stays while the page is told
    small.get_by_role("button", name="Cancel the download of DINOv2 ViT-S/14").click()
    small.get_by_text("What came is kept.").wait_for()

    host.open()
    small.get_by_role("button", name="Resume DINOv2 ViT-S/14").click()
    page.get_by_text("DINOv2 ViT-S/14: here now, and in the menu above.").wait_for()
    small.wait_for(state="detached")
    assert "DINOv2 ViT-S/14" in menu(page, "Backbone")
    assert [(path, bool(asked)) for path, asked in host.asked] == [
        (weights(DINOV2_S), False),
        (weights(DINOV2_S), True),
    ]
    page.goto(address)  # as another visitor
    page.get_by_role("tab", name="Weights").click()
    assert "DINOv2 ViT-S/14" in menu(page, "Backbone")
