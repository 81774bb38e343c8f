"""Published spheres: terms first, then fetched from a small server, checked, imported, and known by name."""

import hashlib
import io
import json
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from test_checkpoint import authors_sphere, authors_state
from test_download import Server, files_in, server  # noqa: F401 - a fixture

from spherecorr.backbones.vit import VitBackbone
from spherecorr.cli import main
from spherecorr.identity import FeatureSource
from spherecorr.matching.match import match
from spherecorr.pipelines.common import load_sphere_of
from spherecorr.pipelines.spheres import download_sphere, import_sphere
from spherecorr.sphere.checkpoint import CheckpointError, checkpoint_files, load_sphere
from spherecorr.sphere.mapper import SphereMismatchError
from spherecorr.sphere.public import PUBLIC_SPHERES, downloaded_spheres, public_folder
from spherecorr.ui.missing import present_spheres
from spherecorr.ui.settings import AppSettings

DIYSC = PUBLIC_SPHERES["diysc-spair"]
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 32026352\n"


def state_file(dim: int = 768, **changes) -> bytes:
    buffer = io.BytesIO()
    torch.save({**authors_state(dim), **changes}, buffer)
    return buffer.getvalue()


STATE = state_file()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def served(server: Server, cache):  # noqa: F811
    """A server with a mapper of random weights under the published one's name."""
    server.files = {"200.pth": STATE}
    return server


def command(server: Server, *more: str) -> list[str]:  # noqa: F811
    return ["download", "sphere", "diysc-spair", "--mirror", server.url, *more]


def answer(monkeypatch, text: str) -> list[str]:
    asked: list[str] = []
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or text)
    return asked


def test_terms_are_shown_and_accepted_before_anything_is_fetched(served, cache, monkeypatch, capsys):
    asked = answer(monkeypatch, "n")
    assert main(command(served)) == 2
    output = capsys.readouterr()
    assert f"from {served.url}/200.pth (size not known" in output.out
    assert "Terms: The repository is CC0-1.0, but" in output.out and "non-commercial use" in output.out
    assert "The terms are not accepted, so nothing is fetched." in output.err
    assert asked == ["Do you accept these terms? [y/N] "]
    assert served.asked == [] and not cache.exists() and downloaded_spheres() == ()

    def nobody(question):
        raise EOFError

    monkeypatch.setattr("builtins.input", nobody)  # not a terminal
    assert main(command(served)) == 2 and served.asked == [] and not cache.exists()


def test_an_accepted_sphere_is_known_by_its_name(served, cache, monkeypatch, capsys):
    answer(monkeypatch, "Yes")
    assert main(command(served)) == 0
    digest = hashlib.sha256(STATE).hexdigest()
    output = capsys.readouterr().out
    assert f"its SHA-256 is {digest}, which the checkpoint records" in output
    assert "to be used as --backbone dinov2-b --sphere diysc-spair" in output
    assert files_in(cache).keys() == {
        f"spherecorr--spheres/diysc-spair/{n}" for n in ("config.json", "model.safetensors")
    }

    mapper = load_sphere("diysc-spair", device="cpu")
    tokens = torch.randn(40, 768, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(mapper(tokens[None])[0], authors_sphere(authors_state(768), tokens), atol=1e-5, rtol=0)
    assert mapper.settings.source == FeatureSource("dinov2-b", 768, 14, 11, False, "dinov2")
    assert (mapper.settings.resolution, len(mapper.settings.categories)) == (840, 18)
    origin = json.loads((public_folder("diysc-spair") / "config.json").read_text())["imported_from"]
    assert origin == {
        "file": "200.pth",
        "name": "diysc-spair",
        "url": f"{served.url}/200.pth",
        "sha256": digest,
        "terms": DIYSC.terms,
    }
    assert load_sphere_of("dinov2-b", "diysc-spair", "cpu").settings == mapper.settings
    assert len(checkpoint_files("diysc-spair")) == 2
    assert main(command(served)) == 0  # what is here is not fetched again
    assert "is there, so nothing is fetched" in capsys.readouterr().out and len(served.asked) == 1


def test_a_download_that_broke_off_is_gone_on_with(served, cache, capsys):
    served.breaks_after = 1_000_000
    assert main(command(served, "--accept")) == 2
    assert "broke off after 1,000,000 of" in capsys.readouterr().err
    assert downloaded_spheres() == ()
    served.breaks_after = None
    assert main(command(served, "--accept")) == 0
    assert [asked for _, asked in served.asked] == [None, "bytes=999999-"]
    assert downloaded_spheres() == ("diysc-spair",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (POINTER, "'200.pth' is a pointer of Git LFS, not the file of 32.0 MB it stands for. Fetch the file itself"),
        (STATE[:100_000], "200.pth' is damaged, or holds more than a state dict"),
        (b"<html>Sign in</html>", "200.pth' is damaged, or holds more than a state dict"),
        (state_file(32), "it takes features of 32 channels, and those of dinov2-b have 768"),
        (state_file(**{"sphere_mapper.3.bias": torch.zeros(2)}), r"head.bias is (2,), not (3,)"),
        (state_file(**{"sphere_mapper.4.bias": torch.zeros(2)}), "sphere_mapper.4.bias is unknown"),
    ],
    ids=["pointer", "cut", "page", "channels", "shape", "key"],
)
def test_another_file_is_refused_and_not_kept(served, cache, capsys, content, message):
    served.files["200.pth"] = content
    assert main(command(served, "--accept")) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert message in error
    assert files_in(cache) == {}
    served.files["200.pth"] = STATE  # mended: the same command fetches it anew
    assert main(command(served, "--accept")) == 0


