"""What training takes: crops that keep picture and labels together, labels that lie on the picture, crops by seed."""

import math
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from painted import CELLS, RESOLUTION, MeanColour, draw, live, painted
from PIL import Image
from torch.nn.functional import normalize

from spherecorr.backbones.vit import VitBackbone
from spherecorr.crops import crop_box, read_picture
from spherecorr.data.records import DatasetError
from spherecorr.data.spair import SPair71k
from spherecorr.errors import SpherecorrError
from spherecorr.extraction import extract
from spherecorr.geometry import mask_to_cells
from spherecorr.render.dataset import render_dataset
from spherecorr.render.settings import RenderSettings
from spherecorr.store import FeatureStore
from spherecorr.store_settings import StoreError, StoreSettings
from spherecorr.training.annotations import Annotations, read_annotations
from spherecorr.training.batches import JoinedCrops, LiveCrops, StoredCrops, TensorCrops, fits

SEEDS = torch.arange(1000, 1008)


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    shape = {"depth": 2, "embed_dim": 32, "num_heads": 2, "img_size": 64, "num_classes": 0}
    model = timm.create_model("vit_tiny_patch16_224", **shape, dynamic_img_size=True)
    return VitBackbone(model, "tiny", device="cpu")


@pytest.fixture(scope="module")
def renders(tmp_path_factory):
    """Four rendered cars and dogs of 96 pixels."""
    root = tmp_path_factory.mktemp("renders")
    render_dataset(root, RenderSettings(count=4, pairs=2, categories=("dog", "car"), size=96), processes=1)
    return SPair71k(root).images("trn")


# What a crop shows


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (400, 400), (900, 200)])
@pytest.mark.parametrize("crop", ["whole", "square", "resized"])
def test_crops_lie_within_the_picture(size, crop):
    rng = np.random.default_rng(0)
    for _ in range(200):
        left, top, right, bottom = crop_box(size, crop, 0.6, rng)
        assert 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]
        width, height = right - left, bottom - top
        if crop == "whole":
            assert (width, height) == size
        elif crop == "square":
            assert width == height and 0.6 * min(size) - 1 <= width <= min(size)
        else:
            assert 3 / 4 - 0.01 < width / height < 4 / 3 + 0.01


def test_the_papers_crop_shows_two_thirds_of_a_picture():
    """Of shares from 0.5 to 1.5 those that fit: METHOD's measured mean of the area is 0.66 to 0.69."""
    for size in [(500, 375), (400, 400)]:
        rng = np.random.default_rng(0)
        boxes = np.array([crop_box(size, "resized", 1, rng) for _ in range(4000)])
        shares = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / math.prod(size)
        assert 0.65 < shares.mean() < 0.70 and shares.min() > 0.49


def test_a_picture_that_no_crop_fits_is_cut_in_its_middle():
    assert crop_box((900, 90), "resized", 1, np.random.default_rng(0)) == (390, 0, 510, 90)  # 4 : 3
    assert crop_box((90, 900), "resized", 1, np.random.default_rng(0)) == (0, 390, 90, 510)  # 3 : 4


@pytest.mark.parametrize("crop", ["square", "resized"])
def test_crops_cut_picture_mask_and_surface_alike(tmp_path, crop):
    mask = np.zeros((96, 128), np.uint8)
    mask[:, :64] = 255
    crops = live(painted(tmp_path, size=(128, 96), mask=mask), crop=crop, smallest_crop=0.4)
    drawn = [draw(crops, seed) for seed in range(8)]
    assert torch.equal(drawn[0].features, draw(crops, 0).features)
    assert len({float(batch.features[0, 0, 0]) for batch in drawn}) == 8
    for batch in drawn:
        colours, inside = batch.features[0], batch.mask[0]
        # The mask is the left half of the picture, where red is below its middle: -1..1 -> 0.
        assert (colours[inside, 0] < 0.05).all() and (colours[~inside, 0] > -0.05).all()
        # In cells wholly on the mask the direction is that of the mean colour, which is the mean surface point.
        full = colours[:, 0] < -0.2
        expected = normalize(colours[full], dim=-1)
        torch.testing.assert_close(batch.directions[0, full], expected, atol=0.02, rtol=0)
        # Red grows to the right, green downwards: nothing is mirrored or turned.
        picture = colours.reshape(CELLS, CELLS, 3)
        assert (picture[:, 1:, 0] > picture[:, :-1, 0]).all() and (picture[1:, :, 1] > picture[:-1, :, 1]).all()


