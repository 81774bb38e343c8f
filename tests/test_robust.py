"""What a server may meet: no network, a full disk, a sudden end. Every action is answered, and nothing is lost."""

import errno
import os
import time
from pathlib import Path
from urllib.parse import urlencode

import pytest
from page_client import PageClient, Refused
from tiny_models import blocks, encoded_png
from watched_app import WatchedApp

from spherecorr.files import FileError
from spherecorr.ui.blocks import build_demo, launch
from spherecorr.ui.image_files import served

NO_SPACE = OSError(errno.ENOSPC, "No space left on device")
HANGS = 30  # s: how long an address elsewhere keeps whoever asks it waiting
SERVE = """
import os, socket, time
from spherecorr.ui.blocks import launch
from spherecorr.ui.settings import AppSettings
def blocked(answer):
    def ask(*arguments, **more):
        asked = next(value for value in arguments if not isinstance(value, socket.socket))
        host = asked[0] if isinstance(asked, tuple) else asked
        if isinstance(host, int) or host in ("127.0.0.1", "localhost", "0.0.0.0", "::1", None, ""):
            return answer(*arguments, **more)
        with open(folder / "asked", "a") as lines:
            lines.write(f"{{asked}}\\n")
        time.sleep({hangs})
        raise TimeoutError("timed out")
    return ask
for owner, name in ((socket.socket, "connect"), (socket.socket, "connect_ex"), (socket, "getaddrinfo")):
    setattr(owner, name, blocked(getattr(owner, name)))
settings = AppSettings({backbones!r}, {spheres!r}, Path({examples!r}), device="cpu", teach_folder=folder / "teach")
launch(port=port, settings=settings)
"""


# No network, and kill -9


@pytest.fixture(scope="module")
def server(tiny_app, tmp_path_factory):
    """The app in a process of its own; whatever it asks of other machines is noted, and is not answered."""
    folder = tmp_path_factory.mktemp("server")
    code = SERVE.format(
        hangs=HANGS, backbones=tiny_app.backbones, spheres=(*tiny_app.spheres, "someone/sphere"),
        examples=str(tiny_app.examples),
    )  # fmt: skip
    here = {"HF_HOME": str(folder / "hub"), "HF_HUB_OFFLINE": "", "GRADIO_ANALYTICS_ENABLED": "True"}
    app = WatchedApp(folder, code, here, imports="import timm, torch, gradio, spherecorr.ui.blocks")
    yield app.start()
    app.close()


def test_without_a_network_every_action_is_answered_and_nobody_is_asked(server, tiny_app):
    page = PageClient(server.address).open()
    picture = (tiny_app.examples / "a.png").read_bytes()
    titles = [c["props"]["label"] for c in page.config["components"] if c["type"] == "tabitem"]
    assert {"PCA", "Weights"} <= set(titles)
    actions = {
        "open": lambda: PageClient(server.address, config=page.config).open(),
        "example": lambda: page.choose("example", "back"),
        "upload": lambda: page.put("source", "own.png", picture),
        "mark": lambda: page.mark("source", "box", [[110, 80], [270, 190]]),
        "mirror": lambda: page.ask("mirror"),
        "swap": lambda: page.ask("swap", points=[[10, 10]]),
        **{title: lambda title=title: page.look(panel=title, points=[[10, 10]]) for title in titles},
        "weights": lambda: page.trigger("weights-tab", "select"),
        "no sphere": lambda: page.choose("sphere", "none"),
        "absent backbone": lambda: page.choose("backbone", "dinov2-s"),
        "match": lambda: page.call("match", [page.file(page.upload("a", picture))] * 2 + [[[10, 10]]]),
        "match of an absent backbone": lambda: refused(
            page, "spherecorr download", [page.file(page.upload("a", picture))] * 2 + [[[10, 10]], "dinov2-s"]
        ),
        "backbones": lambda: page.call("backbones", []),
    }
    took = {}
    for name, act in actions.items():
        began = time.monotonic()
        act()
        took[name] = time.monotonic() - began
    assert "spherecorr download dinov2-s" in page.said
    assert not (server.folder / "asked").exists(), (server.folder / "asked").read_text()
    print({name: round(seconds, 2) for name, seconds in took.items()})
    assert max(took.values()) < HANGS


