"""What a sphere was trained on, and pictures unlike it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from spherecorr.features import FeatureMap
from spherecorr.geometry import resize_to_fit
from spherecorr.identity import FeatureSource
from spherecorr.sphere.checkpoint import CheckpointError, checkpoint_files, load_sphere, save_sphere
from spherecorr.sphere.domain import Domain, attach_domain, domain_of, load_domain, save_domain
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.sphere.settings import SphereSettings
from spherecorr.training.domain import fit_domain

DIM = 16


def pictures(kinds: list[int], count: int = 30, seed: int = 0) -> list[torch.Tensor]:
    """Patches near some of 16 axes: what objects of these kinds look like."""
    generator = torch.Generator().manual_seed(seed)
    axes = torch.eye(DIM)[kinds]
    return [
        5 * axes[torch.randint(len(kinds), (24,), generator=generator)] + torch.randn(24, DIM, generator=generator)
        for _ in range(count)
    ]


def feature_map(tokens: torch.Tensor) -> FeatureMap:
    """24 patches as 4 rows of 6 cells of 10 px."""
    features = tokens.T.reshape(DIM, 4, 6)
    return FeatureMap(features, resize_to_fit((60, 40), 60, 10), FeatureSource("hand-made", DIM, 10, 0))


@pytest.fixture
def domain() -> Domain:
    return Domain.fit(pictures([0, 1, 2]), pictures([0, 1, 2], seed=1))


def test_pictures_of_what_was_trained_on_are_known_and_others_are_not(domain):
    everything = np.ones((4, 6), dtype=bool)
    assert all(domain.knows(feature_map(tokens), everything) for tokens in pictures([0, 1, 2], 5, seed=1))
    others = [feature_map(tokens) for tokens in pictures([8, 9], 5, seed=2)]
    assert not any(domain.knows(other, everything) for other in others)


def test_only_the_objects_cells_count(domain):
    tokens = pictures([0, 1, 2], 1, seed=1)[0]
    tokens[12:] = pictures([8, 9], 1)[0][12:]  # two rows of something else below
    upper = np.arange(24).reshape(4, 6) < 12
    assert domain.distance(feature_map(tokens), upper) < domain.threshold < domain.distance(feature_map(tokens), ~upper)
    everywhere = domain.distance(feature_map(tokens), np.ones((4, 6), dtype=bool))
    assert domain.distance(feature_map(tokens), np.zeros((4, 6), dtype=bool)) == everywhere


def test_the_distance_does_not_see_how_long_features_are_away_from_the_mean(domain):
    direction = normalize(torch.randn(24, DIM, generator=torch.Generator().manual_seed(0)), dim=-1)
    near, far = (feature_map(domain.mean + length * direction) for length in (1.0, 7.0))
    everything = np.ones((4, 6), dtype=bool)
    assert domain.distance(near, everything) == pytest.approx(domain.distance(far, everything), abs=1e-5)


def test_a_domain_on_disk_is_small_and_says_the_same(domain, tmp_path):
    save_domain(domain, tmp_path / "domain.safetensors")
    assert (tmp_path / "domain.safetensors").stat().st_size < 200_000
    again, everything = load_domain(tmp_path / "domain.safetensors"), np.ones((4, 6), dtype=bool)
    for tokens in pictures([0, 5], 3):
        seen = feature_map(tokens)
        assert again.distance(seen, everything) == pytest.approx(domain.distance(seen, everything), abs=1e-3)
    assert again.threshold == pytest.approx(domain.threshold)


def test_a_checkpoint_brings_its_domain_along(domain, tmp_path):
    mapper = SphereMapper(SphereSettings(DIM))
    save_sphere(mapper, tmp_path / "sphere")
    assert domain_of(load_sphere(tmp_path / "sphere", device="cpu")) is None
    attach_domain(mapper, domain)
    save_sphere(mapper, tmp_path / "sphere")
    loaded = domain_of(load_sphere(tmp_path / "sphere", device="cpu"))
    assert loaded is not None and loaded.threshold == pytest.approx(domain.threshold)
    assert len(checkpoint_files(tmp_path / "sphere")) == 3  # it counts for what the checkpoint is
    save_sphere(SphereMapper(SphereSettings(DIM)), tmp_path / "sphere")  # another one, which does not say
    assert domain_of(load_sphere(tmp_path / "sphere", device="cpu")) is None


def test_a_damaged_domain_is_named(domain, tmp_path):
    save_sphere(SphereMapper(SphereSettings(DIM)), tmp_path / "sphere")
    (tmp_path / "sphere" / "domain.safetensors").write_bytes(b"no tensors")
    with pytest.raises(CheckpointError, match=r"domain\.safetensors.*damaged"):
        load_sphere(tmp_path / "sphere", device="cpu")
    save_domain(domain, tmp_path / "sphere" / "domain.safetensors")
    load_sphere(tmp_path / "sphere", device="cpu")
    save_domain(replace(domain, mean=domain.mean[:5]), tmp_path / "sphere" / "domain.safetensors")
    with pytest.raises(CheckpointError, match=r"5 channels.*takes 16"):
        load_sphere(tmp_path / "sphere", device="cpu")


def test_crops_of_a_training_become_its_domain():
    from spherecorr.training.annotations import Annotations
    from spherecorr.training.batches import TensorCrops

    tokens = torch.stack(pictures([0, 1], 40))
    labels = torch.zeros(40, 1, 24, 5)
    labels[..., :12, 0] = 1  # the object is above
    tokens[:, 12:] = torch.stack(pictures([8], 40))[:, 12:]
    unknown = torch.full((40,), torch.nan)
    known = Annotations(unknown, unknown, torch.zeros(40), torch.zeros(40, dtype=torch.long), ("blob",))
    crops = TensorCrops(tokens[:, None], labels, known, (6, 4))
    domain, everything = fit_domain(crops), np.ones((4, 6), dtype=bool)
    assert domain is not None
    assert domain.knows(feature_map(pictures([0, 1], 1, seed=3)[0]), everything)
    assert not domain.knows(feature_map(pictures([8], 1, seed=3)[0]), everything)  # background was not trained on
    assert fit_domain(crops, count=10) is None  # too few to hold some out
