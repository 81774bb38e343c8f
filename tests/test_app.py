"""The app as a whole: files that change on disk while it runs. Its endpoints for programs are in test_api.py."""

import weakref
from dataclasses import replace

import pytest
from app_driver import App
from PIL import Image

from spherecorr.backbones import load_backbone
from spherecorr.errors import SpherecorrError
from spherecorr.ui.drawing import COMPUTING
from spherecorr.ui.engine import Engine
from spherecorr.ui.session import Controls

# Files that are replaced while the app runs


@pytest.fixture
def own_app(tiny_app, tmp_path):
    """An app whose backbone and sphere may be replaced on disk."""
    import shutil

    shutil.copytree(tiny_app.backbones[0].removeprefix("local-dir:"), tmp_path / "backbone")
    shutil.copytree(tiny_app.spheres[0], tmp_path / "sphere")
    return App(
        replace(tiny_app, backbones=(f"local-dir:{tmp_path / 'backbone'}",), spheres=(str(tmp_path / "sphere"),))
    )


def test_other_weights_under_the_same_name_give_other_features(own_app, tmp_path):
    import timm
    import torch
    from timm.models import save_for_hf

    controls = Controls(own_app.engine.settings.backbones[0])
    session = own_app.open(controls)
    picture = session.visit.source
    old = own_app.engine.features(picture, controls)
    assert own_app.engine.features(picture, controls) is old

    torch.manual_seed(1)
    shape = {"depth": 2, "embed_dim": 64, "num_heads": 2, "img_size": 64, "num_classes": 0}
    model = timm.create_model("vit_tiny_patch16_224", **shape)
    save_for_hf(model, str(tmp_path / "backbone"), model_args=shape, safe_serialization=True)
    assert COMPUTING in own_app.draw(session, controls)["status"]
    new = own_app.engine.features(picture, controls)
    assert not torch.allclose(old.features, new.features)
    fresh = App(own_app.engine.settings).engine
    assert torch.equal(new.features, fresh.features(picture, controls).features)


def test_another_sphere_under_the_same_name_gives_another_sphere_map(own_app, tmp_path):
    import torch

    from spherecorr.sphere.checkpoint import load_sphere, save_sphere
    from spherecorr.sphere.mapper import SphereMapper

    # The shared sphere was made for the shared backbone's name.
    settings = replace(load_sphere(tmp_path / "sphere").settings, source=None)
    save_sphere(SphereMapper(settings), tmp_path / "sphere")
    controls = Controls(own_app.engine.settings.backbones[0], own_app.engine.settings.spheres[0])
    session = own_app.open(controls)
    picture = session.visit.source
    old = own_app.engine.sphere_map(picture, controls)
    assert own_app.engine.sphere_map(picture, controls) is old
    torch.manual_seed(1)
    save_sphere(SphereMapper(settings), tmp_path / "sphere")
    assert not torch.allclose(old.points, own_app.engine.sphere_map(picture, controls).points)


def test_a_picture_that_was_overwritten_is_not_taken_for_the_old_one(app, controls, tmp_path):
    path = tmp_path / "picture.png"
    Image.new("RGB", (100, 100), "red").save(path)
    picture = app.engine.open(path)
    Image.new("RGB", (100, 120), "blue").save(path)
    with pytest.raises(SpherecorrError, match=r"'picture.png' has changed since it was opened"):
        app.engine.features(picture, controls)


def test_a_picture_that_is_gone_asks_for_it_again(tiny_app, controls, tmp_path):
    engine = Engine(tiny_app)
    path = tmp_path / "gone.png"
    Image.new("RGB", (100, 100)).save(path)
    picture = engine.open(path)
    path.unlink()
    with pytest.raises(SpherecorrError, match=r"'gone.png' is no longer held. Upload it again."):
        engine.features(picture, controls)


def test_a_large_backbone_is_gone_before_another_is_loaded(tiny_app, controls, monkeypatch):
    monkeypatch.setattr("spherecorr.ui.engine.MODEL_BYTES_KEPT", 1)
    engine = Engine(replace(tiny_app, backbones=(*tiny_app.backbones, "mini")))
    first = weakref.ref(engine.backbone(controls).model)
    assert first() is engine.backbone(controls).model
    seen = []

    def load(name, **options):
        seen.append(first())
        return load_backbone(name, **options)

    monkeypatch.setattr("spherecorr.ui.engine.load_backbone", load)
    assert engine.backbone(replace(controls, backbone="mini")).name == "mini"
    assert seen == [None]


def test_weights_that_are_not_here_are_no_download_but_a_word_on_it(tiny_app, controls, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    engine = Engine(replace(tiny_app, backbones=("sd15",)))
    words = (
        r"`spherecorr download sd15`\. Stable .* Licence: CreativeML OpenRAIL-M\. About 2,279 MB .* GPU recommended\."
    )
    with pytest.raises(SpherecorrError, match=words):
        engine.backbone(replace(controls, backbone="sd15"))
