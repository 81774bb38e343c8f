"""The endpoints for programs, over HTTP as programs call them."""

import base64
import importlib
import io
import json
import re
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest
from gradio.utils import get_upload_folder
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from spherecorr.sphere.checkpoint import load_sphere, save_sphere
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.ui.blocks import build_demo, launch
from spherecorr.ui.engine import Engine
from spherecorr.ui.failures import INTERNAL_ERROR
from spherecorr.ui.guard import MISFIT
from spherecorr.ui.records import match_records

HOW_TO_SEND = "Send images as uploaded files, in Python with gradio_client's handle_file(path)."
ENDPOINTS = {"/match", "/pca", "/sphere_map", "/backbones"}


@pytest.fixture(scope="module")
def settings(tiny_app, tmp_path_factory):
    """The tiny app with a second sphere, which was trained on a backbone that is not here."""
    folder = tmp_path_factory.mktemp("spheres") / "other"
    own = load_sphere(tiny_app.spheres[0]).settings
    save_sphere(SphereMapper(replace(own, source=replace(own.source, backbone="dinov2-s"), feature_dim=384)), folder)
    return replace(tiny_app, spheres=(str(folder), *tiny_app.spheres))


@pytest.fixture(scope="module")
def address(settings):
    demo = build_demo(settings)
    _, address, _ = launch(demo=demo, prevent_thread_lock=True)
    yield address.rstrip("/")
    demo.close()


@pytest.fixture(scope="module")
def client(address):
    return Client(address, verbose=False)


@pytest.fixture(scope="module")
def engine(settings):
    return Engine(settings)


def images(settings):
    return [handle_file(settings.examples / name) for name in ("a.png", "b.png")]


def uploaded(address, file: Path) -> dict:
    """A file sent as a form, as curl does."""
    head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{file.name}"\r\n\r\n'
    body = head.encode() + file.read_bytes() + b"\r\n--x--\r\n"
    path = post(f"{address}/gradio_api/upload", body, "multipart/form-data; boundary=x")[0]
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def post(url: str, body: bytes, kind: str = "application/json"):
    with urlopen(Request(url, body, {"Content-Type": kind}), timeout=20) as answer:
        return json.load(answer)


def call(address, endpoint: str, body: str) -> tuple[str, str]:
    """Call an endpoint by plain HTTP with a JSON text; returns how it ended, "complete" or "error", and the data."""
    event = post(f"{address}/gradio_api/call/{endpoint}", body.encode())["event_id"]
    with urlopen(f"{address}/gradio_api/call/{endpoint}/{event}", timeout=20) as answer:
        lines = answer.read().decode().strip().splitlines()
    return lines[-2].removeprefix("event: "), lines[-1].removeprefix("data: ")


# What they answer


def test_the_module_has_a_demo_and_only_the_named_endpoints_are_public(client):
    demo = importlib.import_module("app").demo
    visible = {d["api_name"] for d in demo.config["dependencies"] if d["api_visibility"] != "private"}
    assert {f"/{name}" for name in visible} == ENDPOINTS
    listed = client.view_api(return_format="dict", print_info=False)
    assert set(listed["named_endpoints"]) == ENDPOINTS and listed["unnamed_endpoints"] == {}
    kinds = {p["parameter_name"]: p["type"] for p in listed["named_endpoints"]["/match"]["parameters"]}
    assert kinds["resolution"]["enum"] == ["fast", "balanced", "fine"]
    assert kinds["points"]["items"]["items"] == {"type": "number"}


def test_match_gives_what_the_page_gives(client, engine, controls, settings):
    points = [[140.5, 110.5], [240.5, 110.5]]
    answer = client.predict(*images(settings), points, k=3, api_name="/match")
    advised = replace(controls, ranks=3, alpha=0.35)  # the fitting sphere's own alpha, since none was given
    pictures = [engine.open(settings.examples / name) for name in ("a.png", "b.png")]
    assert answer.pop("matches") == match_records(engine.match(*pictures, points, advised))
    assert answer == {
        "backbone": controls.backbone, "sphere": controls.sphere, "resolution": "fast", "foreground_only": True,
        "alpha": 0.35,
    }  # fmt: skip


def test_match_without_a_sphere_is_raw(client, settings):
    answer = client.predict(*images(settings), [[140.5, 110.5]], sphere="none", api_name="/match")
    (record,) = answer["matches"]
    assert answer["sphere"] == "none" and record["raw"] and record["sphere"] is record["fused"] is None


def test_pca_gives_a_picture_of_each_image(client, settings):
    source, target = client.predict(*images(settings), api_name="/pca")
    assert painted(source).size == (768, 576) and painted(target).size == (768, 768)


def test_sphere_map_gives_unit_vectors_where_the_framing_says(client, settings):
    answer = client.predict(images(settings)[0], api_name="/sphere_map")
    points, framing = np.array(answer["points"]), answer["framing"]
    assert points.shape == (21, 28, 3) and np.array(answer["foreground"]).shape == (21, 28)
    assert np.allclose(np.linalg.norm(points, axis=-1), 1, atol=2e-4)
    # The last column's centre lies half a patch before the right edge of the image of 448 pixels.
    column = ((27 + 0.5) * framing["patch"] - framing["offset"][0]) / framing["scale"][0]
    assert column == pytest.approx(440)
    assert painted(answer["picture"]).size == (768, 576)


