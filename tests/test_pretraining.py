"""Distillation of a small backbone, on a tiny teacher and a student of two blocks."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from spherecorr.backbones import load_backbone
from spherecorr.backbones.vit import VitBackbone
from spherecorr.errors import SpherecorrError
from spherecorr.images import ImageError
from spherecorr.training.pretrain_settings import PretrainSettings
from spherecorr.training.pretraining import (
    Targets,
    _answer,
    _batch,
    _nearest_turn,
    begin,
    change_colours,
    distil,
    first_blocks,
    make_student,
    save_student,
    teacher_targets,
)

SETTINGS = PretrainSettings(depth=2, layers=(1, 3), resolution=64, window=2, batch=4, steps=40, seed=1)
WIDTH = 192  # of the student


@pytest.fixture(scope="module")
def teacher():
    torch.manual_seed(0)
    shape = {"depth": 4, "embed_dim": 128, "num_heads": 2, "img_size": 64, "num_classes": 0}
    return VitBackbone(
        timm.create_model("vit_tiny_patch16_224", **shape, dynamic_img_size=True), "teacher", device="cpu"
    )


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Twelve pictures of blocks of colour, of several shapes."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for i in range(12):
        blocks = rng.integers(0, 256, size=(4, 4 + i % 3, 3), dtype=np.uint8)
        Image.fromarray(blocks.repeat(16, 0).repeat(16, 1)).save(folder / f"{i:02d}.png")
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def targets(images, teacher):
    return teacher_targets(images, teacher, SETTINGS, WIDTH)


@pytest.fixture(scope="module")
def trained(targets):
    lines = []
    return distil(make_student(SETTINGS), targets, replace(SETTINGS, steps=150), lines.append), lines


def test_targets_hold_each_picture_and_its_tokens(targets):
    assert targets.pictures.shape == (12, 64, 64, 3) and targets.pictures.dtype == np.uint8
    assert targets.tokens.shape == (12, WIDTH, 4, 4) and targets.tokens.dtype == np.float16
    assert not targets.pictures[2][:10].any()  # a picture of 64 x 96, padded to a square
    variance = targets.tokens.astype(np.float64).var(axis=(0, 2, 3))
    assert (np.diff(variance) < 1e-3 * variance[0]).all()  # principal components, the widest first


def test_without_reduction_the_targets_are_the_standardised_layers_turned(images, teacher):
    """A rotation keeps all inner products."""
    targets = teacher_targets(images, teacher, SETTINGS, 2 * 128)
    layers = teacher.model.forward_intermediates(
        teacher.pixels(targets.pictures), indices=[1, 3], norm=False, intermediates_only=True
    )
    joined = torch.cat(layers, dim=1).permute(0, 2, 3, 1).flatten(0, 2).double()
    standard = (joined - joined.mean(dim=0)) / joined.std(dim=0)
    tokens = torch.from_numpy(targets.tokens).permute(0, 2, 3, 1).flatten(0, 2).double()
    products = standard @ standard.T
    torch.testing.assert_close(tokens @ tokens.T, products, atol=2e-3 * products.max().item(), rtol=0)  # half precision


@pytest.mark.parametrize("whole", [False, True])
def test_windows_of_pictures_and_tokens_are_cut_alike(whole):
    """Each token is its patch's mean colour, so what is cut can be compared."""
    pictures = np.random.default_rng(0).integers(0, 256, size=(5, 64, 64, 3), dtype=np.uint8)
    tokens = pictures.reshape(5, 4, 16, 4, 16, 3).mean(axis=(2, 4)).transpose(0, 3, 1, 2) / 255
    cut, wanted = _batch(Targets(pictures, tokens), SETTINGS, np.random.default_rng(1), whole)
    assert wanted.shape == ((1, 3, 4, 4) if whole else (4, 3, 2, 2))  # as many patches in a step of either kind
    torch.testing.assert_close(torch.nn.functional.avg_pool2d(cut, 16), wanted)
    wide, _ = _batch(Targets(pictures, tokens), replace(SETTINGS, window=14), np.random.default_rng(1), whole)
    assert wide.shape == (4, 3, 64, 64)  # a window wider than the picture is the picture


def test_colours_change_from_picture_to_picture_and_stay_colours():
    picture = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)).expand(6, -1, -1, -1)
    changed = change_colours(picture, np.random.default_rng(0))
    assert changed.shape == picture.shape and changed.min() >= 0 and changed.max() <= 1
    assert len(torch.unique(changed[:, 0, 0, 0])) == 6


def test_the_student_learns(trained):
    student, lines = trained
    assert [line.split("  ")[0] for line in lines] == ["step 50/150", "step 100/150", "step 150/150"]
    first, *_, last = (float(line.split()[-1]) for line in lines)
    assert last < 0.8 * first
    assert not student.training


def test_the_global_random_generators_are_left_alone(targets):
    def states():
        return torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()  # noqa: NPY002

    torch.manual_seed(5)
    before = states()
    distil(make_student(SETTINGS), targets, SETTINGS, lambda _: None)
    assert states() == before


def test_the_seed_decides_everything(targets):
    seeds = [replace(SETTINGS, seed=seed) for seed in (3, 3, 4)]
    first, again, other = (distil(make_student(one), targets, one).state_dict() for one in seeds)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["blocks.1.mlp.fc1.weight"], other["blocks.1.mlp.fc1.weight"])


