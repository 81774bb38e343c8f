"""The panel Methods in headless Chromium, on a tiny real backbone and sphere."""

import re
import shutil
from dataclasses import replace

import pytest
import torch
from playwright.sync_api import sync_playwright

import spherecorr as sc
from spherecorr.sphere.checkpoint import save_sphere
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.sphere.settings import SphereSettings
from spherecorr.ui.blocks import build_demo, launch

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")]


@pytest.fixture
def page(tiny_app, tmp_path):
    """A page with two atlases on offer and the example open; no console error may have happened."""
    source = sc.load_backbone(tiny_app.backbones[0], device="cpu").source
    torch.manual_seed(0)
    for name in ("bricks", "car"):
        plane = SphereSettings(source.dim, source=source, surface="plane", alpha=1.0)
        save_sphere(SphereMapper(plane), tmp_path / name)
    demo = build_demo(replace(tiny_app, asic=tmp_path))
    _, address, _ = launch(demo=demo, prevent_thread_lock=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        troubles = []
        page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.goto(address)
        page.wait_for_selector(".sc-explorer[data-state=ready]", timeout=60_000)
        yield page
        browser.close()
    demo.close()
    assert not troubles


def row(page, method):
    return page.locator(".sc-methods tbody tr", has=page.get_by_role("rowheader", name=re.compile(f"^{method}")))


def test_every_method_has_a_row_and_an_atlas_is_chosen(page):
    page.get_by_role("tab", name="Methods").click()
    said = row(page, "pose-aligned").locator(".sc-said")
    said.filter(has_text="The mirrored source matched better: ").wait_for()  # which is computed after the rest is shown
    assert page.locator(".sc-methods tbody tr").count() == 6
    assert page.locator(".sc-method-pictures img").count() == 4
    fused = page.locator("#table tbody tr").nth(1).locator("td").nth(4).text_content()
    assert fused.startswith(row(page, "fused").locator("td").nth(1).inner_text() + " ")
    assert "at least 8; the app has 2 examples" in row(page, "debiased").inner_text()
    assert "There is no atlas for 'blocks'" in row(page, "asic").inner_text()
    page.locator("#atlas input").click()
    page.get_by_role("option", name="bricks").click()
    row(page, "asic").locator(".sc-said").filter(has_text="By the atlas of bricks.").wait_for()
    assert page.locator(".sc-method-pictures figcaption").all_inner_texts() == [
        *("raw", "pose-aligned", "sphere", "fused", "asic")
    ]
    count = page.locator(".sc-methods thead th").count()
    page.locator("[data-pane=source] canvas").first.click(position={"x": 60, "y": 60})
    page.wait_for_function("(n) => document.querySelectorAll('.sc-methods thead th').length === n", arg=count + 1)
