"""The panel Methods in headless Chromium, on a tiny real backbone and sphere."""

import re
from dataclasses import replace

import pytest
import torch
from explorer import MARKS, click, open_page, records, watch

import spherecorr as sc
from spherecorr.sphere.checkpoint import save_sphere
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.sphere.settings import SphereSettings
from spherecorr.ui.blocks import build_demo, launch

pytestmark = MARKS


@pytest.fixture
def page(browser, tiny_app, tmp_path):
    """A page with two atlases on offer and the example open."""
    source = sc.load_backbone(tiny_app.backbones[0], device="cpu").source
    torch.manual_seed(0)
    for name in ("bricks", "car"):
        plane = SphereSettings(source.dim, source=source, surface="plane", alpha=1.0)
        save_sphere(SphereMapper(plane), tmp_path / name)
    demo = build_demo(replace(tiny_app, asic=tmp_path))
    _, address, _ = launch(demo=demo, prevent_thread_lock=True)
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    troubles = watch(page, address)
    open_page(page, address)
    yield page
    page.close()
    demo.close()
    assert not troubles


def row(page, method):
    return page.locator(".sc-methods tbody tr", has=page.get_by_role("rowheader", name=re.compile(f"^{method}")))


def said(page, method, text):
    """Wait until a method says so."""
    row(page, method).locator(".sc-said").filter(has_text=text).wait_for()


def test_every_method_has_a_row_and_an_atlas_is_chosen(page):
    page.get_by_role("tab", name="Methods").click()
    said(page, "pose-aligned", "The mirrored source matched better: ")  # which is computed after the rest is shown
    assert page.locator(".sc-methods tbody tr").count() == 6
    assert page.locator(".sc-method-pictures img").count() == 4
    x, y = records(page)[1]["fused"][0]["xy"]
    shown = row(page, "fused").locator("td").nth(1).inner_text()
    assert [float(value) for value in shown.split(", ")] == pytest.approx([x, y], abs=0.51)
    said(page, "debiased", "at least 8; the app has 2 examples")
    said(page, "asic", "There is no atlas for 'blocks'")
    page.locator("#atlas input").click()
    page.get_by_role("option", name="bricks").click()
    said(page, "asic", "By the atlas of bricks.")
    names = page.locator(".sc-method-pictures figcaption").all_inner_texts()
    assert names == ["raw", "pose-aligned", "sphere", "fused", "asic"]
    page.get_by_role("columnheader", name="point 2").wait_for()
    click(page, "source", (200, 150))
    page.get_by_role("columnheader", name="point 3").wait_for()
