"""The object marked in the app, and what the page says where it could not be told."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from app_driver import App, values
from PIL import Image

from spherecorr.segmentation import Stroke
from spherecorr.sphere.checkpoint import load_sphere, save_sphere
from spherecorr.sphere.domain import Domain, attach_domain
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.ui.session import MAX_STROKES, Picture

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # gr.Warning outside a page

TARGET_BLOCKS = [[78.125, 97.65625], [226.5625, 197.65625]]  # around the example's blocks, in original pixels


def test_a_box_is_the_foreground_of_its_picture_alone(app, controls):
    session = app.open(controls)
    source, target = session.visit.pair
    before = app.engine.foreground(source, controls)
    app.mark(session, "box", TARGET_BLOCKS, "target")
    assert session.visit.target.box == pytest.approx((78.1, 97.7, 226.6, 197.7), abs=0.1)  # original pixels
    found = app.engine.subject(session.visit.target, controls)
    columns, rows = found.cells.nonzero()[::-1]
    centres = app.engine.features(target, controls).framing.to_pixel(np.stack([columns, rows], axis=-1))
    assert found.certain and (centres > (78, 97)).all() and (centres < (227, 198)).all()
    np.testing.assert_array_equal(app.engine.foreground(session.visit.source, controls), before)


def test_matches_lie_on_the_marked_object(app, controls):
    session = app.open(controls)
    app.mark(session, "box", [[78.1, 97.7], [128.9, 148.4]], "target")  # one block
    result = app.match(session, controls)
    for ranked in (result.raw, result.sphere, result.fused):
        assert (ranked.xy > (78, 97)).all() and (ranked.xy < (135, 155)).all()
    everywhere = app.match(session, replace(controls, foreground=False))
    assert everywhere.raw.rows.isfinite().all()  # without "foreground only" marks restrict nothing


def test_marks_are_drawn_exported_and_cleared(app, controls):
    session = app.open(controls)
    corner = lambda shown: Image.open(shown["pictures"]["source"]["picture"]).getpixel((20, 20))  # noqa: E731
    before, needs = app.draw(session, controls), app.needs(session, controls)
    app.mark(session, "object", [[134, 105], [245, 105]])
    app.mark(session, "background", [[12, 12], [408, 12]])
    shown = app.draw(session, controls)
    assert corner(shown) < corner(before)  # dimmed
    assert "marked in the source" in shown["note"][0] and app.needs(session, controls) != needs
    assert [stroke["inside"] for stroke in shown["pictures"]["source"]["marks"]["strokes"]] == [True, False]
    assert shown["pictures"]["target"]["marks"] is None
    app.do(session, "clear-marks")
    shown = app.draw(session, controls)
    assert shown["pictures"] == before["pictures"] and app.needs(session, controls) == needs


def test_marks_stay_at_their_places_in_the_mirror_image_and_go_along_when_images_are_exchanged(app, controls):
    session = app.open(controls)
    app.mark(session, "box", TARGET_BLOCKS, "target")
    before, marked = app.engine.subject(session.visit.target, controls).cells, session.visit.target
    app.do(session, "mirror")
    mirrored = app.engine.subject(session.visit.target, controls).cells
    assert (mirrored == before[:, ::-1]).mean() > 0.98
    app.do(session, "mirror")
    assert session.visit.target.box == pytest.approx(marked.box)
    app.do(session, "swap")
    assert session.visit.source.box == pytest.approx(marked.box)


@pytest.mark.parametrize(
    ("kind", "path", "words"),
    [
        ("background", [[20, 20]], "Mark the object first"),
        ("object", [], "list of 1 to 200"),
        ("object", [[1, 2, 3]], "pairs of numbers"),
        ("box", [[100, 100], [100, 100]], "Drag from one corner"),
        ("object", [[9000, 20]], "outside the picture"),
    ],
)
def test_marks_that_tell_no_object_leave_the_visit_as_it_was(app, controls, kind, path, words):
    session = app.open(controls)
    before = session.visit
    app.mark(session, kind, path)
    assert session.visit == before and words in app.draw(session, controls)["note"][0]


def test_strokes_have_an_end():
    picture = Picture("a.png", "0", (100, 100), "a.png")
    for _ in range(MAX_STROKES):
        picture = picture.with_stroke(((5.0, 5.0),), True)
    with pytest.raises(ValueError, match="Clear the marks"):
        picture.with_stroke(((5.0, 5.0),), True)
    assert picture.without_marks().marks is None
    assert Picture("a.png", "0", (100, 50), "a").with_stroke(((10.0, 5.0),), True).mirror().strokes == (
        Stroke(((90.0, 5.0),), True),
    )


def test_the_page_says_where_the_object_is_uncertain_until_it_is_marked(tiny_app, controls, tmp_path):
    known = load_sphere(tiny_app.spheres[0], device="cpu").settings
    mapper = SphereMapper(replace(known, background="head"))
    torch.nn.init.zeros_(mapper.foreground_head.weight)
    torch.nn.init.zeros_(mapper.foreground_head.bias)  # every cell is as likely the object's as not
    save_sphere(mapper, tmp_path / "undecided")
    app, own = (
        App(replace(tiny_app, spheres=(str(tmp_path / "undecided"),))),
        replace(controls, sphere=str(tmp_path / "undecided")),
    )
    session = app.open(own)
    (notice,) = app.draw(session, own)["notices"]
    assert "could not be told from the background in the target" in notice["text"] and notice["foreground"]
    assert app.match(session, own).object_told is False
    app.mark(session, "box", TARGET_BLOCKS, "target")
    assert app.draw(session, own)["notices"] == []
    assert app.match(session, own).object_told is True


def test_the_page_says_which_picture_the_sphere_does_not_know(tiny_app, controls, tmp_path):
    mapper = load_sphere(tiny_app.spheres[0], device="cpu")
    dim = mapper.settings.feature_dim
    folder = tmp_path / "knows"
    attach_domain(mapper, Domain(torch.zeros(dim), torch.eye(dim)[:1], 2.0))
    save_sphere(mapper, folder)
    app, own = App(replace(tiny_app, spheres=(str(folder),))), replace(controls, sphere=str(folder))
    session = app.open(own)
    assert app.draw(session, own)["notices"] == []
    attach_domain(mapper, Domain(torch.zeros(dim), torch.eye(dim)[:1], -1.0))  # nothing is near enough
    save_sphere(mapper, folder)
    (notice,) = app.draw(session, own)["notices"]
    assert "The source and the target are unlike the pictures" in notice["text"] and not notice["foreground"]
    without = replace(own, sphere="none")
    app.handlers.settle(session, *values(without))
    assert app.draw(session, without)["notices"] == []
