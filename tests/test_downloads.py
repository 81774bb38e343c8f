"""Downloads that the page starts: real processes of the command, against a small host of this test."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from slow_host import CONTENT, DIGEST, DINO_S, DINOV2_B, DINOV2_S, slow_host, weights
from test_hub import files_in

from spherecorr.backbones import weights_available
from spherecorr.hub import cached_file
from spherecorr.ui.downloads import Downloads

WEIGHTS = "model.safetensors"


@pytest.fixture
def host(monkeypatch, tmp_path):
    with slow_host(monkeypatch, tmp_path) as host:
        yield host


@pytest.fixture
def downloads():
    downloads = Downloads()
    yield downloads
    downloads.close()


def wait(condition, seconds=20.0):
    """Until the condition holds; returns what it answers."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := condition():
            return answer
        time.sleep(0.01)
    raise AssertionError("it never came to be")


def ended(downloads, key):
    """How a download ended."""
    return wait(lambda: (found := downloads.progress(key)) and not found.is_active and found)


def test_progress_grows_and_whoever_asks_sees_the_same(host, downloads):
    assert downloads.progress("small") is None and not downloads.is_busy()
    downloads.start("small", ("dinov2-s",), 2_500_000)
    downloads.start("small", ("dinov2-s",))  # a second visitor: there is one download, not two
    first = wait(lambda: (found := downloads.progress("small")).done and found)
    assert first.state == "running" and first.done <= 1_000_000 and first.total == 3_000_000
    assert not weights_available("dinov2-s") and downloads.is_busy()
    host.open()
    assert ended(downloads, "small").done == 3_000_000
    assert downloads.progress("small").state == "done" and not downloads.is_busy()
    assert weights_available("dinov2-s") and cached_file(DINOV2_S, WEIGHTS).read_bytes() == CONTENT
    assert len(host.asked) == 1


def test_cancel_leaves_no_process_and_resume_asks_for_the_rest_only(host, downloads, tmp_path):
    downloads.start("small", ("dinov2-s",))
    wait(lambda: [file for file in files_in(tmp_path) if file.stat().st_size == 1_000_000])
    process = downloads._jobs["small"].process
    downloads.cancel("small")
    assert process.poll() is not None
    stopped = downloads.progress("small")
    assert stopped.state == "stopped" and 0 < stopped.done <= 1_000_000 and stopped.total == 3_000_000
    (kept,) = [file for file in files_in(tmp_path) if file.stat().st_size]
    assert kept.name.endswith(".partial") and kept.read_bytes() == CONTENT[:1_000_000]
    host.open()
    downloads.start("small", ("dinov2-s",))
    assert ended(downloads, "small").state == "done"
    assert [asked for _, asked in host.asked] == [None, "bytes=999999-"]  # the last byte again
    digest = hashlib.sha256(cached_file(DINOV2_S, WEIGHTS).read_bytes()).hexdigest()
    assert digest == DIGEST and not kept.exists()


def test_others_wait_for_their_turn(host):
    downloads = Downloads(at_once=1)
    downloads.start("small", ("dinov2-s",))
    wait(lambda: downloads.progress("small").state == "running")
    for key, name in (("base", "dinov2-b"), ("large", "dinov2-l")):
        downloads.start(key, (name,))
        assert downloads.progress(key).state == "waiting"
    downloads.cancel("large")
    assert downloads.progress("large").state == "stopped"
    host.open()
    assert [ended(downloads, key).state for key in ("small", "base", "large")] == ["done", "done", "stopped"]
    assert len(host.asked) == 2


def test_what_goes_wrong_is_one_sentence_and_no_file(host, tmp_path):
    host.open()
    host.tags[weights(DINOV2_S)] = "0" * 64
    host.sizes = {weights(DINOV2_B): 10**18, weights(DINO_S): 4_000_000}
    expected = {
        "dinov2-l": "is gated: ask for access on ",
        "dinov2-b-reg": "has no file model.safetensors",
        "dinov2-s": f"its SHA-256 is {DIGEST}, not 0000",
        "dinov2-b": "has room for ",
        "dino-s16": "broke off after 3,000,000 of 4,000,000 bytes. What came is kept; retry",
    }
    downloads = Downloads(at_once=len(expected))
    for name in expected:
        downloads.start(name, (name,))
    for name, words in expected.items():
        outcome = ended(downloads, name)
        assert outcome.state == "failed" and words in outcome.sentence and "\n" not in outcome.sentence
        assert not weights_available(name)
    (kept,) = [file for file in files_in(tmp_path) if file.stat().st_size]
    assert kept.suffix == ".partial" and "vit_small_patch16_224.dino" in str(kept)  # of the one that broke off


def test_without_network_it_is_said_within_two_seconds(monkeypatch, tmp_path, downloads):
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as silent:  # takes connections, never answers: the slowest kind of no network
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        downloads.start("small", ("dinov2-s",))
        sentence = ended(downloads, "small").sentence
        assert "does not answer. Connect to the network and retry" in sentence
        assert time.monotonic() - began < 5  # 1.8 s where no tests run beside
    assert files_in(tmp_path) == []


def test_a_disk_that_takes_nothing(host, downloads, tmp_path):
    (tmp_path / "hub").write_text("a file where the folder should be")
    downloads.start("small", ("dinov2-s",))
    assert "cannot be written (" in ended(downloads, "small").sentence


def test_what_the_program_does_wrong_goes_to_the_log(caplog):
    downloads = Downloads(command=(sys.executable, "-c", "raise RuntimeError('oh')"))
    downloads.start("x", ())
    assert ended(downloads, "x").sentence.startswith("Internal error.")
    assert "RuntimeError: oh" in caplog.text


APP = """
import time
from spherecorr.ui.downloads import Downloads
downloads = Downloads()
downloads.start("small", ("dinov2-s",))
while not (downloads.progress("small") or 0).done: time.sleep(0.01)
print(downloads._jobs["small"].process.pid, flush=True)
{then}
"""


@pytest.mark.parametrize("ends", ["by itself", "killed"])
def test_downloads_end_with_the_app(host, ends):
    then = "" if ends == "by itself" else "time.sleep(60)"
    app = subprocess.Popen([sys.executable, "-c", APP.format(then=then)], stdout=subprocess.PIPE, text=True)
    child = int(app.stdout.readline())
    if ends == "killed":
        app.send_signal(signal.SIGKILL)
        host.upto = 0
        host.open()  # the next line that the child writes is read by nobody
    app.wait(20)
    app.stdout.close()
    wait(lambda: not is_running(child))
    assert not weights_available("dinov2-s")


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
    except OSError:
        return os.path.exists(f"/proc/{pid}")
