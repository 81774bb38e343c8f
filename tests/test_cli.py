"""The command line, run in this process on a tiny real ViT and a tiny random mapper."""

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.models import save_for_hf

from spherecorr.backbones import load_backbone
from spherecorr.cli import main
from spherecorr.images import load_image
from spherecorr.matching.match import match
from spherecorr.sphere.checkpoint import load_sphere, save_sphere
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.sphere.settings import SphereSettings
from spherecorr.ui.settings import AppSettings

POINTS = ["--point", "20,30", "--point", "70.5,40"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with two pictures, a tiny backbone and a mapper for it."""
    folder = tmp_path_factory.mktemp("cli")
    rng = np.random.default_rng(0)
    for name, size in [("left", (64, 96, 3)), ("right", (80, 80, 3))]:
        Image.fromarray(rng.integers(0, 256, size=size, dtype=np.uint8)).save(folder / f"{name}.png")
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", depth=2, embed_dim=32, num_heads=2, img_size=64, num_classes=2)
    arguments = {"depth": 2, "embed_dim": 32, "num_heads": 2, "img_size": 64}
    save_for_hf(model, str(folder / "backbone"), model_args=arguments, safe_serialization=True)
    source = load_backbone(f"local-dir:{folder / 'backbone'}").source
    save_sphere(SphereMapper(SphereSettings(32, source=source, alpha=0.3)).eval(), folder / "sphere")
    return folder


@pytest.fixture
def run(folder, capsys):
    """Run `spherecorr match` on the two pictures; returns exit code, stdout and stderr."""

    def run(*arguments: str, backbone: str | None = "backbone", images=("left.png", "right.png")):
        chosen = [] if backbone is None else ["--backbone", f"local-dir:{folder / backbone}"]
        paths = [str(folder / image) for image in images]
        try:
            code = main(["match", *paths, "--resolution", "96", "--device", "cpu", *chosen, *arguments])
        except SystemExit as leave:  # argparse leaves this way
            code = leave.code
        return code, *capsys.readouterr()

    return run


def test_the_command_gives_what_the_package_gives(folder, run, tmp_path):
    out = tmp_path / "new folder" / "matches.json"
    code, _, _ = run(*POINTS, "--sphere", str(folder / "sphere"), "--topk", "3", "--out", str(out))
    assert code == 0
    document = json.loads(out.read_text())

    backbone = load_backbone(f"local-dir:{folder / 'backbone'}", device="cpu")
    left, right = (backbone(folder / name, resolution=96) for name in ("left.png", "right.png"))
    sphere = load_sphere(folder / "sphere", device="cpu")
    expected = match(left, right, [(20, 30), (70.5, 40)], sphere=sphere, k=3)
    for i, record in enumerate(document["matches"]):
        assert record["source"] == expected.points[i].tolist()
        for kind in ("raw", "sphere", "fused"):
            ranked = getattr(expected, kind)
            found = [m["xy"] for m in record[kind]]
            np.testing.assert_allclose(found, ranked.xy[i], atol=0.006)  # written with two decimals
        assert record["visible"] == expected.visible[i]

    assert document["source"] == {"path": str(folder / "left.png"), "size": [96, 64]}
    assert document["settings"]["alpha"] == 0.3  # what the mapper recommends
    assert document["settings"]["topk"] == 3
    assert document["settings"]["features"]["dim"] == 32
    assert document["settings"]["input_size"] == [96, 64]
    assert set(document["versions"]) == {"python", "spherecorr", "torch", "timm", "numpy"}
    assert list(out.parent.iterdir()) == [out]  # no temporary file is left


def test_an_image_matched_with_itself_prints_its_own_points(run):
    code, out, _ = run("--point", "24,40", images=("left.png", "left.png"))
    assert code == 0
    header, line = out.splitlines()
    assert header.split() == ["source", "raw"]  # no sphere was asked for, and this backbone has none of its own
    assert line.split() == ["1", "24.0,", "40.0", "24.0,", "40.0", "1.00"]  # (24, 40) is a cell's centre


def test_without_a_sphere_the_file_says_none(run, tmp_path):
    assert run(*POINTS, "--sphere", "none", "--out", str(tmp_path / "m.json"))[0] == 0
    document = json.loads((tmp_path / "m.json").read_text())
    assert document["settings"]["sphere"] is None and document["settings"]["alpha"] is None
    assert document["matches"][0]["fused"] is None


def test_a_sphere_brings_its_backbone_along(folder, run):
    code, out, _ = run(*POINTS, "--sphere", str(folder / "sphere"), backbone=None)
    assert code == 0 and "fused" in out


def test_alpha_chooses_the_branch(folder, run, tmp_path):
    for alpha, kind in [("0", "raw"), ("1", "sphere")]:
        out = tmp_path / "m.json"
        run(*POINTS, "--sphere", str(folder / "sphere"), "--alpha", alpha, "--out", str(out))
        for record in json.loads(out.read_text())["matches"]:
            assert record["fused"] == record[kind]


def test_an_object_that_cannot_be_told_is_said(folder, run, tmp_path):
    source = load_sphere(folder / "sphere", device="cpu").settings.source
    mapper = SphereMapper(SphereSettings(32, source=source, background="head"))
    for parameter in mapper.foreground_head.parameters():
        torch.nn.init.zeros_(parameter)  # every patch is as likely the object's as not
    save_sphere(mapper, tmp_path / "undecided")
    arguments = (*POINTS, "--sphere", str(tmp_path / "undecided"), "--out", str(tmp_path / "matches.json"))
    _, out, _ = run(*arguments, "--candidates", "foreground")
    sentence = "The object could not be told from the background in the target; all of the picture is matched."
    assert out.splitlines()[-2] == sentence
    assert json.loads((tmp_path / "matches.json").read_text())["notes"] == [sentence]
    _, out, _ = run(*arguments)  # nobody asked where the object is
    assert sentence not in out


def test_points_are_pixels_of_the_upright_image(folder, run, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees: 96 x 64 stored is 64 x 96 upright
    load_image(folder / "left.png").save(folder / "turned.png", exif=exif)
    assert run("--point", "60,90", images=("turned.png", "right.png"))[0] == 0
    code, _, error = run("--point", "90,60", images=("turned.png", "right.png"))
    assert (code, error) == (2, "spherecorr: Point (90, 60) lies outside the image, which is 64 x 96 pixels.\n")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_figure(folder, run, tmp_path, suffix):
    path = tmp_path / f"matches.{suffix}"
    assert run(*POINTS, "--sphere", str(folder / "sphere"), "--figure", str(path))[0] == 0
    picture = Image.open(path)
    assert picture.format == {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}[suffix]
    assert picture.width > 2 * picture.height  # four panels side by side


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--point", "10"], "a point is written as X,Y, such as 212,153; got '10'"),
        (["--point", "10,20,30"], "a point is written as X,Y"),
        (["--point", "97,10"], "Point (97, 10) lies outside the image, which is 96 x 64 pixels."),
        (["--point", "nan,10"], "not a finite number"),
        ([*POINTS, "--alpha", "0.5"], "there is no sphere for this backbone"),
        ([*POINTS, "--topk", "0"], "at least 1; got 0"),
        ([*POINTS, "--soft-window", "-1"], "at least 0; got -1"),
        ([*POINTS, "--resolution", "8"], "Resolution 8 is smaller than one patch"),
        ([*POINTS, "--device", "abacus"], "There is no device 'abacus'"),
        ([*POINTS, "--figure", "matches.gif"], "must end in .png, .jpg, .jpeg, .webp; got 'matches.gif'"),
        ([*POINTS, "--sphere", "nowhere"], "nowhere"),
        ([*POINTS, "--backbone", "dinov2-xxl"], "There is no backbone 'dinov2-xxl'"),
        ([*POINTS, "--colour", "red"], "unrecognized arguments: --colour red"),
        ([], "the following arguments are required: --point"),
    ],
)
def test_mistakes_are_one_line_and_code_2(run, arguments, message):
    code, out, error = run(*arguments)
    assert code == 2 and out == ""
    assert error.startswith("spherecorr: ") and error.count("\n") == 1
    assert message in error


def test_alpha_outside_its_range(folder, run):
    code, _, error = run(*POINTS, "--sphere", str(folder / "sphere"), "--alpha", "1.5")
    assert code == 2 and "between 0 and 1; got 1.5" in error


def test_a_sphere_of_another_backbone(folder, run):
    save_sphere(SphereMapper(SphereSettings(64)), folder / "other-sphere")
    code, _, error = run(*POINTS, "--sphere", str(folder / "other-sphere"))
    assert code == 2 and "takes features of 64 channels" in error and error.count("\n") == 1


def test_broken_images(folder, run):
    (folder / "text.png").write_text("no picture")
    for images, message in [
        (("text.png", "right.png"), "'text.png' is not an image that can be read"),
        (("left.png", "gone.png"), "There is no image file"),
    ]:
        code, _, error = run(*POINTS, images=images)
        assert code == 2 and message in error and error.count("\n") == 1


def test_a_failed_run_leaves_an_older_result_alone(run, tmp_path):
    out = tmp_path / "m.json"
    out.write_text("older")
    assert run("--point", "97,10", "--out", str(out))[0] == 2
    assert out.read_text() == "older" and list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("command", ["app", "match"])
def test_each_help_closes_with_an_example(command, capsys):
    with pytest.raises(SystemExit) as leave:
        main([command, "--help"])
    assert leave.value.code == 0
    example = capsys.readouterr().out.split("example:\n")[1]
    assert example.strip().startswith(f"spherecorr {command} ")


@pytest.fixture
def launched(monkeypatch):
    """What `spherecorr app` would serve: the arguments of `launch`, which would not return."""
    calls: list[dict] = []
    monkeypatch.setattr("spherecorr.ui.blocks.launch", lambda **arguments: calls.append(arguments))
    return calls


def test_the_app_offers_what_is_asked_for(launched, tmp_path):
    (tmp_path / "examples.json").write_text("[]")
    models = ["--backbone", "mini", "--backbone", "dinov2-b", "--sphere", "a", "--sphere", "b", "--device", "cpu"]
    related = ["--asic", "atlases", "--deil", "single"]
    assert main(["app", "--port", "7000", *models, *related, "--examples", str(tmp_path)]) == 0
    mappers = {"asic": Path("atlases"), "deil": Path("single")}
    expected = AppSettings(("mini", "dinov2-b"), ("a", "b"), tmp_path, "cpu", **mappers)
    assert launched == [{"host": None, "port": 7000, "share": False, "settings": expected, "mcp": False}]


def test_the_app_alone_offers_all_that_ships(launched):
    assert main(["app"]) == 0
    assert launched[0]["settings"] == AppSettings()


def test_examples_have_to_be_listed(launched, tmp_path, capsys):
    assert main(["app", "--examples", str(tmp_path)]) == 2
    assert f"There is no examples.json in '{tmp_path}'" in capsys.readouterr().err and not launched


def test_no_command_is_a_mistake_too(capsys):
    with pytest.raises(SystemExit) as leave:
        main([])
    assert leave.value.code == 2 and capsys.readouterr().err.startswith("spherecorr: ")


def test_cells_are_finer_at_a_higher_resolution(run, tmp_path):
    """`--resolution` reaches the backbone: the match lies on the finer grid."""
    out = tmp_path / "m.json"
    arguments = ["--point", "24,40", "--out", str(out), "--resolution"]
    grids = []
    for resolution in ("96", "192"):
        run(*arguments, resolution)
        grids.append(json.loads(out.read_text())["settings"]["input_size"])
    assert grids == [[96, 64], [192, 128]]


def test_every_setting_of_the_matcher_is_an_option(folder, run, tmp_path):
    out = tmp_path / "m.json"
    sphere = ["--sphere", str(folder / "sphere"), "--out", str(out)]
    chosen = ["--fusion", "l2", "--candidates", "foreground", "--temperature", "0.1", "--soft-window", "2"]
    assert run(*POINTS, *sphere, *chosen)[0] == 0
    settings = json.loads(out.read_text())["settings"]
    expected = {"fusion": "l2", "candidates": "foreground", "temperature": 0.1, "soft_window": 2}
    expected |= {"topk": 1, "alpha": 0.3}  # not given: the default, and what the sphere recommends
    assert {name: settings[name] for name in expected} == expected


def test_soft_window_moves_the_match_off_the_grid(run, tmp_path):
    out = tmp_path / "m.json"
    on_grid = []
    for arguments in ([], ["--soft-window", "5"]):
        run("--point", "24,40", "--out", str(out), *arguments, images=("right.png", "left.png"))
        xy = json.loads(out.read_text())["matches"][0]["raw"][0]["xy"]
        on_grid.append([value % 16 == 8 for value in xy])  # the target's cells have 16 pixels, their centres at 8
    assert on_grid == [[True, True], [False, False]]
