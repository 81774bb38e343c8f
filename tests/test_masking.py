"""Masks by a detector: which detection is the object, a real small Mask R-CNN, resuming, masks as readers see them."""

import json
import math
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import resnet18
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor

from spherecorr.cli import main
from spherecorr.data.records import ImageRecord
from spherecorr.masking import Detections, MaskError, choose, detector_of, load_detector, make_masks, overlap

LEFT, RIGHT = (0.0, 0.0, 30.0, 48.0), (34.0, 0.0, 64.0, 48.0)


def found(*objects: tuple[str, float, tuple]) -> Detections:
    """Detections of name, score and box in an image of 64 x 48 pixels; the masks fill the boxes."""
    names, scores, boxes = zip(*objects, strict=True) if objects else ((), (), ())
    masks = np.zeros((len(names), 48, 64), bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[int(y0) : int(y1), int(x0) : int(x1)] = True
    return Detections(list(names), np.array(scores), np.array(boxes).reshape(-1, 4), masks)


# Which detection


def test_the_object_is_the_one_under_the_annotated_box():
    two_cars = found(("car", 0.99, LEFT), ("car", 0.95, RIGHT))
    assert choose(two_cars, "car", (36, 2, 60, 44)) == 1
    assert choose(two_cars, "car", (36, 2, 60, 44), "first") == 0  # as the paper's code
    assert choose(two_cars, "car", None) == 0  # without a box the best score


def test_only_sure_detections_of_the_category_count():
    assert choose(found(("truck", 0.99, LEFT), ("car", 0.9, LEFT)), "car", LEFT) is None  # 0.9 is not above 0.9
    assert choose(found(("truck", 0.99, LEFT), ("car", 0.91, LEFT)), "car", LEFT) == 1
    assert choose(found(), "car", LEFT) is None
    # A sure car elsewhere is another car, but the paper's code takes it.
    assert choose(found(("car", 0.99, RIGHT)), "car", LEFT) is None
    assert choose(found(("car", 0.99, RIGHT)), "car", LEFT, "first") == 0


def test_the_first_is_the_highest_score_in_any_order():
    assert choose(found(("cat", 0.92, LEFT), ("cat", 0.98, RIGHT)), "cat", LEFT, "first") == 1


@pytest.mark.parametrize(
    ("ours", "cocos"),
    [("aeroplane", "airplane"), ("motorbike", "motorcycle"), ("pottedplant", "potted plant"), ("tvmonitor", "tv")],
)
def test_categories_have_other_names_in_coco(ours, cocos):
    assert choose(found((cocos, 0.99, LEFT)), ours, LEFT) == 0


def test_overlap():
    assert overlap(LEFT, LEFT) == 1 and overlap(LEFT, RIGHT) == 0
    assert math.isclose(overlap((0, 0, 2, 1), (1, 0, 3, 1)), 1 / 3)


# A real Mask R-CNN, small and untrained


@pytest.fixture(scope="module")
def untrained() -> MaskRCNN:
    torch.manual_seed(0)
    backbone = _resnet_fpn_extractor(resnet18(weights=None), trainable_layers=0)
    return MaskRCNN(backbone, num_classes=3, min_size=64, max_size=64, box_detections_per_img=5)


def test_an_untrained_detector_is_sure_of_nothing(untrained):
    detections = detector_of(untrained, ["__background__", "car", "dog"])(Image.new("RGB", (64, 48)))
    assert detections.names == [] and detections.masks.shape == (0, 48, 64)


def test_a_detector_that_sees_cars_everywhere(untrained):
    """By its last layer's bias; all else is the real thing."""
    predictor, mask_predictor = untrained.roi_heads.box_predictor, untrained.roi_heads.mask_predictor
    with torch.no_grad():
        predictor.cls_score.bias[1] = 30.0
        mask_predictor.mask_fcn_logits.bias[1] = 30.0
    try:
        image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8))
        detections = detector_of(untrained, ["__background__", "car", "dog"])(image)
    finally:
        with torch.no_grad():
            predictor.cls_score.bias[1] = mask_predictor.mask_fcn_logits.bias[1] = 0.0
    assert detections.names and set(detections.names) == {"car"} and (detections.scores > 0.9).all()
    assert detections.masks.dtype == bool and detections.masks.shape[1:] == (48, 64)
    for box, mask in zip(detections.boxes, detections.masks, strict=True):
        rows, columns = np.nonzero(mask)
        # The mask fills its box; torchvision pastes it in whole pixels with a rim, hence the 2.
        filled = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        np.testing.assert_allclose(filled, box, atol=2)


