"""Training of the sphere mapper: losses that fall, seeds that decide, runs that stop and resume."""

import json
import math
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from balls import ALL_LOSSES, ALONE, SETTINGS, balls, everything, metrics, only
from torch.nn.functional import normalize

from spherecorr.errors import SpherecorrError
from spherecorr.files import FileError
from spherecorr.geometry import pad_to_square
from spherecorr.parallel import Processes
from spherecorr.sphere.checkpoint import load_sphere
from spherecorr.sphere.mapper import frame_positions, grid_positions
from spherecorr.sphere.settings import SphereSettings
from spherecorr.training.fit import Trainer, draw_images, fit
from spherecorr.training.optimisers import MUON_RATE, make_optimisers, set_learning_rate
from spherecorr.training.schedule import one_cycle
from spherecorr.training.settings import LossWeights, TrainSettings, learning_rate, preset

needs_muon = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")


@pytest.mark.parametrize(
    "name", ["reconstruction", "viewpoint", "distance", "orientation", "surface", "background", "visibility"]
)
def test_each_loss_falls_when_it_is_the_only_one(name, tmp_path):
    fit(balls(), replace(SETTINGS, weights=only(name)), tmp_path)
    first, last = metrics(tmp_path)
    assert first.keys() == {"step", name}  # the others are not even computed
    assert (first["step"], last["step"]) == (50, 100)
    # The distance loss has a floor well above 0: patches at nearly equal distances cannot all keep the margin.
    assert last[name] < (0.9 if name == "distance" else 0.7) * first[name]


def test_the_surface_is_learned_from_its_directions():
    data = balls()
    mapper = fit(data, replace(SETTINGS, weights=only("surface")))
    batch = everything(data)
    with torch.no_grad():
        cosine = (mapper(batch.features) * batch.directions).sum(dim=-1)[batch.mask]
    assert torch.rad2deg(cosine.clamp(-1, 1).acos()).median() < 10


def test_the_papers_losses_together_find_the_sphere_without_a_dense_label(tmp_path):
    """Up to a rotation: opposite sides of the ball lie on opposite sides of the sphere, and it is not mirrored."""
    data = balls()
    weights = LossWeights(reconstruction=1, viewpoint=1, distance=0.3, orientation=0.3)
    mapper = fit(data, replace(SETTINGS, weights=weights, steps=200), tmp_path)
    assert metrics(tmp_path)[-1].keys() == {"step", "reconstruction", "viewpoint", "distance", "orientation"}
    batch = everything(data)
    with torch.no_grad():
        sphere = mapper(batch.features)
    mean = normalize((sphere * batch.mask[..., None]).sum(dim=1), dim=-1)
    turn = torch.deg2rad(batch.azimuth[:, None] - batch.azimuth[None])
    assert np.corrcoef((mean @ mean.T).flatten(), turn.cos().flatten())[0, 1] > 0.95
    # The best orthogonal map between the two is a rotation: its determinant is not -1.
    directions = batch.directions[batch.mask]
    left, _, right = torch.linalg.svd(sphere[batch.mask].T @ directions)
    assert torch.linalg.det(left @ right) > 0
    aligned = (sphere[batch.mask] @ left @ right * directions).sum(dim=-1)
    assert torch.rad2deg(aligned.clamp(-1, 1).acos()).median() < 30


def test_visibility_ties_the_sphere_to_the_axes_of_the_viewpoints():
    """Left is +y, without a dense label and without a rotation found afterwards."""
    data = balls()
    weights = LossWeights(reconstruction=0, viewpoint=1, distance=0.3, orientation=0.3, visibility=1)
    mapper = fit(data, replace(SETTINGS, weights=weights, steps=200))
    batch = everything(data)
    with torch.no_grad():
        cosine = (mapper(batch.features) * batch.directions).sum(dim=-1)[batch.mask]
    assert torch.rad2deg(cosine.clamp(-1, 1).acos()).median() < 30