def refused(page, words, arguments):
    with pytest.raises(Refused, match=words):
        page.call("match", arguments)


def test_a_server_that_was_killed_serves_the_same_addresses_when_it_is_started_again(server):
    example = {"example": "back", "alpha": "0.7", "points": "100.5,120.5"}
    before = PageClient(server.address, urlencode(example)).open()
    own = PageClient(server.address, urlencode(example)).open()
    own.put("source", "my own.png", encoded_png(blocks((320, 240), (60, 60), "white")))
    own.ask("mirror")
    places = {role: picture["place"] for role, picture in own.shown["pictures"].items()}
    assert places["source"].startswith("uploads/") and places["target"].endswith("!mirrored")
    server.stop()  # by kill -9
    server.start()
    after = PageClient(server.address, urlencode(example)).open()
    assert what_is_shown(after) == what_is_shown(before) and after.shown["example"] == "back"
    again = PageClient(server.address, urlencode(places)).open()
    assert what_is_shown(again) == what_is_shown(own)
    for picture in again.shown["pictures"].values():
        assert again.fetch(picture["features"]) and again.fetch(picture["picture"])[:2] == b"\xff\xd8"


def what_is_shown(page):
    """All but what counts the events of one process."""
    return {key: page.shown[key] for key in ("pictures", "example", "ready", "sphere", "globe", "problem", "notices")}


# A full disk


@pytest.fixture
def full_disk(monkeypatch):
    """Half of what is written fits."""

    def write(path, content):
        with open(path, "wb") as file:
            file.write(content[: len(content) // 2])
        raise NO_SPACE

    monkeypatch.setattr(Path, "write_bytes", write)


def test_a_file_that_does_not_fit_is_not_served_and_leaves_no_half(full_disk, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with pytest.raises(FileError, match=r"cannot be written \(No space left on device\)"):
        served(b"all of it", "features.bin")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_drawing_that_does_not_fit_is_a_sentence_and_the_next_one_is_whole(
    app, controls, tmp_path, monkeypatch, request
):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    session = app.open(controls)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", lambda path, content: fail(NO_SPACE))
        text, kind = app.draw(session, controls)["status"]
    assert kind == "warn" and "No space left on device" in text and "\n" not in text
    shown = app.draw(session, controls)
    assert shown["ready"] and all(Path(p["features"]).is_file() for p in shown["pictures"].values())


def fail(error):
    raise error


def test_an_upload_that_does_not_fit_is_refused_in_a_sentence_and_leaves_no_half(tiny_app, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    demo = build_demo(tiny_app)
    _, address, _ = launch(demo=demo, prevent_thread_lock=True)
    try:
        page = PageClient(address).open()
        page.upload("whole.png", b"whole")
        with monkeypatch.context() as patched:
            patched.setattr("starlette.datastructures.UploadFile.write", no_space)
            for _ in range(2):
                with pytest.raises(Refused, match=r"cannot keep the file \(No space left on device\)"):
                    page.upload("a.png", b"x" * 5000)
                for left in tmp_path.glob("tmp*"):  # Gradio leaves it; the next one to fail takes it away, long after
                    os.utime(left, (0, 0))
        assert len([path for path in tmp_path.rglob("tmp*") if path.is_file()]) == 1  # the second's
        assert [path.name for path in tmp_path.rglob("whole.png")] == ["whole.png"]
        page.put("source", "b.png", (tiny_app.examples / "b.png").read_bytes())
        assert page.shown["ready"] and page.shown["pictures"]["source"]["size"] == [300, 300]
    finally:
        demo.close()


async def no_space(*_):
    raise NO_SPACE
