"""Downloads from a small server on this machine: resumed, checked, unpacked safely, counted."""

import io
import re
import tarfile
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from spherecorr.backbones import BACKBONES
from spherecorr.cli import main
from spherecorr.data.download import download_dataset, unpack
from spherecorr.data.registry import DATASETS, Download
from spherecorr.transfer import DownloadError, fetch

CONTENT = np.random.default_rng(0).bytes(100_000)


class Server(ThreadingHTTPServer):
    """Serves `files`; what it does wrong is set by the test."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {"data.bin": CONTENT}
        self.ranges = True  # whether it can start in the middle
        self.breaks_after: int | None = None  # bytes
        self.length: int | None = -1  # that it says; -1 for the true one
        self.asked: list[tuple[str, str | None]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        server, name, asked = self.server, self.path[1:], self.headers.get("Range")
        server.asked.append((name, asked))
        if name not in server.files:
            return self.send_error(404)
        content, start = server.files[name], 0
        if asked and server.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked).group(1))
            if start >= len(content):
                return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if server.length is not None:
            self.send_header("Content-Length", str(len(content) - start if server.length < 0 else server.length))
        self.end_headers()
        self.wfile.write(content[start:][: server.breaks_after])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


# One file


def test_a_file_comes_whole_and_is_not_fetched_twice(server, tmp_path):
    steps = []
    path = fetch(f"{server.url}/data.bin", tmp_path / "new/data.bin", report=lambda *step: steps.append(step))
    assert path.read_bytes() == CONTENT and [file.name for file in path.parent.iterdir()] == ["data.bin"]
    assert steps[-1] == ("data.bin", len(CONTENT), len(CONTENT))
    fetch(f"{server.url}/data.bin", path)
    assert len(server.asked) == 1


@pytest.mark.parametrize("ranges", [True, False], ids=["resumes", "starts again"])
def test_a_download_that_broke_off(server, tmp_path, ranges):
    server.ranges, server.breaks_after = ranges, 40_000
    path = tmp_path / "data.bin"
    with pytest.raises(DownloadError, match="broke off after 40,000 of 100,000 bytes"):
        fetch(f"{server.url}/data.bin", path)
    assert not path.exists() and (tmp_path / "data.bin.partial").stat().st_size == 40_000
    server.breaks_after = None
    steps = []
    fetch(f"{server.url}/data.bin", path, report=lambda name, done, total: steps.append((done, total)))
    assert path.read_bytes() == CONTENT and steps[-1] == (len(CONTENT), len(CONTENT))
    assert server.asked[1] == ("data.bin", "bytes=39999-")  # the last byte again


def test_stopped_after_the_last_byte_and_before_the_renaming(server, tmp_path):
    (tmp_path / "data.bin.partial").write_bytes(CONTENT)
    assert fetch(f"{server.url}/data.bin", tmp_path / "data.bin").read_bytes() == CONTENT


def test_a_server_that_does_not_say_how_much_comes(server, tmp_path):
    server.length = None
    assert fetch(f"{server.url}/data.bin", tmp_path / "data.bin", megabytes=0.1).read_bytes() == CONTENT
    with pytest.raises(DownloadError, match=r"data\.bin has 0\.1 MB instead of about 227"):
        fetch(f"{server.url}/data.bin", tmp_path / "again.bin", megabytes=227)


def test_another_file_is_refused_before_it_comes(server, tmp_path):
    with pytest.raises(DownloadError, match=r"data\.bin has 0\.1 MB instead of about 227: it is another file"):
        fetch(f"{server.url}/data.bin", tmp_path / "data.bin", megabytes=227)
    assert list(tmp_path.iterdir()) == []


def test_what_goes_wrong_on_the_server_is_said(server, tmp_path):
    with pytest.raises(DownloadError, match=r"other\.bin answers 404 \(Not Found\). Name another .* with --mirror"):
        fetch(f"{server.url}/other.bin", tmp_path / "other.bin")
    (tmp_path / "data.bin.partial").write_bytes(CONTENT + b"more")
    with pytest.raises(DownloadError, match=r"is shorter than '.*data\.bin\.partial'. Delete that file"):
        fetch(f"{server.url}/data.bin", tmp_path / "data.bin")
    server.shutdown()
    server.server_close()
    with pytest.raises(DownloadError, match=r"data\.bin cannot be reached \(.*refused"):
        fetch(f"{server.url}/data.bin", tmp_path / "new.bin")


def test_no_room(server, tmp_path):
    (tmp_path / "data.bin.partial").symlink_to("/dev/full")
    with pytest.raises(DownloadError, match=r"partial' cannot be written \(No space left on device\)"):
        fetch(f"{server.url}/data.bin", tmp_path / "data.bin")
    server.length = 10**18
    with pytest.raises(DownloadError, match=r"has room for [\d,]+ MB; the download needs 1,000,000,000,000"):
        fetch(f"{server.url}/data.bin", tmp_path / "new.bin")


# Archives


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(files: dict[str, bytes], *others: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for entry in others:
            archive.addfile(entry)
    return buffer.getvalue()


def files_in(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("pack", "ending"), [(zipped, "zip"), (tarred, "tar.gz")])
def test_an_archive_is_unpacked_from_a_folder_in_it(tmp_path, pack, ending):
    archive = tmp_path / f"a.{ending}"
    archive.write_bytes(pack({"./top/x/1:car.json": b"one", "top/2": b"two", "__MACOSX/2": b"none"}))
    unpack(archive, tmp_path / "out", inside="top")
    assert files_in(tmp_path / "out") == {"x/1:car.json": b"one", "2": b"two"}
    unpack(archive, tmp_path / "all")
    assert len(files_in(tmp_path / "all")) == 3
    with pytest.raises(DownloadError, match=rf"a\.{ending}' has no files in a folder other: it is another one"):
        unpack(archive, tmp_path / "none", inside="other")


@pytest.mark.parametrize("name", ["../evil", "{outside}/evil", "top/../../evil"])
@pytest.mark.parametrize(("pack", "ending"), [(zipped, "zip"), (tarred, "tar.gz")])
def test_an_archive_cannot_write_outside(tmp_path, pack, ending, name):
    archive = tmp_path / f"a.{ending}"
    archive.write_bytes(pack({name.format(outside=tmp_path): b"x"}))
    with pytest.raises(DownloadError, match=r"evil', which leads out of the folder"):
        unpack(archive, tmp_path / "out/deep")
    assert not list(tmp_path.rglob("evil"))


def test_links_are_left_out(tmp_path):
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc"
    (tmp_path / "a.tgz").write_bytes(tarred({"file": b"x"}, link))
    unpack(tmp_path / "a.tgz", tmp_path / "out")
    assert files_in(tmp_path / "out") == {"file": b"x"} and not (tmp_path / "out/link").is_symlink()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.zip", b"no zip"),
        ("a.tgz", b"no tar"),
        ("a.tgz", tarred({"file": CONTENT})[:50_000]),
        ("a.tgz", tarred({"file": CONTENT})[:50_000] + bytes(50_000)),
        ("a.zip", zipped({"file": CONTENT}).replace(CONTENT[:9], b"otherwise")),
    ],
    ids=["no zip", "no tar", "cut", "overwritten", "checksum"],
)
def test_a_damaged_archive_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DownloadError, match=rf"{re.escape(name)}' cannot be unpacked \(.+\). Delete it") as mistake:
        unpack(tmp_path / name, tmp_path / "out")
    assert "\n" not in str(mistake.value)


# Datasets


def png(size=(256, 256), mode="RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, "white").save(buffer, "PNG")
    return buffer.getvalue()


ETH80 = tarred(
    {"eth80-cropped256/car1/car1-090-045.png": png(), "eth80-cropped256/car1/maps/car1-090-045-map.png": png(mode="L")}
)


def test_the_command_fetches_unpacks_and_counts(server, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    server.files["eth80-cropped256.tgz"], server.breaks_after = ETH80, 200
    command = ["download", "eth80", "--mirror", f"{server.url}/"]
    assert main(command) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("spherecorr: http") and "broke off after 200 of" in error
    assert not (tmp_path / "data/eth80").exists()
    server.breaks_after = None
    assert main(command) == 0
    text = capsys.readouterr().out
    assert "ETH-80. Licence: academic use, cite." in text
    assert f"from {server.url}/eth80-cropped256.tgz (size not known)" in text
    assert "1 images of 1 categories are sound" in text
    assert files_in(tmp_path / "data/eth80").keys() == {"car1/car1-090-045.png", "car1/maps/car1-090-045-map.png"}
    assert [asked for _, asked in server.asked] == [None, "bytes=199-"]
    server.files.clear()
    assert main(command) == 0  # what is there is counted, not fetched
    assert "data/eth80 is there, so nothing is fetched" in capsys.readouterr().out


def test_a_dataset_of_several_files_is_there_whole_or_not(server, tmp_path):
    files = (
        Download("http://x/a.zip", inside="top"),
        Download("http://x/b.zip", to="sub"),
        Download("http://x/list.csv"),
    )
    info = replace(DATASETS["pf-willow"], downloads=files)
    server.files = {"a.zip": zipped({"top/1": b"one"}), "b.zip": b"broken", "list.csv": b"1,2"}
    with pytest.raises(DownloadError, match=r"b\.zip' cannot be unpacked"):
        download_dataset(info, tmp_path / "out", server.url)
    assert not (tmp_path / "out").exists()
    server.files["b.zip"] = zipped({"2": b"two"})
    (tmp_path / "out.download/b.zip").unlink()
    kept = download_dataset(info, tmp_path / "out", server.url)
    assert files_in(tmp_path / "out") == {"1": b"one", "sub/2": b"two", "list.csv": b"1,2"}
    assert files_in(kept).keys() == {"a.zip", "b.zip", "list.csv"} and not (tmp_path / "out.partial").exists()
    assert [name for name, _ in server.asked] == ["a.zip", "b.zip", "list.csv", "b.zip"]


def test_a_complete_download_of_another_dataset_fails_the_count(server, tmp_path, capsys):
    server.files = {"PF-dataset.zip": zipped({"PF-dataset/readme": b""}), "test_pairs_pf.csv": b"imageA,imageB\n"}
    assert main(["download", "pf-willow", "--to", str(tmp_path / "out"), "--mirror", server.url]) == 2
    assert "test_pairs_pf.csv' lacks the column 'XA1'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ap10k"], "AP-10K cannot be fetched by this command. It lies on Google Drive"),
        (["folder"], "your own pictures cannot be fetched by this command. Write viewpoints.csv"),
        (["spair", "--mirror", "MIRROR"], "SPair-71k.tar.gz answers 404"),
        (["spair71k"], "There is no backbone 'spair71k'"),
        (["spair71k"], "Datasets are spair, spair-u"),
        (["dino-s16", "--to", "x"], "'dino-s16' is no dataset; weights go into the Hub's cache"),
    ],
)
def test_what_cannot_be_fetched_is_said_in_one_line(server, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(["download", *(server.url if word == "MIRROR" else word for word in arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_weights_of_a_backbone(capsys, monkeypatch, tmp_path):
    assert main(["download", "mini"]) == 0
    assert re.search(r"the weights are \S+model\.safetensors, to be used as --backbone mini", capsys.readouterr().out)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert main(["download", "dinov2-b"]) == 2
    output = capsys.readouterr()
    assert "DINOv2 ViT-B/14. Licence: Apache-2.0. About 346 MB are to be downloaded." in output.out
    assert "is not on this machine and HF_HUB_OFFLINE is set" in output.err


def test_every_dataset_can_be_fetched_or_says_how():
    for info in DATASETS.values():
        assert info.downloads or info.how, info.name
        for file in info.downloads:
            assert re.fullmatch(r"https?://[\w.-]+/\S+[^/]", file.url) and file.inside == file.inside.strip("/")
    assert not DATASETS.keys() & BACKBONES.keys()