def test_real_weights_that_cannot_be_had_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(urllib.request, "_opener", None)  # one that an earlier test made knows no proxies
    for proxy in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")  # where nobody listens
    with pytest.raises(MaskError, match=r"weights of Mask R-CNN cannot be downloaded from https://\S+ \(.*refused"):
        load_detector("cpu")


# A folder of masks


@pytest.fixture
def photos(tmp_path):
    """A folder of three cars, the second with a mask of its own, and their records."""
    rows = ["image,category,azimuth,mask"]
    for i, name in enumerate("abc"):
        Image.new("RGB", (64, 48), (i, 0, 0)).save(tmp_path / f"{name}.png")
        rows.append(f"{name}.png,car,0,{'own.png' if name == 'b' else ''}")
    Image.fromarray((np.arange(64)[None] < 20).repeat(48, 0).astype(np.uint8)).save(tmp_path / "own.png")
    (tmp_path / "viewpoints.csv").write_text("\n".join(rows))
    masks = {"a": None, "b": tmp_path / "own.png", "c": None}
    return [
        ImageRecord(f"car/{name}", tmp_path / f"{name}.png", (64, 48), "car", None, {}, azimuth=0.0, mask=mask)
        for name, mask in masks.items()
    ]


class Detector:
    """Sees a car in the first picture, and counts how often it is asked."""

    def __init__(self):
        self.asked = 0

    def __call__(self, image: Image.Image) -> Detections:
        self.asked += 1
        return found(("car", 0.99, LEFT)) if image.getpixel((0, 0))[0] == 0 else found()


def read(folder: Path, name: str) -> np.ndarray:
    return np.asarray(Image.open(folder / f"car/{name}.png"))


def test_a_detected_mask_or_the_datasets_own_or_none(photos, tmp_path):
    out = tmp_path / "masks"
    assert make_masks(photos, Detector(), out) == {"detection": 1, "own": 1, "none": 1}
    assert set(np.unique(read(out, "a"))) == {0, 255}
    assert np.array_equal(read(out, "a") > 0, found(("car", 0.99, LEFT)).masks[0])
    assert np.array_equal(read(out, "b") > 0, photos[1].load_mask())
    assert not (out / "car/c.png").exists()
    settings, *lines = [json.loads(line) for line in (out / "masks.jsonl").read_text().splitlines()]
    assert settings["rule"] == "overlap" and settings["score"] == 0.9
    assert lines == [
        {"id": "car/a", "mask": "detection", "score": 0.99},
        {"id": "car/b", "mask": "own"},
        {"id": "car/c", "mask": "none"},
    ]


def test_a_stopped_run_goes_on_and_counts_everything(photos, tmp_path):
    out, detector = tmp_path / "masks", Detector()
    make_masks(photos[:2], detector, out)
    log = out / "masks.jsonl"
    log.write_text(log.read_text()[:-5])  # killed while it wrote the second line
    assert make_masks(photos, detector, out) == {"detection": 1, "own": 1, "none": 1}
    assert detector.asked == 2 + 2 and len(log.read_text().splitlines()) == 4
    make_masks(photos, detector, out)
    assert detector.asked == 4
    with pytest.raises(MaskError, match=r"were made with other settings \(see .*masks\.jsonl\); name another folder"):
        make_masks(photos, detector, out, "first")


def test_a_full_disk_loses_nothing(photos, tmp_path):
    out = tmp_path / "masks"
    make_masks(photos[:1], Detector(), out)
    (out / "car/b.png.partial").symlink_to("/dev/full")
    with pytest.raises(MaskError, match=r"masks.*' cannot be written \(No space left on device\)"):
        make_masks(photos, Detector(), out)
    detector = Detector()
    assert make_masks(photos, detector, out)["own"] == 1 and detector.asked == 2


def test_the_command_and_what_readers_see(photos, tmp_path, monkeypatch, capsys):
    out = tmp_path.parent / f"{tmp_path.name}-masks"
    monkeypatch.setattr("spherecorr.pipelines.masks.load_detector", lambda device: Detector())
    command = ["data", "masks", "folder", str(tmp_path), "--out", str(out)]
    assert main(command) == 0
    assert "1 masks detected, 1 the dataset's own, 1 images without a mask" in capsys.readouterr().out
    assert main(["data", "check", "folder", str(tmp_path), "--masks", str(out)]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["all", "3", "0", "0", "2"]
    for arguments, message in (
        ([*command[:-1], str(tmp_path / "masks")], "lies in the dataset's own folder; name one outside of"),
        (["data", "check", "folder", str(tmp_path), "--masks", "nowhere"], "There is no folder 'nowhere'."),
    ):
        assert main(arguments) == 2
        assert message in capsys.readouterr().err