def test_a_view_without_foreground_is_kept(tmp_path):
    mask = np.zeros((96, 96), np.uint8)
    mask[:4, :4] = 255
    crops = live(painted(tmp_path, mask=mask), crop="square", smallest_crop=0.3)
    drawn = [draw(crops, seed) for seed in range(20)]
    empty = [batch for batch in drawn if batch.background.all()]
    assert 0 < len(empty) < len(drawn)
    assert not any(batch.mask.any() or batch.directions.any() for batch in empty)


def test_odd_views_are_mirror_images_seen_from_the_other_side(tmp_path):
    record = replace(painted(tmp_path), azimuth=30.0, elevation=20.0)
    crops = live(record, crop="whole", mirrored=True)
    plain, mirrored = draw(crops, seed=4), draw(crops, seed=5)
    for name, signs in (("features", 1), ("mask", 1), ("background", 1), ("directions", [1, -1, 1])):
        grid = getattr(plain, name).unflatten(1, (CELLS, CELLS))
        expected = grid.flip(2).flatten(1, 2)  # columns
        # The mean over a cell is summed from the other side.
        torch.testing.assert_close(
            getattr(mirrored, name) * 1.0, expected * torch.tensor(signs) * 1.0, atol=2e-3, rtol=0
        )
    assert (plain.azimuth.item(), mirrored.azimuth.item()) == (30, -30)
    assert (plain.elevation.item(), mirrored.elevation.item()) == (20, 20)
    assert draw(live(record, crop="whole"), seed=5).azimuth.item() == 30  # unless it is asked for


def test_a_mirrored_render_is_a_render_from_the_other_side(renders):
    """Left and right, as the labels have them: what is seen from the left at azimuth a, is from the right at -a."""
    for record in renders:
        picture = read_picture(record, labels=True)
        sides = [part.surface[part.mask][:, 1].mean() for part in (picture, picture.mirrored())]
        toward_camera = math.copysign(1, math.sin(math.radians(record.azimuth)))
        assert sides[0] * toward_camera > 0 and sides[1] == pytest.approx(-sides[0], abs=1e-6)


# What each cell is taught


def test_labels_of_some_renders(renders, backbone):
    crops = LiveCrops(renders, backbone, RESOLUTION, crop="whole")
    assert len(crops) == 4 and crops.grid == (CELLS, CELLS) and crops.feature_dim == 32 and crops.has_surface
    assert crops.categories == ("car", "dog")
    batch = crops.batch(torch.arange(4), SEEDS[:4])
    assert batch.features.shape == (4, CELLS**2, 32) and batch.features.dtype == torch.float32
    assert [crops.categories[i] for i in batch.category] == [record.category for record in renders]
    for i, record in enumerate(renders):
        feature_map = backbone(record.path, resolution=RESOLUTION, framing="pad")
        torch.testing.assert_close(batch.features[i], feature_map.tokens())
        assert np.array_equal(batch.mask[i].numpy(), mask_to_cells(record.load_mask(), feature_map.framing).ravel())
        assert batch.mask[i].any() and not batch.mask[i].all()
        assert batch.azimuth[i] == pytest.approx(record.azimuth)
        assert torch.allclose(batch.directions[i][batch.mask[i]].norm(dim=-1), torch.ones(()), atol=1e-3)


