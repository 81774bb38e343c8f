"""All panels of the page, in light and dark and on a phone: no console error, nothing too wide, readable for all."""

import pytest
from explorer import MARKS, open_page, watch

pytestmark = MARKS
PANELS = ["Matches", "PCA", "Sphere maps", "Ground truth", "Methods", "Weights", "Teach"]
FULL = "() => [...document.querySelectorAll('[role=tabpanel]')].some((p) => p.offsetParent && p.innerText.length > 5)"


def serious(page, part, **options):
    """What axe-core finds in a part of the page that keeps people out: rule, and the first place."""
    Axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe
    # Gradio's own placeholder of an empty plot has a label that it may not have.
    found = (
        Axe().run(page, context={"include": [[part]], "exclude": [[".empty"]]}, options=options).response["violations"]
    )
    return [(rule["id"], rule["nodes"][0]["html"]) for rule in found if rule["impact"] in ("serious", "critical")]


@pytest.mark.parametrize(("theme", "panels"), [("light", PANELS), ("dark", ["Matches", "Weights", "Teach"])])
def test_every_panel_opens_and_can_be_used_by_all(browser, mini_address, theme, panels):
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    troubles = watch(page, mini_address)
    open_page(page, mini_address, f"?__theme={theme}")
    rules = {} if theme == "light" else {"runOnly": ["color-contrast"]}  # the rest is the same in the dark
    found = {}
    for title in panels:
        page.get_by_role("tab", name=title).click()
        page.wait_for_function(FULL) if title not in ("PCA", "Sphere maps") else page.wait_for_selector(
            ".sc-pictures img >> visible=true"
        )
        if title == "Ground truth":
            page.wait_for_selector("#truth-matches table")
        if title == "Methods":
            page.wait_for_selector("#methods table")
        found[title] = serious(page, "body" if title == "Matches" else ".sc-tabs", **rules)
    titles = page.locator("[role=tab]").all_inner_texts()
    page.close()
    assert found == {title: [] for title in panels}
    assert [title.strip() for title in titles] == PANELS and not troubles


def test_no_panel_is_wider_than_a_phone(browser, mini_address):
    page = browser.new_page(viewport={"width": 390, "height": 844}, has_touch=True)
    troubles = watch(page, mini_address)
    open_page(page, mini_address)
    for title in PANELS:
        tab = page.get_by_role("tab", name=title)
        if not tab.count():  # it is in the menu of those that do not fit
            page.click(".overflow-menu > button")
            tab = page.locator(".overflow-dropdown button", has_text=title)
        tab.click()
        page.wait_for_timeout(200)
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 390, title
    page.close()
    assert not troubles
