"""Directions of photographs from renders, on balls and boxes whose directions are plain to see."""

import numpy as np
import pytest
from PIL import Image

from spherecorr.cli import main
from spherecorr.data.errors import DatasetError
from spherecorr.data.folder import Folder
from spherecorr.data.records import ImageRecord
from spherecorr.dense_labels import TAKEN, label_directions, main_parts, make_templates
from spherecorr.errors import SpherecorrError
from spherecorr.pipelines.dense import add_directions


def ball(azimuth: float, size=(60, 40), radius=12) -> tuple[np.ndarray, np.ndarray]:
    """Mask `[h, w]` and directions `[h, w, 3]` of a ball that is seen from an azimuth, level."""
    width, height = size
    y, x = np.mgrid[:height, :width] + 0.5
    across, down = (x - width / 2) / radius, (y - height / 2) / radius
    mask = across**2 + down**2 < 1
    towards = np.sqrt(np.clip(1 - across**2 - down**2, 0, None))
    angle = np.radians(azimuth)  # from azimuth 0 the camera sees +x, with +y on the image's right
    turned = (towards * np.cos(angle) - across * np.sin(angle), towards * np.sin(angle) + across * np.cos(angle), -down)
    return mask, np.stack(turned, axis=-1).astype(np.float32) * mask[..., None]


def rendered(folder, azimuth: float, radius: int) -> ImageRecord:
    mask, surface = ball(azimuth, radius=radius)
    stem = f"{azimuth:g}-{radius}"
    paths = {name: folder / f"{stem}-{name}.png" for name in ("image", "mask", "surface")}
    Image.fromarray(np.repeat(mask[..., None] * np.uint8(200), 3, axis=-1)).save(paths["image"])
    Image.fromarray(mask.astype(np.uint8) * 255).save(paths["mask"])
    Image.fromarray(np.round((surface + 1) * 127.5).astype(np.uint8)).save(paths["surface"])
    return ImageRecord(
        f"ball/{stem}", paths["image"], (60, 40), "ball", None, {}, azimuth=azimuth, mask=paths["mask"],
        surface=paths["surface"],
    )  # fmt: skip


def renders(folder) -> list[ImageRecord]:
    return [rendered(folder, azimuth, radius) for azimuth in range(0, 360, 5) for radius in (9, 12, 15)]


@pytest.mark.parametrize("azimuth", [0, 90, 200])
def test_a_photograph_gets_the_directions_of_renders_from_its_side(tmp_path, azimuth):
    templates = make_templates(renders(tmp_path))["ball"]
    mask, truth = ball(azimuth, radius=14)
    found = label_directions(mask, azimuth, templates)
    known = found.any(axis=-1)
    assert not known[~mask].any() and known[mask].mean() > 0.8
    cosine = (found * truth).sum(axis=-1)[known]
    assert np.degrees(np.arccos(np.clip(np.median(cosine), -1, 1))) < 10


def test_a_mirror_image_sees_the_other_side(tmp_path):
    only_left = [rendered(tmp_path, azimuth, radius) for azimuth in range(60, 125, 5) for radius in (9, 12, 15)]
    templates = make_templates(only_left)["ball"]
    mask, truth = ball(270)
    found = label_directions(mask, 270, templates)
    known = found.any(axis=-1)
    assert known.any() and (found * truth).sum(axis=-1)[known].mean() > 0.95
    assert not label_directions(mask, 180, templates).any()  # nobody saw its rear


def test_where_renders_do_not_agree_nothing_is_said(tmp_path):
    records = renders(tmp_path)[:6]  # from 0 and 5 degrees
    assert 2 * len(records) == TAKEN
    templates = make_templates(records)["ball"]
    templates.directions[::2] *= -1  # half of them say the opposite
    assert not label_directions(ball(0)[0], 0, templates).any()


def test_specks_of_a_mask_are_left_out():
    mask = np.zeros((40, 40), bool)
    mask[5:25, 5:25] = True
    mask[30:32, 30:32] = True
    assert (main_parts(mask) == (mask & (np.arange(40) < 28))).all()
    mask[28:36, 28:36] = True  # large enough for a part of its own
    assert (main_parts(mask) == mask).all()


def test_photographs_without_surface_points_are_no_templates(tmp_path):
    record = rendered(tmp_path, 0, 12)
    with pytest.raises(DatasetError, match="None of these images has surface points and an azimuth"):
        make_templates([ImageRecord(record.id, record.path, record.size, "ball", None, {}, mask=record.mask)])


@pytest.fixture
def folders(tmp_path):
    """Renders of spherecorr's own making, and two photographs."""
    cars = ["--count", "120", "--pairs", "120", "--categories", "car", "--size", "48"]
    main(["render", str(tmp_path / "renders"), *cars])
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    (mask, _), rows = ball(90), ["image,category,azimuth,mask,quality"]
    for name, category, azimuth in (("a", "car", "90"), ("b", "car", ""), ("c", "mug", "0")):
        Image.new("RGB", (60, 40), (90, 120, 30)).save(photographs / f"{name}.jpg")
        Image.fromarray(mask.astype(np.uint8) * 255).save(photographs / f"{name}.png")
        rows.append(f"{name}.jpg,{category},{azimuth},{name}.png,fair")
    (photographs / "viewpoints.csv").write_text("\n".join(rows) + "\n")
    return photographs, tmp_path / "renders", tmp_path / "out"


def test_the_folder_that_is_written_is_a_dataset(folders, capsys):
    photographs, shown, out = folders
    capsys.readouterr()
    main(["data", "directions", str(photographs), "--renders", str(shown), "--out", str(out)])
    assert "3 photographs, 1 of them with directions" in capsys.readouterr().out
    first, second, third = Folder(out).images("all")
    assert first.surface is not None and second.surface is None and third.surface is None
    assert (first.azimuth, second.azimuth, first.quality) == (90, None, 0.5)
    surface = first.load_surface()
    known = np.linalg.norm(surface, axis=-1) > 0.5
    assert surface[known][:, 1].mean() > 0.3  # a car seen from its left shows its left
    assert first.id == Folder(photographs).images("all")[0].id
    with pytest.raises(SpherecorrError, match="is there already; name another folder"):
        add_directions(photographs, [shown], out)