def test_directions_are_those_of_the_surface_under_each_cell(renders, backbone):
    batch = LiveCrops(renders, backbone, RESOLUTION, crop="whole").batch(torch.arange(4), SEEDS[:4])
    for i, record in enumerate(renders):
        inside = record.load_mask()
        surface = record.load_surface() * inside[..., None]
        for cell in batch.mask[i].nonzero().ravel().tolist():
            row, column = divmod(cell, CELLS)
            patch = np.s_[16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
            expected = surface[patch][inside[patch]].mean(axis=0)
            np.testing.assert_allclose(batch.directions[i, cell], expected / np.linalg.norm(expected), atol=2e-3)


def test_patches_beside_the_object_are_neither_object_nor_background(tmp_path):
    mask = np.zeros((96, 96), np.uint8)
    mask[:, :20] = 255  # the first column of cells, and a quarter of the second
    batch = draw(live(painted(tmp_path, mask=mask), crop="whole"))
    columns = [
        value[0].reshape(CELLS, CELLS, -1).any(dim=-1)[2].tolist()
        for value in (batch.mask, batch.background, batch.directions)
    ]
    assert columns == [
        [True, False, False, False, False, False],
        [False, False, False, True, True, True],  # not the second column, which it touches, nor the third beside it
        [True, True, False, False, False, False],  # the surface is known wherever it is seen
    ]


def test_photographs_are_padded_and_have_no_directions(tmp_path):
    crops = live(replace(painted(tmp_path, size=(96, 48)), surface=None), crop="whole")
    batch = draw(crops)
    assert not crops.has_surface and not batch.directions.any()
    # 24 pixels of padding above and below: a row and a half of cells, and half a cell is not more than half.
    inside = batch.mask[0].reshape(CELLS, CELLS)
    assert inside.any(dim=1).tolist() == [False, False, True, True, False, False]


# Viewpoints


@pytest.mark.parametrize(
    ("viewpoint", "azimuth", "elevation"),
    [
        ({"azimuth_bin": 2}, 112.5, math.nan),  # bin 2 is 90..135 degrees
        ({"azimuth_bin": 2, "azimuth": 97.0}, 97.0, math.nan),
        ({"azimuth_bin": 2, "azimuth": 97.0, "elevation": 30.0}, 97.0, 30.0),
        ({"azimuth_bin": None, "elevation": 90.0}, 0.0, 90.0),  # from straight above any azimuth is the same
    ],
)
def test_a_viewpoint_is_a_bin_or_degrees_with_or_without_elevation(tmp_path, viewpoint, azimuth, elevation):
    batch = draw(live(replace(painted(tmp_path), **viewpoint)))
    assert batch.azimuth.tolist() == [azimuth]
    assert batch.elevation.tolist() == pytest.approx([elevation], nan_ok=True)


# Where crops come from


def test_stored_views_are_what_was_stored(tmp_path, renders, backbone):
    settings = StoreSettings(backbone.source, RESOLUTION, crops=3, crop="resized", labels=True)
    store = extract(renders, backbone, settings, tmp_path / "store")
    crops = StoredCrops(store, renders[::-1])  # an order of its own
    assert len(crops) == 4 and crops.grid == (CELLS, CELLS) and crops.feature_dim == 32 and crops.has_surface
    for seed in range(3):
        batch = crops.batch(torch.tensor([3, 0]), torch.tensor([seed, seed]))
        for found, record in zip(batch.features, (renders[0], renders[3]), strict=True):
            assert torch.equal(found.half(), torch.from_numpy(store.tokens(record.id, seed)))
        assert batch.azimuth.tolist() == pytest.approx([renders[0].azimuth, renders[3].azimuth])
    few = StoredCrops(store, renders[1:2])
    assert len(few) == 1 and few.categories == (renders[1].category,)
    assert torch.equal(draw(few, 1).features[0].half(), torch.from_numpy(store.tokens(renders[1].id, 1)))


def test_features_move_to_a_gpu_that_has_twice_their_room(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 8000))
    assert fits(500, torch.device("cuda")) and not fits(501, torch.device("cuda"))
    assert not fits(1, torch.device("cpu"))


def test_whole_pictures_are_alike_stored_and_fresh(tmp_path, renders, backbone):
    settings = StoreSettings(backbone.source, RESOLUTION, crops=2, mirrored=True, labels=True)
    stored = StoredCrops(extract(renders, backbone, settings, tmp_path / "store"), renders)
    fresh = LiveCrops(renders, backbone, RESOLUTION, crop="whole", mirrored=True)
    one, other = (crops.batch(torch.arange(4), SEEDS[:4]).tensors() for crops in (stored, fresh))
    for name in one:
        # Features are stored in half precision.
        torch.testing.assert_close(one[name], other[name], atol=5e-3, rtol=1e-3, equal_nan=True)


