"""The panel "Ground truth" in headless Chromium: a rendered pair opened by the menus."""

import pytest
from explorer import MARKS, watch

from spherecorr.ui.blocks import build_demo, launch

pytestmark = MARKS


@pytest.fixture
def page(browser, tiny_app):
    """The page of the tiny app; at its end no console error may have happened."""
    demo = build_demo(tiny_app)
    _, address, _ = launch(demo=demo, prevent_thread_lock=True)
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(60_000)
    troubles = watch(page, address)
    page.goto(address)
    yield page
    page.close()
    demo.close()
    assert not troubles


def test_a_rendered_pair_opens_and_is_scored(page):
    page.get_by_role("tab", name="Ground truth").click()
    page.wait_for_selector("#truth-matches figure")
    rows = "#truth-matches .sc-truth-table:last-child tbody tr"
    assert page.locator(rows).count() == 2  # the blocks' keypoints; the target lacks one
    assert "not in the target" in page.locator(rows).last.inner_text()

    page.click("#truth-list input")
    page.get_by_role("option", name="Rendered pairs").click()
    page.wait_for_function("(rows) => document.querySelectorAll(rows).length > 2", arg=rows)
    assert page.input_value("#truth-category input") == "aeroplane"
    assert page.input_value("#example input") == "Your own images"
    page.wait_for_function(
        "() => document.querySelectorAll('#table tbody tr').length > 2"
    )  # its points are on the page
    assert page.locator("#truth-matches figure svg[aria-label*='keypoints right']").count() == 3
    page.wait_for_selector(".sc-truth-plots .js-plotly-plot")

    before = page.inner_text("#truth-matches")
    page.locator("#truth-number input[type=number]").fill("2")
    page.click("#truth-open")
    page.wait_for_function("(old) => document.querySelector('#truth-matches').innerText !== old", arg=before)

    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390  # wide tables scroll by themselves