@pytest.fixture(scope="module")
def alike():
    """A teacher of the student's own architecture, with another size and other pixels than the student's."""
    torch.manual_seed(0)
    model = timm.create_model(
        "vit_tiny_patch16_224",
        depth=4,
        img_size=32,
        num_classes=0,
        dynamic_img_size=True,
        pretrained_cfg_overlay=IMAGENET,
    )
    return VitBackbone(model, "alike", device="cpu", layer=1)


IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def test_a_student_can_begin_as_the_teachers_first_blocks(alike):
    """Both resize the same position embedding, so before training they answer alike on the same bytes."""
    student = begin(alike, replace(SETTINGS, start="teacher"))
    assert len(student.blocks) == 2 and student.patch_embed.grid_size == (4, 4)
    pictures = np.random.default_rng(0).integers(0, 256, size=(2, 64, 64, 3), dtype=np.uint8)
    pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        answer = student.forward_intermediates(pixels, indices=1, norm=False, intermediates_only=True)[0]
    torch.testing.assert_close(answer, alike.extract(pictures), atol=1e-4, rtol=1e-4)


def test_targets_are_turned_to_where_the_student_already_points(alike, targets):
    """Its own answers, turned at random, are found again by turning back."""
    student = first_blocks(alike, SETTINGS)
    with torch.no_grad():
        answers = _answer(student, torch.from_numpy(targets.pictures).permute(0, 3, 1, 2) / 255)
        random = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=torch.Generator().manual_seed(0)))[0]
        turned = torch.einsum("de,behw->bdhw", random, answers)
    turn = _nearest_turn(student, Targets(targets.pictures, turned.half().numpy()), SETTINGS)
    torch.testing.assert_close(turn @ turn.T, torch.eye(WIDTH), atol=1e-4, rtol=0)
    back = torch.einsum("de,behw->bdhw", turn, turned)
    # Not 1: the few tokens of the eight pictures that are looked at do not span all 192 directions.
    assert torch.cosine_similarity(back, answers, dim=1).mean() > 0.95
    assert torch.cosine_similarity(turned, answers, dim=1).mean().abs() < 0.2


@pytest.mark.parametrize("change", [{"depth": 5}, {"architecture": "vit_small_patch16_224"}])
def test_only_a_teacher_alike_lends_its_blocks(alike, change):
    with pytest.raises(SpherecorrError, match="only if it is of the same architecture and no deeper: the teacher"):
        first_blocks(alike, replace(SETTINGS, **change))


def test_a_saved_student_is_a_backbone_with_the_same_features(trained, targets, tmp_path):
    student, _ = trained
    save_student(student, SETTINGS, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["config.json", "model.safetensors"]
    assert json.loads((tmp_path / "out" / "config.json").read_text())["training"]["seed"] == SETTINGS.seed

    backbone = load_backbone(f"local-dir:{tmp_path / 'out'}", device="cpu")
    assert (backbone.source.dim, backbone.source.patch, backbone.source.layer) == (WIDTH, 16, 1)
    features = backbone.extract(targets.pictures[:3])
    pixels = torch.from_numpy(targets.pictures[:3]).permute(0, 3, 1, 2).float() / 127.5 - 1  # 0..255 -> -1..1
    with torch.no_grad():
        expected = student.forward_intermediates(pixels, indices=1, norm=False, intermediates_only=True)[0]
    # Weights are rounded to half precision: 2^-11 each, some hundred of them in a row.
    torch.testing.assert_close(features, expected, atol=0.01 * expected.abs().max().item(), rtol=0)


def test_an_untrained_student_has_the_size_asked_for():
    student = make_student(replace(SETTINGS, depth=3))
    assert len(student.blocks) == 3 and student.num_features == WIDTH
    assert student.patch_embed.grid_size == (4, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": (1, 4)}, r"The teacher has the layers 0 to 3; asked for \(1, 4\)"),
        ({"layers": ()}, "The teacher has the layers 0 to 3"),
        ({"layers": (3,)}, "The student has 192 channels, more than the teacher's layers have together"),
        ({"resolution": 72}, "Resolution 72 is not a multiple of the patch size 16"),
        ({"architecture": "vit_base_patch32_224"}, "The teacher's patches have 16 pixels, the student's 32"),
        ({"architecture": "resnet50"}, "The student must be a plain ViT of timm; 'resnet50' is none"),
        ({"architecture": "vit_gigantic"}, "'vit_gigantic' is none"),
        ({"steps": 39}, "Distillation takes at least 40 steps"),
    ],
)
def test_mistakes_in_the_settings(images, teacher, change, message):
    with pytest.raises(SpherecorrError, match=message):
        teacher_targets(images, teacher, replace(SETTINGS, **change), WIDTH)


def test_images_that_are_not_there(teacher, tmp_path):
    with pytest.raises(SpherecorrError, match="There are no images to learn from"):
        teacher_targets([], teacher, SETTINGS, WIDTH)
    with pytest.raises(ImageError, match="There is no image file"):
        teacher_targets([tmp_path / "gone.png"], teacher, SETTINGS, WIDTH)