def test_a_seed_decides_its_own_view_alone(tmp_path, renders, backbone):
    settings = StoreSettings(backbone.source, RESOLUTION, crops=3, crop="resized", labels=True)
    stored = StoredCrops(extract(renders, backbone, settings, tmp_path / "store"), renders)
    for crops in (stored, LiveCrops(renders, backbone, RESOLUTION)):
        images = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3])
        whole = crops.batch(images, SEEDS)
        parts = [crops.batch(images[part], SEEDS[part]) for part in (slice(0, 3), slice(3, 8))]
        for name, value in whole.tensors().items():
            joined = torch.cat([getattr(part, name) for part in parts])
            # A batch of another size sums in another order.
            torch.testing.assert_close(value, joined, equal_nan=True)
        assert not torch.allclose(whole.features[0], whole.features[4])  # another crop of the same image


def test_views_from_tensors(tmp_path):
    known = read_annotations([painted(tmp_path)] * 2)
    features = torch.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5).half()
    labels = torch.zeros(2, 3, 4, 5).half()
    labels[..., 0], labels[0, :, 0, 1], labels[1, 2, 3, 4] = 0.7, 1, -1
    crops = TensorCrops(features, labels, known, grid=(2, 2))
    batch = crops.batch(torch.tensor([1, 0]), torch.tensor([5, 3]))  # crops 2 and 0 of three
    assert torch.equal(batch.features, features[[1, 0], [2, 0]].float())
    assert batch.mask.all() and batch.background.tolist() == [[False] * 4, [True, False, False, False]]
    assert batch.directions[0, 3].tolist() == [0, 0, -1] and crops.has_surface


def made(count: int, first: float, **other) -> TensorCrops:
    """Images of one crop and one patch, whose feature is the image's number."""
    known = Annotations(torch.zeros(count), torch.zeros(count), torch.ones(count), torch.zeros(count).long(), ("blob",))
    features, labels = torch.arange(first, first + count).view(count, 1, 1, 1), torch.zeros(count, 1, 1, 5)
    return TensorCrops(features, labels, **{"known": known, "grid": (1, 1), **other})


def test_joined_views_follow_one_another():
    joined = JoinedCrops([made(2, 0.0), made(3, 2.0)])
    images = torch.tensor([4, 0, 3, 1, 2, 0])
    assert len(joined) == 5 and (joined.categories, joined.grid, joined.feature_dim) == (("blob",), (1, 1), 1)
    assert torch.equal(joined.batch(images, SEEDS[:6]).features.flatten(), images.float())
    assert joined.batch(images[:1], SEEDS[:1]).features.flatten().tolist() == [4]  # the other part is not asked


def test_joined_views_take_each_image_with_its_own_seed(tmp_path, renders, backbone):
    settings = StoreSettings(backbone.source, RESOLUTION, crops=3, crop="resized", labels=True)
    whole = StoredCrops(extract(renders, backbone, settings, tmp_path / "store"), renders)
    parts = [
        StoredCrops(FeatureStore(tmp_path / "store"), some, whole.categories) for some in (renders[:1], renders[1:])
    ]
    images = torch.tensor([3, 1, 0, 2, 0])
    joined = JoinedCrops(parts)
    for name, value in joined.batch(images, SEEDS[:5]).tensors().items():
        assert torch.equal(value, getattr(whole.batch(images, SEEDS[:5]), name)), name
    assert joined.has_surface and not JoinedCrops([made(2, 0.0)]).has_surface


# Objects smaller than half a patch


