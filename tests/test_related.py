"""The losses of related systems by hand, pairs of stored crops, and both baselines learning on tiny renders."""

import json
import math
from dataclasses import replace

import pytest
import torch
from balls import SETTINGS, balls, only
from torch.nn.functional import normalize

import spherecorr as sc
from spherecorr.cli import main
from spherecorr.data.spair import SPair71k
from spherecorr.errors import SpherecorrError
from spherecorr.extraction import extract
from spherecorr.render.dataset import render_dataset
from spherecorr.render.settings import RenderSettings
from spherecorr.sphere.checkpoint import load_sphere
from spherecorr.sphere.losses import sample_cells
from spherecorr.sphere.related_losses import (
    correspondence_loss,
    labelling_loss,
    mutual_neighbours,
    smoothness_loss,
)
from spherecorr.sphere.settings import SphereSettings
from spherecorr.store_settings import StoreError, StoreSettings
from spherecorr.training.fit import fit
from spherecorr.training.objectives import next_alike
from spherecorr.training.paired import PairedCrops
from spherecorr.training.settings import PRESET_CROPS, PRESET_SPHERES, preset

# Pseudo-correspondences

LOOKS = torch.eye(4)
ALL = torch.ones(1, 3, dtype=torch.bool)


def test_buddies_are_each_others_nearest():
    first = LOOKS[[0, 1, 2]][None]
    second = torch.stack([LOOKS[1], LOOKS[0] + 0.1 * LOOKS[2], LOOKS[0]])[None]  # both last ones look like patch 0
    picture, patch, other = mutual_neighbours(first, second, ALL, ALL)
    assert (picture.tolist(), patch.tolist(), other.tolist()) == ([0, 0], [0, 1], [2, 0])


def test_buddies_lie_on_both_objects():
    same = LOOKS[[0, 1, 2]][None]
    no_first = torch.tensor([[False, True, True]])
    _, patch, other = mutual_neighbours(same, same, ALL, no_first)
    assert patch.tolist() == other.tolist() == [1, 2]  # patch 0's own look is background there
    assert all(len(part) == 0 for part in mutual_neighbours(same, same, ~ALL, ALL))


def test_matched_patches_come_together():
    plane = torch.tensor([[[-0.9, 0.0], [0.0, 0.0], [0.9, 0.0]]])
    places = torch.tensor([0, 1, 2])
    right, wrong = (torch.zeros(3, dtype=torch.long), places, places), (torch.zeros(3).long(), places, places.flip(0))
    assert correspondence_loss(plane, plane, ALL, right) < 0.01 < 5 < correspondence_loss(plane, plane, ALL, wrong)
    same = torch.zeros(1, 3, 2)
    assert correspondence_loss(same, same, ALL, right).item() == pytest.approx(math.log(3))  # as good as any
    alone = torch.tensor([[True, False, False]])
    assert correspondence_loss(same, same, alone, tuple(part[:1] for part in right)) == 0
    assert correspondence_loss(same, same, ALL, tuple(part[:0] for part in right)) == 0


def test_partners_are_of_one_category():
    image, partner = next_alike(torch.tensor([0, 1, 0, 2, 1, 0]))
    assert image.tolist() == [0, 1, 2, 4, 5] and partner.tolist() == [2, 4, 5, 1, 0]  # the only one of 2 has none


# Smoothness


def test_a_shift_is_smooth_and_a_fold_is_not():
    column, row = torch.meshgrid(torch.arange(3.0), torch.arange(3.0), indexing="xy")
    positions = (torch.stack([column, row], dim=-1).reshape(1, 9, 2) - 1) * 0.5
    upright = positions * torch.tensor([1.0, -1.0])
    mask = torch.ones(1, 9, dtype=torch.bool)
    assert smoothness_loss(upright + 0.1, positions, mask, 0.5) == pytest.approx(0, abs=1e-6)
    # All on one point: each of the 12 neighbours is half a step of the picture off.
    assert smoothness_loss(upright * 0, positions, mask, 0.5) == pytest.approx(0.5)
    assert smoothness_loss(upright * 0, positions, mask & (torch.arange(9) == 4), 0.5) == 0


# Labels


def test_labels_that_move_with_the_picture_cost_nothing():
    labels = normalize(torch.tensor([[[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0]]]), dim=-1)
    warp = torch.tensor([[[0.5, 0.5], [1.5, 0.5], [2.5, 0.5], [math.nan, math.nan]]])  # one row of four cells
    mask = torch.ones(1, 4, dtype=torch.bool)
    loss = labelling_loss(labels, labels, warp, (4, 1), mask)
    assert loss == pytest.approx(0, abs=1e-5)
    # Labels all alike give every cell the same share: distances 0, 1, 2, 3 of the first, 1, 0, 1, 2 of the second, ...
    roots = torch.tensor([[0.0, 1, 2, 3], [1, 0, 1, 2], [2, 1, 0, 1]]).sqrt()
    same = labels[:, :1].expand(1, 4, 3)
    assert labelling_loss(same, same, warp, (4, 1), mask) == pytest.approx(roots.mean().item())
    assert labelling_loss(labels, labels, warp, (4, 1), ~mask) == 0


# Both on tiny renders

RESOLUTION = 160


