"""Training of the sphere mapper: labels that lie on the picture, losses that fall, seeds that decide."""

import re
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch.nn.functional import normalize

from spherecorr.backbones import Backbone
from spherecorr.data.records import DatasetError, ImageRecord
from spherecorr.data.spair import SPair71k
from spherecorr.features import FeatureSource
from spherecorr.geometry import mask_to_cells, pad
from spherecorr.render.dataset import RenderSettings, render_dataset
from spherecorr.sphere.mapper import SphereSettings, frame_positions
from spherecorr.training import LossWeights, TrainingSet, TrainSettings, fit, training_set

RESOLUTION, CELLS = 96, 6


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    shape = {"depth": 2, "embed_dim": 32, "num_heads": 2, "img_size": 64, "num_classes": 0}
    model = timm.create_model("vit_tiny_patch16_224", **shape, dynamic_img_size=True)
    return Backbone(model, "tiny", device="cpu")


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Four rendered cars and dogs of 96 pixels."""
    root = tmp_path_factory.mktemp("renders")
    render_dataset(root, RenderSettings(count=4, pairs=2, categories=("dog", "car"), size=96), processes=1)
    return SPair71k(root).images("trn")


class MeanColour:
    """The plainest backbone: a patch's feature is its mean colour, -1..1."""

    source = FeatureSource("mean-colour", dim=3, patch=16, layer=0)

    def extract(self, inputs: np.ndarray) -> torch.Tensor:
        pixels = torch.from_numpy(inputs).permute(0, 3, 1, 2).float() / 127.5 - 1
        return torch.nn.functional.avg_pool2d(pixels, self.source.patch)


def painted(folder, size=(96, 96), mask=None) -> ImageRecord:
    """A picture whose colours are its own surface points, varying smoothly over it."""
    columns, rows = np.meshgrid(np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1]))
    pixels = np.stack([columns, rows, 255 - columns], axis=-1).round().astype(np.uint8)
    Image.fromarray(pixels).save(folder / "picture.png")
    mask = np.full(size[::-1], 255, np.uint8) if mask is None else mask
    Image.fromarray(mask).save(folder / "mask.png")
    return ImageRecord(
        "blob/picture", folder / "picture.png", size, "blob", (0, 0, *size), {}, 2,
        mask=folder / "mask.png", surface=folder / "picture.png",
    )  # fmt: skip


# The training set


def test_the_set_of_some_renders(records, backbone):
    data = training_set(records, backbone, RESOLUTION)
    assert data.features.shape == (4, CELLS**2, 32) and data.features.dtype == torch.float16
    assert data.grid == (CELLS, CELLS) and data.categories == ("car", "dog")
    assert [data.categories[i] for i in data.category] == [record.category for record in records]
    for i, record in enumerate(records):
        feature_map = backbone(record.path, resolution=RESOLUTION, framing="pad")
        torch.testing.assert_close(data.features[i], feature_map.tokens().half())
        assert np.array_equal(data.mask[i].numpy(), mask_to_cells(record.load_mask(), feature_map.framing).ravel())
        assert data.mask[i].any() and not data.mask[i].all()
        assert data.azimuth[i] == pytest.approx(record.azimuth)
        torch.testing.assert_close(data.positions, frame_positions(feature_map.framing))
        assert torch.allclose(data.directions[i][data.mask[i]].float().norm(dim=-1), torch.ones(()), atol=1e-3)