def test_whether_any_image_has_foreground(tmp_path, backbone):
    mask = np.zeros((96, 96), np.uint8)
    mask[40:48, 40:54] = 255  # less than half of one patch of 16 pixels
    small, large = painted(tmp_path, mask=mask), replace(painted(tmp_path), id="blob/large")
    Image.fromarray(mask).save(tmp_path / "small.png")
    small = replace(small, mask=tmp_path / "small.png")
    for records, crop, expected in (
        ([small], "whole", False),
        ([small, large], "whole", True),
        ([small] * 2, "square", False),
    ):
        assert LiveCrops(records, MeanColour(), RESOLUTION, crop).has_foreground() == expected
    # In a crop a third as wide as the picture the object is three times larger.
    assert LiveCrops([small], MeanColour(), RESOLUTION, "square", 0.33).has_foreground()
    settings = StoreSettings(backbone.source, RESOLUTION, labels=True)
    store = extract([small, large], backbone, settings, tmp_path / "store")
    assert [StoredCrops(store, [record]).has_foreground() for record in (small, large)] == [False, True]
    joined = JoinedCrops([StoredCrops(store, [small], ("blob",)), StoredCrops(store, [large], ("blob",))])
    assert joined.has_foreground() and not JoinedCrops(joined.parts[:1]).has_foreground()


# What is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid": (1, 2)}, r"Crops of different grid cannot be joined: \(1, 1\), \(1, 2\)"),
        (
            {"known": Annotations(torch.zeros(2), torch.zeros(2), torch.ones(2), torch.zeros(2).long(), ("ball",))},
            "Crops of different categories cannot be joined",
        ),
    ],
)
def test_views_that_do_not_fit_together(change, message):
    with pytest.raises(SpherecorrError, match=message):
        JoinedCrops([made(2, 0.0), made(2, 2.0, **change)])


def test_mistakes_in_the_records(tmp_path):
    record = painted(tmp_path)
    for change, message in (
        (
            {"azimuth": None, "azimuth_bin": None},
            "None of the images has an azimuth; a sphere is trained on images with viewpoints",
        ),
        ({"azimuth": math.nan}, r"picture\.png' has an azimuth or elevation that is no finite number of degrees"),
        ({"azimuth": 0.0, "elevation": math.nan}, r"picture\.png' has an azimuth or elevation that is no finite"),
        ({"mask": None}, r"picture\.png' has no mask; training needs one for every image"),
    ):
        with pytest.raises(DatasetError, match=message):
            live(replace(record, **change))
    with pytest.raises(DatasetError, match="There are no images to train on"):
        LiveCrops([], MeanColour(), RESOLUTION)
    with pytest.raises(DatasetError, match=r"picture\.png' is of the category 'blob', which is not trained; there are"):
        live(record, categories=("car", "dog"))
    with pytest.raises(SpherecorrError, match="The smallest crop is a share above 0 and at most 1; got 0"):
        live(record, smallest_crop=0)
    with pytest.raises(SpherecorrError, match="Resolution 100 is not a multiple of the patch size 16"):
        LiveCrops([record], MeanColour(), 100)


def test_broken_masks_are_named(tmp_path):
    crops = live(painted(tmp_path))
    Image.new("L", (95, 96)).save(tmp_path / "mask.png")
    with pytest.raises(DatasetError, match=r"mask\.png' has 95 x 96 pixels, its image 96 x 96"):
        draw(crops)
    Image.new("L", (96, 96)).save(tmp_path / "mask.png")
    with pytest.raises(DatasetError, match=r"mask\.png' is empty: no pixel is the object"):
        draw(crops)
    (tmp_path / "mask.png").unlink()
    with pytest.raises(DatasetError, match=r"mask\.png' cannot be read as a picture"):
        draw(crops)


def test_stores_that_training_cannot_take(tmp_path, renders, backbone):
    plain = extract(renders, backbone, StoreSettings(backbone.source, RESOLUTION), tmp_path / "plain")
    with pytest.raises(StoreError, match=r"plain' has no labels for training; extract with --labels"):
        StoredCrops(plain, renders)
    settings = StoreSettings(backbone.source, RESOLUTION, labels=True)
    part = extract(renders[:3], backbone, settings, tmp_path / "part")
    with pytest.raises(StoreError, match=r"part' lacks '.*\.jpg'; extract it with all images"):
        StoredCrops(part, renders)
