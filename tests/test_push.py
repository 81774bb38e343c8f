"""A sphere on its way to the Hub and back; a small server of this test plays the Hub."""

import base64
import hashlib
import json
import re
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import constants

from spherecorr.cli import main
from spherecorr.identity import FeatureSource
from spherecorr.pipelines.cards import write_card
from spherecorr.sphere.checkpoint import load_sphere, save_sphere
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.sphere.settings import SphereSettings

COMMIT = "a" * 40
SOURCE = FeatureSource("dinov3-s", dim=64, patch=16, layer=11, norm=False, position_embedding="timm")


class Hub(BaseHTTPRequestHandler):
    """What a push asks of the Hub: who may write where, large files by LFS, and the commit; and files for a pull.

    Tokens are "good" and "reader"; "somebody/open" is a public repository that is there.
    """

    def do_HEAD(self):
        self.give()

    def do_GET(self):
        if self.path.startswith("/api/models/"):
            name = self.path.removeprefix("/api/models/")
            return self.answer({"id": name, "private": self.server.private.get(name, False)})
        return self.give()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        token = self.headers.get("Authorization")
        if token != "Bearer good":
            return self.answer({"error": "refused"}, 403 if token == "Bearer reader" else 401)
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            if name in self.server.private:
                return self.answer({"url": f"{self.server.address}/{name}"}, 409)
            self.server.private[name] = asked.get("visibility") == "private" or asked.get("private", False)
            return self.answer({"url": f"{self.server.address}/{name}"})
        if self.path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        if "/preupload/" in self.path:
            modes = {True: "lfs", False: "regular"}
            files = [
                {"path": f["path"], "uploadMode": modes[f["path"].endswith(".safetensors")], "shouldIgnore": False}
                for f in json.loads(body)["files"]
            ]
            return self.answer({"files": files})
        if self.path.endswith("/info/lfs/objects/batch"):
            upload = {"href": f"{self.server.address}/lfs"}
            objects = [{**item, "actions": {"upload": upload}} for item in json.loads(body)["objects"]]
            return self.answer({"transfer": "basic", "objects": objects})
        if self.server.breaks_off:
            return self.answer({"error": "out of order"}, 500)
        name = re.fullmatch("/api/models/(.*)/commit/main", self.path)[1]
        for line in body.splitlines():
            kind, value = (json.loads(line)[key] for key in ("key", "value"))
            if kind == "file":
                self.server.files[f"{name}/{value['path']}"] = base64.b64decode(value["content"])
            if kind == "lfsFile":
                self.server.files[f"{name}/{value['path']}"] = self.server.lfs[value["oid"]]
        return self.answer({"commitUrl": f"{self.server.address}/{name}/commit/{COMMIT}", "commitOid": COMMIT})

    def do_PUT(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.lfs[hashlib.sha256(content).hexdigest()] = content
        self.answer({})

    def give(self):
        content = self.server.files.get(self.path[1:].replace("/resolve/main/", "/"))
        if content is None and self.path != "/":
            return self.answer({}, 404, {"X-Error-Code": "EntryNotFound"})
        etag = hashlib.sha256(content or b"").hexdigest()
        return self.answer(content or b"", 200, {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"'})

    def answer(self, content, status=200, headers=None):
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def hub(server, tmp_path, monkeypatch):
    """The Hub as it was, and a person who is logged in."""
    server.files, server.lfs, server.private, server.breaks_off = {}, {}, {"somebody/open": False}, False
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_TOKEN", "good")
    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{server.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # its storage has a protocol of its own
    return server


@pytest.fixture
def sphere(tmp_path):
    folder = tmp_path / "llamas"
    torch.manual_seed(0)
    mapper = SphereMapper(SphereSettings(64, source=SOURCE, alpha=0.35, categories=("llama",)))
    save_sphere(mapper, folder, metadata={"step": 300, "metrics": {"pck": 0.625}})
    return folder


def push(*arguments) -> int:
    return main(["push", *map(str, arguments)])


def fields(hub, repository: str) -> tuple[dict, str]:
    """Fields and text of the card on the Hub."""
    _, header, text = hub.files[f"{repository}/README.md"].decode().split("---\n", 2)
    return yaml.safe_load(header), text


def test_a_sphere_goes_to_the_hub_and_comes_back_by_its_id(hub, sphere, capsys):
    assert push(sphere, "somebody/llamas") == 0
    assert (
        capsys.readouterr().out
        == f"{hub.address}/somebody/llamas has the sphere, to be used as --sphere somebody/llamas\n"
    )
    assert set(hub.files) == {f"somebody/llamas/{name}" for name in ("config.json", "model.safetensors", "README.md")}
    assert {path.name for path in sphere.iterdir()} == {"config.json", "model.safetensors"}  # as it was

    kept, pulled = load_sphere(sphere, device="cpu"), load_sphere("somebody/llamas", device="cpu")
    assert pulled.settings == kept.settings
    assert all(torch.equal(tensor, kept.state_dict()[name]) for name, tensor in pulled.state_dict().items())


def test_a_card_that_is_lacking_is_made_and_names_backbone_and_licence(hub, sphere):
    push(sphere, "somebody/llamas")
    header, text = fields(hub, "somebody/llamas")
    assert header == {
        "license": "other", "license_name": "dinov3-license", "library_name": "spherecorr",
        "base_model": "timm/vit_small_patch16_dinov3.lvd1689m",
        "tags": ["semantic-correspondence", "spherical-maps", "safetensors"],
    }  # fmt: skip
    assert text.lstrip().startswith("# llamas\n")
    for row in ("| features | `dinov3-s` at 448 px |", "| categories | llama |", "| steps | 300 |", "| pck | 62.5 % |"):
        assert row in text


def test_a_card_keeps_its_text_and_its_own_header(hub, sphere):
    write_card(sphere, "# My llamas\n\nMine.\n")
    push(sphere, "somebody/llamas", "--licence", "cc-by-4.0")
    header, text = fields(hub, "somebody/llamas")
    assert header["license"] == "cc-by-4.0" and text == "\n# My llamas\n\nMine.\n"
    write_card(sphere, "---\nlicense: mit\n---\n# My llamas\n")
    push(sphere, "somebody/llamas")
    assert hub.files["somebody/llamas/README.md"] == (sphere / "README.md").read_bytes()


def test_private_is_private(hub, sphere, capsys):
    assert push(sphere, "somebody/secret", "--private") == 0
    assert hub.private["somebody/secret"] is True
    assert push(sphere, "somebody/open", "--private") == 2
    assert "is there and public" in capsys.readouterr().err
    assert not [name for name in hub.files if name.startswith("somebody/open")]


@pytest.mark.parametrize(
    ("token", "repository", "words"),
    [
        ("", "somebody/llamas", "You are not logged in"),
        ("old", "somebody/llamas", "does not know your token"),
        ("reader", "somebody/llamas", "You may not write to"),
        ("good", "llamas", "is no id of the Hugging Face Hub"),
        ("good", "some body/llamas", "is no id of the Hugging Face Hub"),
        ("good", "a/b/c", "is no id of the Hugging Face Hub"),
    ],
)
def test_what_the_hub_does_not_take_gets_one_sentence(hub, sphere, monkeypatch, capsys, token, repository, words):
    monkeypatch.setenv("HF_TOKEN", token)
    assert push(sphere, repository) == 2
    assert words in capsys.readouterr().err
    assert hub.files == {}


def test_without_network_and_when_the_hub_fails_nothing_is_left_half(hub, sphere, monkeypatch, capsys):
    hub.breaks_off = True
    assert push(sphere, "somebody/llamas") == 2
    assert "failed (" in capsys.readouterr().err and hub.files == {}
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert push(sphere, "somebody/llamas") == 2
    assert "Nothing is uploaded: http://127.0.0.1:9 does not answer" in capsys.readouterr().err
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert push(sphere, "somebody/llamas") == 2
    assert "HF_HUB_OFFLINE is set" in capsys.readouterr().err


def test_what_is_no_checkpoint_is_refused(hub, sphere, tmp_path, capsys):
    def refusal(folder: Path) -> str:
        assert push(folder, "somebody/llamas") == 2
        return capsys.readouterr().err

    assert "There is no folder" in refusal(tmp_path / "nowhere")
    sphere.rename(tmp_path / "best")
    assert f"push its checkpoint '{tmp_path / 'best'}'" in refusal(tmp_path)
    sphere = tmp_path / "best"
    weights = (sphere / "model.safetensors").read_bytes()
    (sphere / "model.safetensors").write_bytes(weights[:100])
    assert "is damaged" in refusal(sphere)
    (sphere / "model.safetensors").unlink()
    assert "there is no file" in refusal(sphere)
    assert hub.files == {}


def test_a_licence_that_nobody_knows_is_asked_for(hub, sphere, capsys):
    mapper = load_sphere(sphere, device="cpu")
    save_sphere(mapper, sphere, metadata={"imported_from": {"file": "200.pth"}})
    assert push(sphere, "somebody/llamas") == 2
    assert "say its licence with --licence" in capsys.readouterr().err
    mapper.settings = replace(mapper.settings, source=replace(SOURCE, backbone="local-dir:/home/me/vit"))
    save_sphere(mapper, sphere)
    assert push(sphere, "somebody/llamas") == 2
    assert "Nobody knows the licence" in capsys.readouterr().err
    assert push(sphere, "somebody/llamas", "--licence", "mit") == 0
    assert fields(hub, "somebody/llamas")[0]["license"] == "mit"