def test_a_known_digest_and_size_are_checked(served, cache):
    known = replace(DIYSC, sha256=hashlib.sha256(STATE).hexdigest(), megabytes=len(STATE) / 1e6)
    assert download_sphere(known, mirror=served.url) == public_folder("diysc-spair")
    with pytest.raises(CheckpointError, match=r"its SHA-256 is [0-9a-f]{64}, not 0123\."):
        download_sphere(replace(known, sha256="0123"), mirror=served.url)
    assert load_sphere("diysc-spair", device="cpu")  # what was there is there still
    with pytest.raises(Exception, match=r"instead of about 320: it is another file"):
        download_sphere(replace(known, megabytes=320), mirror=served.url)


def test_a_file_from_a_drive_is_fetched_by_hand(cache, tmp_path, capsys):
    assert main(["download", "sphere", "jamaisvu", "--accept"]) == 2
    error = capsys.readouterr().err
    assert "save it from https://drive.google.com/file/d/1OmjT7lubOBPtIllWVTFCfEszDlfCJ_j_/view by hand" in error
    assert "`spherecorr download sphere jamaisvu --file FILE`" in error
    (tmp_path / "by-hand.pth").write_bytes(STATE)
    assert main(["download", "sphere", "jamaisvu", "--accept", "--file", str(tmp_path / "by-hand.pth")]) == 0
    assert load_sphere("jamaisvu").settings.resolution == 840
    assert (tmp_path / "by-hand.pth").read_bytes() == STATE
    assert main(["download", "sphere", "gsa", "--accept", "--file", str(tmp_path / "none.pth")]) == 2
    assert "There is no file" in capsys.readouterr().err


def test_the_list_says_what_is_here(served, cache, capsys):
    assert main(command(served, "--accept")) == 0
    capsys.readouterr()
    assert main(["download", "sphere"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == list(PUBLIC_SPHERES)
    assert [line.endswith("; is here") for line in lines] == [name == "diysc-spair" for name in PUBLIC_SPHERES]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sphere", "moon"], "There is no published sphere 'moon', only diysc-spair, gsa, jamaisvu."),
        (["sphere", "gsa", "--to", "x"], "Spheres go beside the Hub's cache, without --to."),
        (["spair", "gsa"], "are for spheres: spherecorr download sphere NAME"),
        (["spair", "--accept"], "are for spheres: spherecorr download sphere NAME"),
    ],
)
def test_mistakes_get_one_line(cache, capsys, arguments, message):
    assert main(["download", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_sphere_that_is_not_here_says_how_to_fetch_it(cache):
    with pytest.raises(
        CheckpointError, match=r"'gsa' is not on this machine. Fetch it with `spherecorr download sphere"
    ):
        load_sphere("gsa")
    assert checkpoint_files("gsa") == []


def test_the_menu_of_the_app_knows_what_was_downloaded(served, cache):
    offered = AppSettings().spheres
    assert present_spheres(offered) == ("mini",)
    download_sphere(DIYSC, mirror=served.url)
    assert present_spheres(offered) == ("mini", "diysc-spair")


def test_it_maps_and_matches_features_of_dinov2_and_no_others(cache, tmp_path):
    """A ViT of DINOv2's depth, patch and channels, with random weights and hardly an MLP."""
    (tmp_path / "200.pth").write_bytes(STATE)
    import_sphere(DIYSC, tmp_path / "200.pth")
    mapper = load_sphere("diysc-spair", device="cpu")
    torch.manual_seed(0)
    model = timm.create_model(
        "vit_base_patch14_dinov2", img_size=70, mlp_ratio=1 / 96, num_classes=0, dynamic_img_size=True
    )
    backbone = VitBackbone(model, "dinov2-b", position_embedding="dinov2", device="cpu")
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (100, 140, 3), dtype=np.uint8))
    features = backbone(picture, resolution=140)
    result = match(features, features, [(21, 15), (91, 55)], sphere=mapper)
    np.testing.assert_allclose(result.fused.xy[:, 0], [(25, 15), (95, 55)], atol=8)  # itself, to the cell
    other = VitBackbone(model, "dinov2-b", norm=True, position_embedding="dinov2", device="cpu")
    with pytest.raises(SphereMismatchError, match="norm False"):
        mapper.check(other.source)


def test_the_registry_states_what_is_shown():
    for name, sphere in PUBLIC_SPHERES.items():
        assert name == sphere.name and sphere.page.startswith("https://") and not sphere.terms.endswith(".")
        assert bool(sphere.url) != bool(sphere.how)
        assert sphere.source.backbone == "dinov2-b" and sphere.resolution % sphere.source.patch == 0