def test_a_trial_may_take_steps_of_its_own():
    class WithoutOffset(Trainer):
        def train_step(self):
            super().train_step()
            torch.nn.init.zeros_(self.mapper.head.bias)

    short = replace(SETTINGS, steps=5)
    assert not fit(balls(8), short, trainer=WithoutOffset).head.bias.any()
    assert fit(balls(8), short).head.bias.any()


def test_the_seed_decides_everything():
    short = replace(SETTINGS, steps=20)
    first, again, other = (fit(balls(), replace(short, seed=seed)).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not any(torch.equal(first[key], other[key]) for key in first if key.endswith("weight") and "norm" not in key)


def test_seeded_weights_stay_what_they_were():
    """Written down once, so that a change of the code that changes the numbers is noticed (torch 2.9 and later)."""
    first_seven = LossWeights(1, 1, 1, 1, 1, 1, 1)
    settings = replace(SETTINGS, weights=first_seven, steps=10, batch=8, tokens=30, foreground_weight=3.0)
    begun = Trainer(balls(), settings, ALONE, None).mapper.head.bias.tolist()
    assert begun == [0.09362639486789703, 0.08849582076072693, 0.061617933213710785]
    # Other processors sum in another order; the seventh digit is theirs, and ten steps of Adam enlarge it.
    bias = fit(balls(), settings, device="cpu").head.bias.tolist()
    assert bias == pytest.approx([0.09336644411, 0.08952735364, 0.05886823684], abs=1e-5)


def test_the_global_random_generators_are_left_alone(tmp_path):
    def states():
        return torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()  # noqa: NPY002

    torch.manual_seed(5)
    before = states()
    fit(balls(8), replace(RUN, steps=20), tmp_path, validate=height)
    assert states() == before


@pytest.mark.parametrize("positions", ["none", "frame"])
@pytest.mark.parametrize("tokens", [0, 30, 10_000])
def test_the_mapper_is_what_the_settings_say(positions, tokens):
    sphere = SphereSettings(16, width=48, depth=2, positions=positions, alpha=0.4)
    mapper = fit(balls(8), replace(SETTINGS, sphere=sphere, steps=20, tokens=tokens))
    assert mapper.settings == replace(sphere, categories=("ball",)) and not mapper.training
    assert all(parameter.isfinite().all() for parameter in mapper.parameters())


def test_pictures_without_foreground_do_no_harm():
    data = balls(8)
    data.labels[:7, :, :, 0] = 0
    mapper = fit(data, replace(SETTINGS, weights=ALL_LOSSES, steps=20, batch=4))
    assert all(parameter.isfinite().all() for parameter in mapper.parameters())


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_learns_about_the_same(precision, tmp_path):
    settings = replace(SETTINGS, weights=only("surface"), steps=50)
    fit(balls(), settings, tmp_path / "fp32")
    fit(balls(), replace(settings, precision=precision), tmp_path / precision)
    (full,), (half,) = metrics(tmp_path / "fp32"), metrics(tmp_path / precision)
    # fp16 leaves out its first step or two, until the scale of its gradients fits.
    assert half["surface"] == pytest.approx(full["surface"], rel=0.1) and half != full


def test_objects_below_half_a_patch_are_refused(tmp_path):
    """And not trained on with losses of 0, to a mapper that is as random as it was."""
    data = balls(8)
    data.labels[..., 0] = 0.5
    with pytest.raises(SpherecorrError, match="None of the 8 images has a patch that its object covers by more than"):
        fit(data, replace(SETTINGS, weights=LossWeights(viewpoint=5)), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    data.labels[3, 0, 24, 0] = 0.51
    fit(data, replace(SETTINGS, steps=2))


def test_every_image_has_its_turn_before_any_has_a_second():
    settings = replace(SETTINGS, batch=5)
    drawn = torch.cat([draw_images(8, settings, step) for step in range(8)]).reshape(5, 8)
    assert torch.equal(drawn.sort(dim=1).values, torch.arange(8).expand(5, -1))
    assert len({tuple(order.tolist()) for order in drawn}) == 5


# Patches of a step


def draw(weight: float, tokens: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Whether each of the drawn patches `[48, tokens]` lies on the ball, and which they are."""
    data = balls()
    settings = replace(SETTINGS, batch=len(data), tokens=tokens, foreground_weight=weight)
    batch = everything(data)
    cells = Trainer(data, settings, ALONE, None).draw_cells(batch, torch.Generator().manual_seed(seed))
    return batch.take(cells).mask, cells


def test_no_patch_is_drawn_twice_and_each_image_has_its_own():
    _, cells = draw(weight=4, tokens=30)
    assert cells.shape == (48, 30) and all(len(set(row)) == 30 for row in cells.tolist())
    assert len({frozenset(row) for row in cells.tolist()}) == 48


def test_with_equal_weights_the_object_gets_its_share_of_the_patches():
    share = everything(balls()).mask.float().mean()
    assert draw(weight=1, tokens=20)[0].float().mean() == pytest.approx(float(share), abs=0.05)  # of 960 patches


def test_with_a_high_foreground_weight_the_object_comes_first():
    on_ball = int(everything(balls()).mask[0].sum())  # 29 of 49
    assert draw(weight=1e6, tokens=on_ball)[0].all()
    assert draw(weight=1e6, tokens=on_ball + 5)[0].sum(dim=1).eq(on_ball).all()


def test_all_that_belongs_to_a_patch_is_taken_with_it():
    batch = everything(balls(2))
    few = batch.take(torch.tensor([[3, 0], [24, 24]]))
    for name in ("features", "mask", "background", "directions"):
        assert torch.equal(getattr(few, name)[0], getattr(batch, name)[0, [3, 0]])
        assert torch.equal(getattr(few, name)[1], getattr(batch, name)[1, [24, 24]])
    assert few.azimuth is batch.azimuth


# Optimisers


def test_muon_wants_a_torch_that_has_it(monkeypatch):
    monkeypatch.delattr(torch.optim, "Muon", raising=False)
    with pytest.raises(SpherecorrError, match=r"needs torch 2\.9 or newer, and this is .*; update torch, or"):
        Trainer(balls(8), replace(SETTINGS, optimiser="muon"), ALONE, None)
    assert len(Trainer(balls(8), SETTINGS, ALONE, None).optimisers) == 1


@needs_muon
def test_muon_moves_the_matrices_of_the_blocks_and_adamw_the_rest():
    settings = replace(SETTINGS, optimiser="muon")
    trainer = Trainer(balls(8), settings, ALONE, None)
    muon, adamw = (
        {id(p) for group in optimiser.param_groups for p in group["params"]} for optimiser in trainer.optimisers
    )
    names = {name for name, parameter in trainer.mapper.named_parameters() if id(parameter) in muon}
    assert names == {f"blocks.0.{name}.weight" for name in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")}
    assert not muon & adamw and muon | adamw == set(map(id, trainer.modules.parameters()))
    set_learning_rate(trainer.optimisers, 2e-3)
    assert [o.param_groups[0]["lr"] for o in trainer.optimisers] == [2e-3 * MUON_RATE, 2e-3]
    assert len(make_optimisers(trainer.mapper, trainer.prototypes, SETTINGS)) == 1


@needs_muon
def test_muon_learns_the_surface(tmp_path):
    fit(balls(), replace(SETTINGS, weights=only("surface"), optimiser="muon"), tmp_path)
    first, last = metrics(tmp_path)
    assert last["surface"] < 0.5 * first["surface"]


def test_the_learning_rate_rises_and_falls():
    rates = [learning_rate(SETTINGS, step) for step in range(100)]
    assert rates[:10] == sorted(rates[:10]) and rates[10:] == sorted(rates[10:], reverse=True)
    assert max(rates) == pytest.approx(SETTINGS.learning_rate, rel=0.01)
    assert rates[-1] < 1e-3 * SETTINGS.learning_rate
    assert {learning_rate(replace(SETTINGS, schedule="constant"), step) for step in range(100)} == {1e-3}


def test_one_cycle_by_hand():
    """Four steps, of which the first is the warm-up: in its middle half of the peak, then along a half cosine."""
    rates = [one_cycle(step, 4, 0.25, 2.0) for step in range(4)]
    assert rates == pytest.approx([1.0, 1 + math.cos(math.pi / 6), 1.0, 1 + math.cos(math.pi * 5 / 6)])


def test_a_grids_positions_are_those_of_a_framed_square():
    torch.testing.assert_close(grid_positions((7, 7)), frame_positions(pad_to_square((300, 300), 112, 16)))


# Presets


def test_the_papers_preset_is_the_public_run():
    settings = preset("paper", SphereSettings(768), images=1000)
    assert (settings.steps, settings.batch, settings.tokens) == (31_250, 64, 0)  # 200 epochs of 10 x 1,000 images
    assert settings.weights == LossWeights(1.0, 0.1, 0.3, 0.3, 0.0, 0.0, 0.0)
    assert (settings.schedule, settings.learning_rate, settings.weight_decay) == ("constant", 1e-3, 0.0)
    assert settings.clip == 0 and settings.sphere.positions == "none"


def test_the_fast_preset_lets_the_viewpoint_lead():
    assert preset("fast", SphereSettings(16), images=10) == TrainSettings(SphereSettings(16), LossWeights(viewpoint=5))
    with pytest.raises(SpherecorrError, match="There is no preset 'slow'; there are fast, paper, asic and deil"):
        preset("slow", SphereSettings(16), images=10)


# Runs

RUN = replace(SETTINGS, weights=ALL_LOSSES, steps=60, batch=8, tokens=30, log_every=5, save_every=10, validate_every=20)


def outputs(run: Path) -> dict[str, bytes]:
    """All files of a run but the state, whose bytes hold no result."""
    names = ("config.json", "metrics.jsonl", "last/model.safetensors", "best/model.safetensors", "best/config.json")
    return {name: (run / name).read_bytes() for name in names}


def height(mapper) -> dict[str, float]:
    """Any figure of the weights, in the place of one on held-out pairs."""
    return {"height": float(mapper.head.bias.detach()[2]), "other": 1.0}


def test_a_run_writes_what_it_is_and_where_it_was_best(tmp_path):
    figures = iter([0.2, 0.5, 0.4])
    mapper = fit(
        balls(), RUN, tmp_path, validate=lambda _: {"kap": next(figures), "pck": 0.0}, about={"versions": {"x": "1"}}
    )
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["training"]["images"] == 48 and config["training"]["weights"]["background"] == 1
    assert config["mapper"]["background"] == "head" and config["versions"] == {"x": "1"}
    losses = [line for line in metrics(tmp_path) if "surface" in line]
    assert [line["step"] for line in losses] == list(range(5, 65, 5))
    validations = [line for line in metrics(tmp_path) if "validation_kap" in line]
    assert [(line["step"], line["validation_kap"]) for line in validations] == [(20, 0.2), (40, 0.5), (60, 0.4)]
    best, last = (json.loads((tmp_path / name / "config.json").read_text()) for name in ("best", "last"))
    assert (best["step"], best["metrics"]) == (40, {"kap": 0.5, "pck": 0.0})
    assert (last["step"], last["metrics"]["kap"]) == (60, 0.4)
    names = {path.name for path in tmp_path.iterdir() if not path.name.startswith("events.")}  # TensorBoard's
    assert names == {"config.json", "metrics.jsonl", "state.pt", "best", "last"}
    loaded = load_sphere(tmp_path / "last", device="cpu")
    assert loaded.settings == mapper.settings and "mapper" not in last
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), mapper.parameters(), strict=True))


def test_a_run_that_is_done_is_not_trained_again(tmp_path):
    first = fit(balls(), RUN, tmp_path, validate=height)
    before = outputs(tmp_path)
    again = fit(balls(), RUN, tmp_path, validate=height)
    assert outputs(tmp_path) == before
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))


def test_each_step_is_told_and_the_losses_of_those_that_are_logged():
    heard = []
    fit(balls(8), replace(RUN, steps=11), on_step=lambda *said: heard.append(said))
    assert [(step, steps) for step, steps, _ in heard] == [(step, 11) for step in range(1, 12)]
    assert [step for step, _, losses in heard if losses] == [5, 10, 11]
    assert heard[4][2].keys() == {name for name, weight in vars(ALL_LOSSES).items() if weight}


def test_a_run_ends_when_it_is_told_to_and_resumes_there(tmp_path):
    whole = fit(balls(), RUN, tmp_path / "whole")
    fit(balls(), RUN, tmp_path / "run", on_step=lambda step, steps, losses: step < 13)
    assert json.loads((tmp_path / "run" / "last" / "config.json").read_text())["step"] == 13
    heard = []
    again = fit(balls(), RUN, tmp_path / "run", on_step=lambda step, steps, losses: heard.append(step))
    assert heard == list(range(14, 61))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))


def test_tensorboard_shows_each_step_once(tmp_path):
    """A run that breaks off at step 20 resumes from step 10."""
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

    def stop(_):
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fit(balls(), RUN, tmp_path, validate=stop)
    fit(balls(), RUN, tmp_path, validate=height)
    board = events.EventAccumulator(str(tmp_path)).Reload()
    assert [event.step for event in board.Scalars("surface")] == list(range(5, 65, 5))
    assert [event.step for event in board.Scalars("validation_height")] == [20, 40, 60]


def test_a_full_disk_loses_nothing_that_was_written(tmp_path, monkeypatch):
    short = replace(RUN, steps=20)
    fit(balls(), short, tmp_path / "whole", validate=height)
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.name == "state.pt.partial" and '"step": 20' in (path.parent / "metrics.jsonl").read_text():
            write(path, content[:10])
            raise OSError(28, "No space left on device")  # the system names no file here
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(FileError, match=r"'.*full/state\.pt' cannot be written \(No space left on device\)"):
        fit(balls(), short, tmp_path / "full", validate=height)
    monkeypatch.undo()
    assert not list((tmp_path / "full").glob("*.partial"))  # which would keep the disk full
    assert torch.load(tmp_path / "full" / "state.pt", weights_only=True)["step"] == 10
    fit(balls(), short, tmp_path / "full", validate=height)
    assert outputs(tmp_path / "whole") == outputs(tmp_path / "full")


def test_a_folder_with_another_run_is_refused(tmp_path):
    short = replace(RUN, steps=20)
    fit(balls(), short, tmp_path / "run", about={"data": "renders", "versions": {"torch": "1"}})
    fit(balls(), short, tmp_path / "run", about={"data": "renders", "versions": {"torch": "2"}})  # not compared
    with pytest.raises(
        SpherecorrError, match=r"run' holds a run with other settings: training\.batch is 8 there and 9"
    ):
        fit(balls(), replace(short, batch=9), tmp_path / "run", about={"data": "renders"})
    with pytest.raises(SpherecorrError, match='data is "renders" there and "photos" here'):
        fit(balls(), short, tmp_path / "run", about={"data": "photos"})
    with pytest.raises(SpherecorrError, match="is no training run; choose another folder"):
        fit(balls(), short, tmp_path / "run" / "last")
    (tmp_path / "run" / "state.pt").write_bytes(b"nonsense")
    with pytest.raises(SpherecorrError, match=r"state\.pt is damaged; delete '.*run' and train again"):
        fit(balls(), short, tmp_path / "run", about={"data": "renders"})


def test_processes_share_a_batch_in_order():
    batch = torch.arange(6)
    parts = [Processes(index, 3, torch.device("cpu")).shard(batch).tolist() for index in range(3)]
    assert parts == [[0, 1], [2, 3], [4, 5]]


# Mistakes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "Steps, batch, triplets and log_every are 1 or more"),
        ({"batch": 0}, "Steps, batch, triplets and log_every are 1 or more"),
        ({"tokens": -1}, "tokens 0 or more"),
        ({"foreground_weight": 0}, "The foreground sampling weight is above 0; got 0."),
        ({"save_every": 75}, "save_every is a multiple of log_every"),
        ({"validate_every": 0}, "validate_every of save_every"),
    ],
)
def test_mistakes_in_the_settings(change, message):
    with pytest.raises(SpherecorrError, match=message):
        replace(SETTINGS, **change)


@pytest.mark.parametrize("weights", [{"viewpoint": -1.0}, dict.fromkeys(vars(LossWeights()), 0.0)])
def test_a_weight_is_positive_and_one_is_there(weights):
    with pytest.raises(SpherecorrError, match="A loss's weight is 0 or more, and at least one is above 0"):
        LossWeights(**weights)


def test_the_surface_loss_needs_surfaces():
    data = balls(8)
    data.has_surface = False
    with pytest.raises(SpherecorrError, match="The surface loss needs renders: these images have no surface points"):
        fit(data, replace(SETTINGS, weights=LossWeights(surface=1.0)))


def test_a_training_that_breaks_down_says_so(tmp_path):
    data = balls(8)
    with pytest.raises(SpherecorrError, match="The losses are no longer finite at step 5; train anew at a"):
        fit(data, replace(RUN, steps=20, learning_rate=1e30, clip=0.0), tmp_path / "bad")
    assert not (tmp_path / "bad" / "last").exists()


def test_the_mapper_takes_the_features_that_are_there():
    with pytest.raises(SpherecorrError, match="take features of 32 channels; the images have 16"):
        fit(balls(8), replace(SETTINGS, sphere=SphereSettings(32)))


def test_training_goes_on_from_a_mapper_of_the_same_shape():
    data = balls(8)
    settings = replace(SETTINGS, steps=20, batch=2, learning_rate=1e-12)
    first = fit(data, replace(settings, seed=1))
    second = fit(data, replace(settings, seed=2), start=first)
    for name, value in first.state_dict().items():  # at so small a rate the weights stay where they began
        assert torch.allclose(value, second.state_dict()[name], atol=1e-6), name
    with pytest.raises(SpherecorrError, match="has another feature size, width, depth, surface or positions"):
        fit(data, replace(settings, sphere=SphereSettings(16, width=32, depth=2)), start=first)


def test_a_mask_without_viewpoint_teaches_the_foreground_alone():
    data = balls()
    data.known = replace(data.known, azimuth=data.known.azimuth.clone().fill_(math.nan), quality=torch.zeros(48))
    settings = replace(SETTINGS, weights=LossWeights().changed({"reconstruction": 0, "foreground": 1}))
    mapper = fit(data, settings)
    batch = everything(data)
    assert mapper.settings.background == "head"
    with torch.no_grad():
        _, logits = mapper.answer(batch.features)
    assert ((logits > 0) == batch.mask).float().mean() > 0.95


def test_what_the_start_knows_of_the_background_stays():
    told = fit(balls(), replace(SETTINGS, steps=1, weights=only("foreground")))
    assert fit(balls(), replace(SETTINGS, steps=1, weights=only("viewpoint")), start=told).settings.background == "head"
    plain = fit(balls(), replace(SETTINGS, steps=1, weights=only("background")))
    assert (
        fit(balls(), replace(SETTINGS, steps=1, weights=only("foreground")), start=plain).settings.background == "head"
    )
