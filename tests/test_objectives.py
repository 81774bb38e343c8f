"""The terms of the loss: by name, on either surface, and with two crops of each image."""

import math
from dataclasses import dataclass, replace

import pytest
import torch
from balls import ALONE, SETTINGS, balls, everything, metrics, only

from spherecorr.errors import SpherecorrError
from spherecorr.sphere.mapper import grid_positions
from spherecorr.sphere.settings import SphereSettings
from spherecorr.sphere.surface import SURFACES
from spherecorr.training.batches import TensorCrops
from spherecorr.training.fit import fit
from spherecorr.training.objectives import TERMS, LossTerm, StepState, weighted_terms
from spherecorr.training.settings import LossWeights


def test_every_loss_with_a_weight_is_a_term():
    assert list(TERMS) == list(vars(LossWeights()))
    assert list(weighted_terms(LossWeights())) == ["reconstruction", "viewpoint", "distance", "orientation"]


def test_weights_change_by_name():
    assert LossWeights().changed({"viewpoint": 5}) == LossWeights(viewpoint=5)
    with pytest.raises(SpherecorrError, match="There is no loss 'twist'; there are reconstruction, viewpoint, "):
        LossWeights().changed({"twist": 1.0})


def test_a_new_objective_is_a_function_a_name_and_a_weight(monkeypatch, tmp_path):
    @dataclass(frozen=True)
    class MoreWeights(LossWeights):
        upward: float = 0.0

    def upward(state):
        return 1 - state.all_points[state.all_masks][:, 2].mean()

    monkeypatch.setitem(TERMS, "upward", LossTerm(upward, sphere_only=True))
    none = dict.fromkeys(vars(LossWeights()), 0.0)
    fit(balls(), replace(SETTINGS, weights=MoreWeights(**none, upward=1.0)), tmp_path)
    first, last = metrics(tmp_path)
    assert first.keys() == {"step", "upward"} and last["upward"] < 0.1 * first["upward"]


# Another surface


def test_a_plane_is_learned_from_what_has_a_meaning_on_it(tmp_path):
    """Reconstruction, distances and orientation; the others are refused."""
    plane = SphereSettings(16, width=32, surface="plane")
    weights = LossWeights(reconstruction=1, viewpoint=0, distance=1, orientation=1)
    mapper = fit(balls(), replace(SETTINGS, sphere=plane, weights=weights, tokens=30), tmp_path)
    first, last = metrics(tmp_path)
    assert first.keys() == {"step", "reconstruction", "distance", "orientation"}
    assert all(last[name] < first[name] for name in first.keys() - {"step"})
    with torch.no_grad():
        points = mapper(everything(balls()).features)
    assert points.shape[-1] == 2 and points.abs().max() <= 1


@pytest.mark.parametrize("name", ["viewpoint", "surface", "background", "visibility"])
def test_a_plane_has_no_place_for_viewpoints(name):
    settings = replace(SETTINGS, sphere=SphereSettings(16, surface="plane"), weights=only(name))
    with pytest.raises(SpherecorrError, match=f"The {name} loss has no meaning on a plane; set its weight to 0."):
        fit(balls(8), settings)


# Two crops of each image


class ShiftedBalls(TensorCrops):
    """Two crops of each picture, the second two cells further to the right; the warp says `shift` cells."""

    has_warp = True

    def __init__(self, shift: float = 2.0):
        data = balls()
        super().__init__(data.features, data.labels, data.known, data.grid)
        self.shift = shift

    def batch(self, images, seeds):
        first = super().batch(images, seeds)
        columns, rows = self.grid
        row, column = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, indexing="ij")
        warp = torch.stack([column - self.shift, row], dim=-1).reshape(1, -1, 2).repeat(len(images), 1, 1)
        warp[(warp < 0).any(dim=-1)] = math.nan
        shifted = {
            name: getattr(first, name).unflatten(1, (rows, columns)).roll(-2, dims=2).flatten(1, 2)
            for name in ("features", "mask", "background", "directions")
        }
        return replace(first, other=replace(first, **shifted), warp=warp)


def equivariance(shift: float) -> float:
    """The loss of a map that is known, the ball's own directions, with a warp by some cells."""
    data = ShiftedBalls(shift)
    batch = everything(data)
    state = StepState(
        batch,
        grid_positions(data.grid).expand(len(data), -1, -1),
        batch.directions,
        None,
        SURFACES["sphere"],
        torch.Generator(),
        SETTINGS.triplets,
        ALONE,
        rebuild=lambda points, category: points,
        grid=data.grid,
        map_whole=lambda crops: crops.directions,
    )
    return TERMS["equivariance"].value(state).item()


def test_a_map_of_the_object_alone_is_the_same_in_both_crops():
    assert equivariance(shift=2) == pytest.approx(0, abs=1e-3)  # directions are stored in half precision
    assert equivariance(shift=1) > 0.05 and equivariance(shift=3) > 0.05


def test_equivariance_is_learned_beside_another_loss(tmp_path):
    """A mapper that sees positions depends on where a crop lies, unless it is taught not to."""
    settings = replace(SETTINGS, sphere=SphereSettings(16, width=32, positions="frame"), tokens=30)
    for weight in (1.0, 1e-6):  # with the second it is measured, and does not count
        weights = replace(only("viewpoint"), equivariance=weight)
        fit(ShiftedBalls(), replace(settings, weights=weights), tmp_path / str(weight))
    (first, taught), (_, untaught) = (metrics(tmp_path / weight) for weight in ("1.0", "1e-06"))
    assert taught["equivariance"] < 0.5 * first["equivariance"]
    assert taught["equivariance"] < 0.5 * untaught["equivariance"]


def test_equivariance_needs_two_crops():
    with pytest.raises(SpherecorrError, match="The equivariance loss needs two crops of each image, 'square' or"):
        fit(balls(8), replace(SETTINGS, weights=only("equivariance")))
