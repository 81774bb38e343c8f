import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports huggingface_hub, which reads it once
# Tests run side by side on tiny models: more threads than one wait for each other longer than they compute.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import json

import pytest
from PIL import Image, ImageDraw


@pytest.fixture
def test_data() -> Path:
    """The folder with real images and weights (`data/`, `weights/`) that some tests need and the repository lacks."""
    if "SPHERECORR_TEST_DATA" not in os.environ:
        pytest.skip("SPHERECORR_TEST_DATA names no folder with data/ and weights/")
    return Path(os.environ["SPHERECORR_TEST_DATA"])


@pytest.fixture(scope="session")
def tiny_app(tmp_path_factory):
    """Settings of an app on a tiny random ViT, a tiny random sphere, and a pair of coloured blocks, both ways round."""
    import timm
    import torch
    from timm.models import save_for_hf

    from spherecorr.backbones import load_backbone
    from spherecorr.sphere.checkpoint import save_sphere
    from spherecorr.sphere.mapper import SphereMapper
    from spherecorr.sphere.settings import SphereSettings
    from spherecorr.ui.settings import AppSettings

    folder = tmp_path_factory.mktemp("app")
    torch.manual_seed(0)
    shape = {"depth": 2, "embed_dim": 64, "num_heads": 2, "img_size": 64, "num_classes": 0}
    model = timm.create_model("vit_tiny_patch16_224", **shape)
    save_for_hf(model, str(folder / "backbone"), model_args=shape, safe_serialization=True)
    backbone = f"local-dir:{folder / 'backbone'}"
    source = load_backbone(backbone, device="cpu").source
    torch.manual_seed(1)  # a sphere whose matches of the examples are not those of the features
    save_sphere(SphereMapper(SphereSettings(64, source=source, alpha=0.35)), folder / "sphere")

    examples = folder / "examples"
    examples.mkdir()
    for name, size, corner in (("a.png", (448, 336), (120, 90)), ("b.png", (300, 300), (80, 100))):
        image = Image.new("RGB", size, "#d8d8d8")
        draw = ImageDraw.Draw(image)
        for i, colour in enumerate(("red", "green", "blue", "orange", "purple", "black")):
            x, y = corner[0] + 48 * (i % 3), corner[1] + 48 * (i // 3)
            draw.rectangle((x, y, x + 47, y + 47), colour)
        image.save(examples / name)
    keypoints = [
        {"name": "red", "source": [140.5, 110.5], "target": [100.5, 120.5]},
        {"name": "blue", "source": [240.5, 110.5], "target": None},
    ]
    pair = {"id": "blocks", "title": "Blocks", "source": "a.png", "target": "b.png", "category": "blocks"}
    listing = [{**pair, "keypoints": keypoints, "show": ["red", "blue"]}]
    back = [{"name": "red", "source": [100.5, 120.5], "target": [140.5, 110.5]}]
    other = {"id": "back", "title": "Blocks, the other way round", "source": "b.png", "target": "a.png"}
    listing.append({**pair, **other, "keypoints": back, "show": ["red"]})
    (examples / "examples.json").write_text(json.dumps(listing))
    return AppSettings((backbone, "dinov2-s"), (str(folder / "sphere"),), examples, device="cpu")


@pytest.fixture(scope="module")
def app(tiny_app):
    """The tiny app, called without a browser."""
    from app_driver import App

    return App(tiny_app)


@pytest.fixture
def controls(tiny_app):
    """The control values with which the tiny app's page opens, but for alpha."""
    from spherecorr.ui.session import Controls

    return Controls(tiny_app.backbones[0], tiny_app.spheres[0])


@pytest.fixture(scope="session")
def playwright():
    """What drives browsers; there is one in a process."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def browser(playwright):
    """Headless Chromium without WebGL."""
    from explorer import CHROMIUM, FLAGS

    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def browser_3d(playwright):
    """Headless Chromium with WebGL."""
    from explorer import CHROMIUM, FLAGS_3D

    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS_3D)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def mini_demo():
    """An app that offers mini and the examples that ship, and is served."""
    from spherecorr.ui.blocks import build_demo, launch
    from spherecorr.ui.settings import AppSettings

    demo = build_demo(AppSettings(backbones=("mini",), spheres=("mini",), device="cpu"))
    launch(demo=demo, prevent_thread_lock=True)
    yield demo
    demo.close()


@pytest.fixture(scope="session")
def mini_address(mini_demo):
    """Its address."""
    return mini_demo.local_url.rstrip("/") + "/"