def test_directions_are_those_of_the_surface_under_each_cell(records, backbone):
    data = training_set(records, backbone, RESOLUTION)
    for i, record in enumerate(records):
        inside = record.load_mask()
        surface = record.load_surface() * inside[..., None]
        for cell in data.mask[i].nonzero().ravel().tolist():
            row, column = divmod(cell, CELLS)
            patch = np.s_[16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
            expected = surface[patch][inside[patch]].mean(axis=0)
            np.testing.assert_allclose(data.directions[i, cell], expected / np.linalg.norm(expected), atol=2e-3)


def test_patches_beside_the_object_are_neither_object_nor_background(tmp_path):
    mask = np.zeros((96, 96), np.uint8)
    mask[:, :20] = 255  # the first column of cells, and a quarter of the second
    data = training_set([painted(tmp_path, mask=mask)], MeanColour(), RESOLUTION)
    columns = [value[0].reshape(CELLS, CELLS, -1).any(dim=-1)[2].tolist() for value in (
        data.mask, data.background, data.directions
    )]  # fmt: skip
    assert columns == [
        [True, False, False, False, False, False],
        [False, False, False, True, True, True],  # not the second column, which it touches, nor the third beside it
        [True, True, False, False, False, False],  # the surface is known wherever it is seen
    ]


def test_azimuths_that_are_known_by_their_bin_stand_in_its_middle(tmp_path):
    data = training_set([painted(tmp_path)], MeanColour(), RESOLUTION)
    assert data.azimuth.tolist() == [112.5]  # bin 2 is 90..135 degrees


def test_photographs_are_padded_and_have_no_directions(tmp_path):
    record = replace(painted(tmp_path, size=(96, 48)), surface=None)
    data = training_set([record], MeanColour(), RESOLUTION)
    inside = data.mask[0].reshape(CELLS, CELLS)
    # 24 pixels of padding above and below: a row and a half of cells, and half a cell is not more than half.
    assert inside.any(dim=1).tolist() == [False, False, True, True, False, False]
    assert not data.directions.any()
    torch.testing.assert_close(data.positions, frame_positions(pad((96, 48), RESOLUTION, 16)))


def test_crops_cut_picture_mask_and_surface_alike(tmp_path):
    mask = np.zeros((96, 128), np.uint8)
    mask[:, :64] = 255
    record = painted(tmp_path, size=(128, 96), mask=mask)
    whole = training_set([record], MeanColour(), RESOLUTION, seed=0)
    assert torch.equal(whole.features, training_set([record], MeanColour(), RESOLUTION, seed=1).features)
    crops = [training_set([record], MeanColour(), RESOLUTION, smallest_crop=0.4, seed=seed) for seed in range(8)]
    again = training_set([record], MeanColour(), RESOLUTION, smallest_crop=0.4, seed=0)
    assert torch.equal(crops[0].features, again.features)
    assert len({float(crop.features[0, 0, 0]) for crop in crops}) == 8
    for crop in crops:
        colours, inside = crop.features[0].float(), crop.mask[0]
        # The mask is the left half of the picture, where red is below its middle: -1..1 -> 0.
        assert (colours[inside, 0] < 0.05).all() and (colours[~inside, 0] > -0.05).all()
        # In cells wholly on the mask the direction is that of the mean colour, which is the mean surface point.
        full = colours[:, 0] < -0.2
        expected = normalize(colours[full], dim=-1)
        torch.testing.assert_close(crop.directions[0, full].float(), expected, atol=0.02, rtol=0)
    # A crop shows less of the picture than the whole: red changes less from the left to the right.
    spread = [float(np.ptp(crop.features[0, :, 0].numpy())) for crop in crops]
    assert max(spread) < np.ptp(whole.features[0, :, 0].numpy())


def test_progress_is_ticked(records, backbone):
    seen = []
    training_set(records, backbone, RESOLUTION, lambda items: (seen.append(item.id) or item for item in items))
    assert seen == [record.id for record in records]


def test_mistakes_in_the_records(tmp_path, backbone):
    unknown = replace(painted(tmp_path), azimuth=None, azimuth_bin=None)
    with pytest.raises(DatasetError, match="'blob/picture' has no azimuth"):
        training_set([unknown], backbone, RESOLUTION)
    with pytest.raises(DatasetError, match="There are no images to train on"):
        training_set([], backbone, RESOLUTION)
    record = painted(tmp_path)
    with pytest.raises(DatasetError, match="Image 'blob/picture' has no mask"):
        training_set([replace(record, mask=None)], backbone, RESOLUTION)
    Image.new("L", (95, 96)).save(tmp_path / "mask.png")
    with pytest.raises(DatasetError, match=r"mask\.png' has not the size of its image"):
        training_set([record], backbone, RESOLUTION)
    with pytest.raises(ValueError, match="The smallest crop is a share above 0 and at most 1; got 0"):
        training_set([record], backbone, RESOLUTION, smallest_crop=0)
    with pytest.raises(ValueError, match="Resolution 100 is not a multiple of the patch size 16"):
        training_set([record], backbone, 100)


# The fit


def balls(count: int = 48, side: int = 7, dim: int = 16) -> TrainingSet:
    """Pictures of a ball from all around; a patch's feature tells, linearly, which side of the ball it shows."""
    generator = torch.Generator().manual_seed(0)
    azimuth = torch.rand(count, generator=generator) * 360
    line = torch.linspace(-1.1, 1.1, side)
    down, across = torch.meshgrid(line, line, indexing="ij")
    mask = (across**2 + down**2 < 0.95).reshape(-1)
    towards = (1 - across**2 - down**2).clamp(min=0).sqrt()
    angle = torch.deg2rad(azimuth)[:, None]
    towards, across, up = (value.reshape(1, -1) for value in (towards, across, -down))
    # From azimuth 0 the camera sees +x, with +y on the image's right.
    x = towards * angle.cos() - across * angle.sin()
    y = towards * angle.sin() + across * angle.cos()
    directions = normalize(torch.stack([x, y, up.expand_as(x)], dim=-1), dim=-1) * mask[:, None]
    features = directions @ torch.randn(3, dim, generator=generator)
    features = features + 0.1 * torch.randn(features.shape, generator=generator)
    return TrainingSet(
        features.half(),
        mask.expand(count, -1),
        ~mask.expand(count, -1),
        directions.half(),
        azimuth,
        torch.zeros(count, dtype=torch.long),
        frame_positions(pad((16 * side, 16 * side), 16 * side, 16)),
        (side, side),
        ("ball",),
    )


SETTINGS = TrainSettings(SphereSettings(16, width=32), steps=100, batch=16, tokens=0)


def only(name: str) -> LossWeights:
    return LossWeights(**{**dict.fromkeys(vars(LossWeights()), 0.0), name: 1.0})


def losses_of(line: str) -> dict[str, float]:
    """'step 50/100  surface 0.123  viewpoint 0.4' -> {'surface': 0.123, 'viewpoint': 0.4}."""
    return {name: float(value) for name, value in re.findall(r"([a-z]+) ([\d.]+)(?:  |$)", line)}


@pytest.mark.parametrize("name", ["reconstruction", "viewpoint", "distance", "orientation", "surface", "background"])
def test_each_loss_falls_when_it_is_the_only_one(name):
    lines = []
    fit(balls(), replace(SETTINGS, weights=only(name)), lines.append)
    assert [line.split("  ")[0] for line in lines] == ["step 50/100", "step 100/100"]
    assert losses_of(lines[0]).keys() == {name}  # the others are not even computed
    # The distance loss has a floor well above 0: patches at nearly equal distances cannot all keep the margin.
    assert losses_of(lines[-1])[name] < (0.9 if name == "distance" else 0.7) * losses_of(lines[0])[name]


def test_the_surface_is_learned_from_its_directions():
    data = balls()
    mapper = fit(data, replace(SETTINGS, weights=only("surface")), lambda line: None)
    with torch.no_grad():
        cosine = (mapper(data.features.float()) * data.directions.float()).sum(dim=-1)[data.mask]
    assert torch.rad2deg(cosine.clamp(-1, 1).acos()).median() < 10


def test_the_papers_losses_together_find_the_sphere_without_a_dense_label():
    """Up to a rotation: opposite sides of the ball lie on opposite sides of the sphere, and it is not mirrored."""
    data, lines = balls(), []
    weights = LossWeights(reconstruction=1, viewpoint=1, distance=0.3, orientation=0.3)
    mapper = fit(data, replace(SETTINGS, weights=weights, steps=200), lines.append)
    assert losses_of(lines[-1]).keys() == {"reconstruction", "viewpoint", "distance", "orientation"}
    with torch.no_grad():
        sphere = mapper(data.features.float())
    mean = normalize((sphere * data.mask[..., None]).sum(dim=1), dim=-1)
    turn = torch.deg2rad(data.azimuth[:, None] - data.azimuth[None])
    assert np.corrcoef((mean @ mean.T).flatten(), turn.cos().flatten())[0, 1] > 0.95
    # The best orthogonal map between the two is a rotation: its determinant is not -1.
    left, _, right = torch.linalg.svd(sphere[data.mask].T @ data.directions.float()[data.mask])
    assert torch.linalg.det(left @ right) > 0
    aligned = (sphere[data.mask] @ left @ right * data.directions.float()[data.mask]).sum(dim=-1)
    assert torch.rad2deg(aligned.clamp(-1, 1).acos()).median() < 30


def test_the_seed_decides_everything():
    short = replace(SETTINGS, steps=20)
    first, again, other = (fit(balls(), replace(short, seed=seed)).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not any(torch.equal(first[key], other[key]) for key in first if key.endswith("weight") and "norm" not in key)


@pytest.mark.parametrize("positions", ["none", "frame"])
@pytest.mark.parametrize("tokens", [0, 30, 10_000])
def test_the_mapper_is_what_the_settings_say(positions, tokens):
    sphere = SphereSettings(16, width=48, depth=2, positions=positions, alpha=0.4)
    mapper = fit(balls(8), replace(SETTINGS, sphere=sphere, steps=20, tokens=tokens))
    assert mapper.settings == replace(sphere, categories=("ball",)) and not mapper.training
    assert all(parameter.isfinite().all() for parameter in mapper.parameters())


def test_pictures_without_foreground_do_no_harm():
    data = balls(8)
    mask = data.mask.clone()
    mask[:7] = False
    weights = LossWeights(1, 1, 1, 1, 1, 1)
    mapper = fit(replace(data, mask=mask), replace(SETTINGS, weights=weights, steps=20, batch=4))
    assert all(parameter.isfinite().all() for parameter in mapper.parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 19}, "Training takes at least 20 steps"),
        ({"batch": 0}, "a batch of 1 or more"),
        ({"tokens": -1}, "tokens of 0 or more"),
    ],
)
def test_mistakes_in_the_settings(change, message):
    with pytest.raises(ValueError, match=message):
        replace(SETTINGS, **change)


