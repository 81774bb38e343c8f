"""Parts of the app that know no page: the cache, what a visit holds, image files, table and export."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event

import numpy as np
import pytest
from PIL import Image

from spherecorr.errors import SpherecorrError
from spherecorr.matching.match import MatchResult
from spherecorr.ui.cache import Cache
from spherecorr.ui.image_files import as_files
from spherecorr.ui.session import MAX_POINTS, NO_SPHERE, SHOWN_SIDE, Picture, Visit
from spherecorr.ui.table import csv_text, match_records

# The cache


def test_a_value_is_made_once_even_if_many_ask_at_once():
    cache, made = Cache(3), []

    def make():
        time.sleep(0.05)
        made.append(1)
        return "value"

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: cache.get("key", make), range(8))) == {"value"}
    assert len(made) == 1


def test_what_was_used_longest_ago_is_dropped():
    cache = Cache(2)
    for key in "ab":
        cache.get(key, str)
    cache.get("a", str)
    cache.get("c", str)
    assert [key in cache for key in "abc"] == [True, False, True]


def test_weights_count_and_one_value_that_is_too_heavy_is_still_kept():
    cache = Cache(10, weigh=len)
    cache.get("small", lambda: "xxx")
    cache.get("large", lambda: "x" * 20)
    assert "small" not in cache and "large" in cache


def test_room_is_made_before_something_heavy_comes():
    cache = Cache(10, weigh=len)
    for key in "ab":
        cache.get(key, lambda: "four")
    cache.make_room(6)
    assert [key in cache for key in "ab"] == [False, True]
    cache.make_room(100)
    assert "b" not in cache


def test_a_failure_is_passed_on_to_all_who_wait_and_nothing_of_it_is_kept():
    cache, tried, failing = Cache(2), [], Event()

    def make():
        tried.append(1)
        failing.wait(60)
        raise ZeroDivisionError

    def ask(_):
        with pytest.raises(ZeroDivisionError):
            cache.get("key", make)

    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(ask, i) for i in range(2)]
        time.sleep(0.1)
        failing.set()
        for answer in asked:
            answer.result()
    assert len(tried) == 1
    assert not cache._making and not cache._values
    assert cache.get("key", lambda: 5) == 5


# What a visit holds


def test_shown_and_original_pixels_are_inverse():
    picture = Picture("a.png", "0", (4000, 1500), "a.png")
    assert picture.shown_size == (SHOWN_SIDE, 288)
    points = np.array([[0, 0], [4000, 1500], [123.4, 567.8]])
    np.testing.assert_allclose(picture.from_shown(picture.to_shown(points)), points)
    np.testing.assert_allclose(picture.to_shown(points)[1], picture.shown_size)


def test_points_come_and_go():
    visit = Visit(source=Picture("a.png", "0", (100, 100), "a.png"))
    visit = visit.with_point((10.0, 10.0)).with_point((50.0, 50.0))
    assert visit.active == 1
    assert visit.with_point((10.5, 9.5)).active == 0  # a click on a pin chooses it
    assert len(visit.with_point((10.5, 9.5)).points) == 2
    assert visit.without_last_point().points == ((10.0, 10.0),)
    assert visit.without_points().without_last_point() == visit.without_points()


def test_a_thirteenth_point_is_refused():
    visit = Visit(source=Picture("a.png", "0", (1000, 1000), "a.png"))
    for i in range(MAX_POINTS):
        visit = visit.with_point((50.0 * i, 10.0))
    with pytest.raises(SpherecorrError, match="12 points already"):
        visit.with_point((500.0, 500.0))


# Image files


def test_a_picture_is_written_once_and_found_under_its_content(monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    red, blue = (Image.new("RGB", (9, 9), colour) for colour in ("red", "blue"))
    first, number, other = as_files(lambda: [red, 5, blue], "png")()
    assert number == 5 and first != other
    inode = os.stat(first).st_ino
    assert as_files(lambda: [red.copy()], "png")() == [first] and os.stat(first).st_ino == inode
    assert Image.open(first).getpixel((4, 4)) == (255, 0, 0)


# Table and export


def test_records_and_csv_hold_the_same_numbers(app, controls):
    result = app.match(app.open(controls), replace(controls, ranks=2))
    records = match_records(result)
    assert json.loads(json.dumps(records)) == records
    assert [len(record["fused"]) for record in records] == [2, 2]
    header, first, _ = csv_text(records).splitlines()
    row = dict(zip(header.split(","), first.split(","), strict=True))
    assert [float(row["raw_x"]), float(row["raw_y"])] == records[0]["raw"][0]["xy"]
    assert row["number"] == "1" and float(row["source_x"]) == 140.5


def test_records_without_a_sphere_leave_its_columns_empty(app, controls):
    result = app.match(app.open(controls), replace(controls, sphere=NO_SPHERE))
    assert isinstance(result, MatchResult) and result.sphere is None
    header, first, _ = csv_text(match_records(result)).splitlines()
    row = dict(zip(header.split(","), first.split(","), strict=True))
    assert row["sphere_x"] == row["visible"] == ""