def painted(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,"))))


def test_backbones_lists_the_menu_and_which_spheres_fit(client, settings):
    own, absent = client.predict(api_name="/backbones")
    other, fitting = settings.spheres
    assert own["name"] == settings.backbones[0] and own["here"] and own["spheres"] == [fitting]
    assert absent == {
        "name": "dinov2-s", "title": "DINOv2 ViT-S/14", "here": False, "megabytes": 88, "download_megabytes": 88,
        "licence": "Apache-2.0", "note": "", "spheres": [other],
        "resolutions": {"fast": 448, "balanced": 518, "fine": 840},
    }  # fmt: skip


def test_plain_http_may_leave_out_what_has_a_default(address, settings):
    files = [uploaded(address, settings.examples / name) for name in ("a.png", "b.png")]
    ended, data = call(address, "match", json.dumps({"data": [*files, [[140.5, 110.5]]]}))
    assert ended == "complete" and json.loads(data)[0]["alpha"] == 0.35
    ended, data = call(address, "match", '{"data": []}')
    assert (ended, json.loads(data)["error"]) == ("error", "Points must be a list of [x, y] pairs of numbers.")


def documented(page, address, settings):
    """The example of a page of the documentation that asks a running app, for this app and its pictures."""
    text = (Path(__file__).parent.parent / page).read_text(encoding="utf-8")
    code = re.search("```python\n(from gradio_client.*?)```", text, re.DOTALL)[1]
    code = code.replace("http://127.0.0.1:7860", address)
    for shipped, tiny in (("car-a.jpg", "a.png"), ("car-b.jpg", "b.png")):
        code = code.replace(f"examples/{shipped}", str(settings.examples / tiny))
    return code


def test_the_examples_of_the_documentation_run(address, settings):
    names = {}
    exec(documented("README.md", address, settings), names)
    assert len(names["answer"]["matches"][0]["fused"]) == 5
    exec(documented("docs/api.md", address, settings), names)
    assert len(names["answer"]["matches"][0]["fused"]) == 5
    assert names["source"].startswith("data:image/png;base64,") and len(names["places"]["points"]) == 36


# What they refuse

NUMBERS = ["NaN", "Infinity", "-1e999", "1" + "0" * 400, "true", "null", '"1"', "[]", "[[1]]", "{}"]


@pytest.mark.parametrize(
    ("field", "values", "words"),
    [
        ("points", [f"[[{number}, 1]]" for number in NUMBERS], "pairs of numbers"),
        ("points", ["null", "3", '"[[1, 2]]"', "{}", "[1, 2]", "[[1]]", "[[1, 2, 3]]", "[[[1, 2]]]"], "pairs of"),
        ("points", ["[]", json.dumps([[1, 1]] * 13), json.dumps([1] * 100_000)], "1 to 12 points"),
        ("points", ["[[9999, 1]]", "[[-1, 1]]", "[[1e300, 1]]"], "outside the image"),
        ("points", ["[" * 60 + "1" + "]" * 60], "nested more than"),
        ("alpha", [n for n in NUMBERS if n != "null"] + ["1.2", "-0.1"], "between 0 and 1"),
        ("k", [*NUMBERS, "0", "101", "1.5"], "whole number from 1 to 100"),
        ("resolution", [*NUMBERS, '"huge"', '""'], "Resolution is"),
        ("foreground_only", ["null", "0", '"false"', "[]", "NaN"], "true or false"),
        ("backbone", [*NUMBERS, '"other"', '"hf-hub:a/b"', '"local-dir:/etc"', '"diffusion:a/b"'], "Unknown backbone"),
        ("backbone", ['"mini+dinov2-s"', '"../../mini"', json.dumps("x" * 100_000)], "Unknown backbone"),
        ("backbone", ['"dinov2-s"'], "spherecorr download"),
        ("sphere", [*NUMBERS, '"a/b"', '"/etc/passwd"', '"evil.pth"', '"mini"', '"<b>x</b>"'], "Unknown sphere"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_each_field_is_checked_at_the_door(address, settings, field, values, words):
    files = [json.dumps(uploaded(address, settings.examples / name)) for name in ("a.png", "b.png")]
    names = ["points", "backbone", "sphere", "alpha", "k", "resolution", "foreground_only"]
    honest = dict(zip(names, ["[[10, 10]]", '""', '""', "null", "1", '"fast"', "true"], strict=True))
    for value in values:
        sent = ", ".join([*files, *({**honest, field: value}[name] for name in names)])
        ended, data = call(address, "match", f'{{"data": [{sent}]}}')
        said = json.loads(data)["error"]
        assert ended == "error" and words in said and len(said) < 600 and "\n" not in said, (value, said)


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("v2/match", '{"points": [[1, 1]]}'), ("v2/match", '{"fields": 1}'), ("v2/match", "[1]"), ("v2/other", "{}"),
        ("other", '{"data": []}'), ("match", "{}"), ("match", "["), ("match", "[" * 100_000),
        ("v2/pca", '{"source": NaN}'),
    ],
    ids=lambda value: value[:20],
)  # fmt: skip
def test_a_call_that_is_none_is_refused(address, route, body):
    with pytest.raises(HTTPError) as refused:
        post(f"{address}/gradio_api/call/{route}", body.encode())
    answer = refused.value.read().decode()
    assert refused.value.code in (400, 404, 422) and "Traceback" not in answer and len(answer) < 1000


def test_a_sphere_of_another_backbone_is_refused_by_name_and_not_taken_by_default(client, settings):
    with pytest.raises(AppError, match="takes features of 384 channels"):
        client.predict(*images(settings), [[10, 10]], sphere=settings.spheres[0], api_name="/match")
    with pytest.raises(AppError, match="No sphere is chosen"):
        client.predict(images(settings)[0], sphere="none", api_name="/sphere_map")


@pytest.mark.parametrize(
    "payload",
    [
        None, 7, "a.png", [], {}, {"path": None}, {"path": ["a.png"]}, {"path": "a\0.png"},
        {"path": "{examples}/a.png"}, {"path": "{uploads}/../etc/passwd"}, {"path": "file:///etc/passwd"},
        {"path": "{spy}/a.png"}, {"path": "{spy}/a.png", "url": "{spy}/a.png"}, {"url": "{spy}/a.png"},
        {"path": "https://example.invalid/a.png"}, {"path": "http://[bad"},
        {"path": "{spy}/gradio_api/file=/etc/passwd"},
        {"path": "{uploads}/x.png", "meta": 5}, {"path": "{uploads}/x.png", "meta": {"_type": []}},
        {"path": "{plotly}", "is_stream": True},
    ],
    ids=str,
)  # fmt: skip
def test_only_uploaded_files_are_read_and_nothing_is_fetched(address, settings, spy, payload):
    import plotly

    script = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"  # served, but not uploaded
    if isinstance(payload, dict):
        payload = {"meta": {"_type": "gradio.FileData"}, **payload}
    text = json.dumps(payload).replace("{spy}", spy.address).replace("{plotly}", str(script))
    text = text.replace("{examples}", str(settings.examples)).replace("{uploads}", get_upload_folder())
    for body in (f'{{"data": [{text}]}}', f'{{"data": [{text}, {text}, [[1, 1]]]}}'):
        ended, data = call(address, "match" if "[[1, 1]]" in body else "sphere_map", body)
        assert (ended, json.loads(data)["error"]) == ("error", HOW_TO_SEND)
    assert spy.asked == []


def test_the_pages_own_events_fetch_nothing_either(address, spy):
    """They are hidden from the API page, but anybody can send them."""
    demo = importlib.import_module("app").demo
    event = next(d for d in demo.config["dependencies"] if d["api_visibility"] == "private" and len(d["inputs"]) > 1)
    file = {"path": f"{spy.address}/a.png", "meta": {"_type": "gradio.FileData"}}
    body = {"data": [file] * len(event["inputs"]), "fn_index": event["id"], "session_hash": "x"}
    post(f"{address}/gradio_api/queue/join", json.dumps(body).encode())
    with urlopen(f"{address}/gradio_api/queue/data?session_hash=x", timeout=20) as answer:
        said = answer.read().decode()
    assert "uploaded files" in said and spy.asked == []
    ended, data = call(address, event["api_name"], '{"data": []}')
    assert (ended, json.loads(data)["error"]) == ("error", MISFIT)


def test_the_address_of_an_upload_stands_for_the_upload(address, settings):
    file = uploaded(address, settings.examples / "a.png")
    file["path"] = f"http://somewhere.invalid/gradio_api/file={file['path']}"
    ended, data = call(address, "sphere_map", json.dumps({"data": [file]}))
    assert ended == "complete" and json.loads(data)[0]["framing"]["image_size"] == [448, 336]


def test_a_fault_tells_programs_nothing_but_that_there_is_one(client, settings, monkeypatch, caplog):
    monkeypatch.setattr(Engine, "open", lambda *_: np.zeros(2) @ np.zeros(3))
    for endpoint, points in (("/match", [[[10, 10]]]), ("/pca", [])):
        with pytest.raises(AppError, match=INTERNAL_ERROR):
            client.predict(*images(settings), *points, api_name=endpoint)
    assert "Traceback" in caplog.text and "matmul" in caplog.text


class Spy(BaseHTTPRequestHandler):
    """A server on this machine that remembers who asked."""

    asked: ClassVar[list[str]] = []
    address: ClassVar[str]

    def do_GET(self):
        self.asked.append(self.path)
        self.send_error(404)

    do_HEAD = do_GET

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def spy():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Spy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Spy.address = f"http://127.0.0.1:{server.server_port}"
    yield Spy
    server.shutdown()
    server.server_close()