@pytest.fixture(scope="module")
def cars(tmp_path_factory):
    """Renders of cars with a store of pairs of crops, and held-out pairs with their features."""
    folder = tmp_path_factory.mktemp("cars")
    for split, count in (("trn", 24), ("test", 12)):
        settings = RenderSettings(split, count, pairs=24, categories=("car",), size=RESOLUTION)
        render_dataset(folder / "renders", settings, processes=1)
    data, backbone = SPair71k(folder / "renders"), sc.load_backbone("mini", device="cpu")
    made = StoreSettings(backbone.source, RESOLUTION, labels=True, **PRESET_CROPS["deil"])
    store = extract(data.images("trn"), backbone, made, folder / "store")
    whole = StoreSettings(backbone.source, RESOLUTION)
    features = extract(data.images("test"), backbone, whole, folder / "test")
    return PairedCrops(store, data.images("trn")), data.pairs("test"), features


def test_stored_crops_know_where_they_lie_in_one_another(cars):
    """Surface points of renders, sampled in the second crop where the warp says, are those of the first."""
    data, _, _ = cars
    batch = data.batch(torch.arange(24), torch.arange(24))
    expected, seen = sample_cells(batch.other.directions, batch.other.mask, batch.warp, data.grid)
    kept = seen & batch.mask & (expected.norm(dim=-1) > 0.9)
    wrong, _ = sample_cells(batch.other.directions, batch.other.mask, batch.warp.roll(1, dims=1), data.grid)
    cosine, others = ((found * batch.directions).sum(-1)[kept] for found in (expected, wrong))
    assert kept.sum() > 200 and cosine.mean() > 0.95 > others.mean() + 0.05


def test_pairs_of_crops_need_two_of_them(cars, tmp_path):
    _, pairs, _ = cars
    records, backbone = [pairs[0].source], sc.load_backbone("mini", device="cpu")
    one = extract(records, backbone, StoreSettings(backbone.source, 64, labels=True), tmp_path / "one")
    with pytest.raises(StoreError, match=r"need a store with --crops 2 or more, not mirrored; '.*one' has 1\."):
        PairedCrops(one, records)


def trained(cars, run, name: str, steps: int):
    """The mapper of a preset after some steps, its first and last losses, and PCK of its surface before and after."""
    data, pairs, features = cars
    source = features.settings.source
    sphere = SphereSettings(source.dim, source=source, resolution=RESOLUTION, **PRESET_SPHERES[name])
    settings = replace(preset(name, sphere, len(data)), batch=12, log_every=20)
    scores = []
    for count in (1, steps):
        mapper = fit(data, replace(settings, steps=count), run / str(count), device="cpu")
        report = sc.evaluate(pairs, features, sphere=mapper, alpha=1.0, resamples=0, protocols=("corrected",))
        scores.append(report.value("PCK", "sphere"))
    lines = [json.loads(line) for line in (run / str(steps) / "metrics.jsonl").read_text().splitlines()]
    return mapper, lines[0], lines[-1], scores


def test_a_flat_atlas_is_learned_from_pseudo_correspondences(cars, tmp_path):
    mapper, first, last, (before, after) = trained(cars, tmp_path, "asic", 120)
    assert mapper.settings.surface == "plane" and mapper.settings.alpha == 1
    assert last["correspondence"] < 0.8 * first["correspondence"]
    assert after > 1.5 * before and after > 0.1


def test_a_sphere_is_learned_from_warps_of_single_images(cars, tmp_path):
    _, first, last, (before, after) = trained(cars, tmp_path, "deil", 120)
    assert first.keys() == {"step", "labelling"} and last["labelling"] < 0.8 * first["labelling"]
    assert after > 1.5 * before and after > 0.1


@pytest.mark.parametrize(("name", "surface"), [("smoothness", "sphere"), ("labelling", "plane")])
def test_losses_without_a_meaning_on_a_surface_are_refused(name, surface):
    settings = replace(SETTINGS, sphere=SphereSettings(16, surface=surface), weights=only(name))
    with pytest.raises(SpherecorrError, match=f"The {name} loss has no meaning on a {surface}; set its weight to 0."):
        fit(balls(8), settings)


# The command


def test_a_category_has_its_own_atlas(tmp_path, capsys):
    render = ["--categories", "car,dog", "--count", "6", "--pairs", "3", "--size", "64", "--processes", "1"]
    assert main(["render", str(tmp_path / "renders"), *render]) == 0
    command = ["train", str(tmp_path / "asic"), "--preset", "asic", "--data", "renders", str(tmp_path / "renders")]
    command += ["--backbone", "mini", "--resolution", "64", "--steps", "4", "--batch", "2", "--device", "cpu"]
    assert main(command) == 0
    said = capsys.readouterr().out
    for category in ("car", "dog"):
        mapper = load_sphere(tmp_path / "asic" / category / "last", device="cpu")
        assert mapper.settings.categories == (category,) and mapper.settings.surface == "plane"
        assert f"wrote {tmp_path / 'asic' / category}, with the mapper" in said


def test_a_store_that_is_to_be_shared_must_be_there(tmp_path, capsys):
    command = ["train", str(tmp_path / "asic"), "--preset", "asic", "--data", "renders", str(tmp_path)]
    assert main([*command, "--store", str(tmp_path / "none"), "--device", "cpu"]) == 2
    assert "spherecorr extract --labels --crops 4` makes it, of all categories" in capsys.readouterr().err
