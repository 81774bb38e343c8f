"""The documented commands for `dinov2-b` on SPair-71k, run on a tiny DINOv2 and a tiny dataset of the same layout."""

import json
import math
import shlex

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.models import save_for_hf

from spherecorr.cli import main
from spherecorr.sphere.checkpoint import load_sphere

PATCH, SIZE = 14, (112, 84)
SMALLER = ["--backbone", "local-dir:tiny", "--resolution", "56", "--steps", "20", "--batch", "4", "--device", "cpu"]
SMALLER += ["--log-every", "5", "--save-every", "5", "--validate-every", "10"]


def picture(azimuth: float) -> tuple[Image.Image, Image.Image, dict[str, list[float] | None]]:
    """A ball whose colour says which of its sides one sees, its mask, and the keypoints 0..3 around its middle."""
    across, down = np.meshgrid(np.linspace(-1.6, 1.6, SIZE[0]), np.linspace(-1.2, 1.2, SIZE[1]))
    towards = np.sqrt(np.clip(1 - across**2 - down**2, 0, 1))
    mask = across**2 + down**2 < 1
    angle = math.radians(azimuth)
    x, y = towards * math.cos(angle) - across * math.sin(angle), towards * math.sin(angle) + across * math.cos(angle)
    colours = np.where(mask[..., None], np.stack([x, y, -down], axis=-1) * 120 + 128, 128).astype(np.uint8)
    keypoints: dict[str, list[float] | None] = {str(i): None for i in range(30)}
    for i in range(4):
        turn = math.radians(90 * i) - angle
        if math.cos(turn) > 0.1:
            keypoints[str(i)] = [SIZE[0] / 2 + 33 * math.sin(turn), SIZE[1] / 2]
    return Image.fromarray(colours), Image.fromarray((mask * 255).astype(np.uint8)), keypoints


@pytest.fixture
def spair(tmp_path, monkeypatch):
    """`data/SPair-71k` with three cars and three buses in each split, in the current folder; and the tiny backbone."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "data" / "SPair-71k"
    (root / "Layout" / "large").mkdir(parents=True)
    for split, first in (("trn", 0), ("val", 3)):
        names = []
        for category in ("bus", "car"):
            for folder in ("JPEGImages", "ImageAnnotation", "Segmentation", "PairAnnotation"):
                (root / folder / (split if folder == "PairAnnotation" else category)).mkdir(parents=True, exist_ok=True)
            (tmp_path / "data/SPair-masks" / category).mkdir(parents=True, exist_ok=True)
            for number in range(first, first + 3):
                stem, bin_ = f"2008_{number:06}", (3 * number + (category == "car")) % 8
                image, mask, keypoints = picture(45 * bin_ + 22.5)
                image.save(root / f"JPEGImages/{category}/{stem}.jpg")
                mask.save(root / f"Segmentation/{category}/{stem}.png")
                mask.save(tmp_path / f"data/SPair-masks/{category}/{stem}.png")
                annotation = {
                    "filename": f"{stem}.jpg", "image_width": SIZE[0], "image_height": SIZE[1], "image_depth": 3,
                    "category": category, "bndbox": [21, 7, 91, 77], "kps": keypoints, "azimuth_id": bin_,
                }  # fmt: skip
                (root / f"ImageAnnotation/{category}/{stem}.json").write_text(json.dumps(annotation))
                other = f"2008_{first + (number - first + 1) % 3:06}"
                names.append(f"{len(names):06}-{stem}-{other}:{category}")
                pair = {"category": category, "src_imname": f"{stem}.jpg", "trg_imname": f"{other}.jpg"}
                (root / f"PairAnnotation/{split}/{names[-1]}.json").write_text(json.dumps(pair))
        (root / f"Layout/large/{split}.txt").write_text("\n".join(names))
    torch.manual_seed(0)
    shape = {"depth": 2, "embed_dim": 64, "num_heads": 2, "img_size": 56, "num_classes": 0}
    model = timm.create_model("vit_base_patch14_dinov2", **shape)
    save_for_hf(model, "tiny", model_args=shape, safe_serialization=True)
    return tmp_path


def documented(capsys) -> list[list[str]]:
    """The commands under `spherecorr train --help`."""
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    lines = capsys.readouterr().out.split("example:\n")[1].replace("\\\n", " ").strip().splitlines()
    return [shlex.split(line)[1:] for line in lines]


@pytest.mark.parametrize("index", [0, 1])
def test_the_documented_commands_run(spair, capsys, index):
    """Of an option given twice the last counts."""
    arguments = documented(capsys)[index]
    assert arguments[arguments.index("--backbone") + 1] == "dinov2-b" and "spair" in arguments
    assert main([*arguments, *SMALLER]) == 0
    out = capsys.readouterr().out
    run = spair / arguments[1]
    sphere = load_sphere(run / "last", device="cpu")
    assert sphere.settings.source.patch == PATCH and sphere.settings.categories == ("bus", "car")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "viewpoint" in line] == [5, 10, 15, 20]
    assert [line["step"] for line in lines if "validation_kap_fused" in line] == [10, 20]
    assert f"with the mapper to be used as --sphere {arguments[1]}/" in out and "kap_fused" in out
    config = json.loads((run / "config.json").read_text())
    live = "--live" in arguments
    assert config["data"]["live"] == live and (run / "features").exists() != live
    if live:  # the paper's run
        assert config["data"]["crop"] == "resized" and config["mapper"]["positions"] == "none"
        assert config["training"]["weights"]["viewpoint"] == 0.1 and config["training"]["schedule"] == "constant"