@pytest.mark.parametrize("weights", [{"viewpoint": -1.0}, dict.fromkeys(vars(LossWeights()), 0.0)])
def test_a_weight_is_positive_and_one_is_there(weights):
    with pytest.raises(ValueError, match="A loss's weight is 0 or more, and at least one is above 0"):
        LossWeights(**weights)


def test_the_surface_loss_needs_surfaces():
    data = balls(8)
    data = replace(data, directions=torch.zeros_like(data.directions))
    with pytest.raises(ValueError, match="The surface loss needs renders: these images have no surface points"):
        fit(data, replace(SETTINGS, weights=LossWeights(surface=1.0)))


def test_training_goes_on_from_a_mapper_of_the_same_shape(records, backbone):
    data = training_set(records, backbone, RESOLUTION)
    settings = TrainSettings(
        SphereSettings(32), LossWeights(0, 0, 0, 0, surface=1), steps=20, batch=2, tokens=0, learning_rate=1e-12
    )
    first = fit(data, replace(settings, seed=1), lambda line: None)
    second = fit(data, replace(settings, seed=2), lambda line: None, start=first)
    for name, value in first.state_dict().items():  # at so small a rate the weights stay where they began
        assert torch.allclose(value, second.state_dict()[name], atol=1e-6), name
    with pytest.raises(ValueError, match="has another feature size, width, depth or positions"):
        fit(data, replace(settings, sphere=SphereSettings(32, depth=2)), start=first)
