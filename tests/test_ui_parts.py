"""Parts of the app that know no page: the cache, what a visit holds, image files, records."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event

import numpy as np
import pytest
from PIL import Image

from spherecorr.ui.cache import Cache
from spherecorr.ui.image_files import served_picture
from spherecorr.ui.records import match_records
from spherecorr.ui.session import NO_SPHERE, SHOWN_SIDE, Picture

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


def test_shown_copies_are_scaled_by_their_long_side():
    picture = Picture("a.png", "0", (4000, 1500), "a.png")
    assert picture.shown_size == (SHOWN_SIDE, 288)
    points = np.array([[0, 0], [4000, 1500]])
    np.testing.assert_allclose(picture.to_shown(points)[1], picture.shown_size)


# Image files


def test_a_picture_is_written_once_and_found_under_its_content(monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    red, blue = (Image.new("RGB", (9, 9), colour) for colour in ("red", "blue"))
    first, other = served_picture(red, "png"), served_picture(blue, "png")
    assert first != other
    inode = os.stat(first).st_ino
    assert served_picture(red.copy(), "png") == first and os.stat(first).st_ino == inode
    assert Image.open(first).getpixel((4, 4)) == (255, 0, 0)


# Records


def test_records_are_json_with_all_ranks(app, controls):
    records = match_records(app.match(app.open(controls), replace(controls, ranks=2)))
    assert json.loads(json.dumps(records)) == records
    assert [len(record["fused"]) for record in records] == [2, 2] and records[0]["source"] == [140.5, 110.5]


def test_records_without_a_sphere_say_so(app, controls):
    (record, _) = match_records(app.match(app.open(controls), replace(controls, sphere=NO_SPHERE)))
    assert record["sphere"] is record["fused"] is record["visible"] is None
