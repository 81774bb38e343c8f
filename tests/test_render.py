"""The renderer: parts with a volume, cameras that mean what their angles say, and labels that lie on the picture."""

import numpy as np
import pytest
import trimesh
from trimesh.ray.ray_pyembree import RayMeshIntersector

from spherecorr.data.records import mirrored_name
from spherecorr.errors import SpherecorrError
from spherecorr.render import aeroplanes, animals, birds, boats, furniture, trains, two_wheelers, vehicles
from spherecorr.render.backgrounds import photo_background, procedural_background, studio_background
from spherecorr.render.colours import Pattern
from spherecorr.render.deform import pose_animal
from spherecorr.render.objects import ANIMALS, CATEGORIES, keypoint_names, make_shape
from spherecorr.render.rays import RayCaster
from spherecorr.render.scene import KEYPOINT_TOLERANCE, Camera, random_camera, render
from spherecorr.render.shapes import ShapeBuilder, blade, block, box, corner_normals, ellipsoid, loft, plate, ring, tube

SIZE = 96
NO_PATTERN = Pattern(np.zeros(3), np.zeros((1, 3)), np.zeros(1), 2.0)
MOVING = ("bicycle", "bird", "boat", "bus", "cat", "cow", "dog", "horse", "sheep")  # pedals, heads, sails, doors, legs


def look(azimuth: float, elevation: float = 0.0, size: int = SIZE, roll: float = 0.0) -> Camera:
    """A camera that has the unit sphere in sight, centred."""
    return Camera(azimuth, elevation, roll, 4.0, 1.7 * size, (size / 2, size / 2), size)


def half_extents(shape) -> np.ndarray:
    """Of the bounding box, which the canonical points of procedural objects are shares of."""
    return np.abs(shape.vertices).max(axis=0)


def block_with_marks():
    """A block twice as long as wide and high, with a keypoint in the middle of five faces, in five colours."""
    builder = ShapeBuilder("block", NO_PATTERN)
    builder.add(box((0, 0, 0), (2, 1, 1)), np.full(3, 0.5))
    builder.keypoint("front", (1, 0, 0))
    builder.keypoint("rear", (-1, 0, 0))
    builder.keypoint("top", (0, 0, 0.5))
    builder.keypoint_pair("side", (0, 0.5, 0))
    return builder.build()


def draw(category: str, seed: int, size: int = SIZE, azimuth: float | None = None):
    """A random object of a category, as its plan has it, and its picture."""
    rng = np.random.default_rng(seed)
    shape = CATEGORIES[category](rng)
    camera = random_camera(shape, size, rng, azimuth)
    return shape, render(shape, camera, procedural_background(size, rng), rng)


# Parts


@pytest.mark.parametrize(
    ("part", "volume", "tolerance"),
    [
        (box((1, 2, 3), (2, 4, 6)), 48, 1e-9),
        (block((-1, 1, 1, 0), (-1, 1, 1, 3)), 12, 1e-9),
        (tube([(0, 0, 0), (3, 0, 0)], np.full((2, 2), 1.0), segments=200), 3 * np.pi, 0.01),
        (tube([(0, 0, 0), (0, 2, 0)], [(1, 2), (1, 2)], side=(1, 0, 0), segments=200), 4 * np.pi, 0.01),
        (ellipsoid((1, 1, 1), (1, 2, 3), rings=60, segments=60), 8 * np.pi, 0.3),  # 4/3 pi 1 2 3, inscribed
        (plate([(0, 0), (0, 3), (4, 0)], 0.5, y=7), 3, 1e-9),  # half a rectangle of 3 by 4
        (loft([[(x, -s, -s), (x, s, -s), (x, s, s), (x, -s, s)] for x, s in ((0, 1), (3, 2))], False), 28, 1e-9),
        (blade([(0, 0, 0), (0, 5, 0)], [2, 2], [0.2, 0.2], smooth=False), 1, 1e-9),  # a rhombus of 2 by 0.2, 5 long
    ],
    ids=["box", "block", "tube", "flat tube", "ellipsoid", "plate", "frustum", "blade"],
)
@pytest.mark.parametrize("mirrored", [False, True])
def test_parts_are_closed_and_face_outwards(part, volume, tolerance, mirrored):
    if mirrored:
        part = part.mirrored()
    mesh = trimesh.Trimesh(part.vertices, part.faces, process=False)
    assert mesh.is_watertight and mesh.is_winding_consistent
    assert mesh.volume == pytest.approx(volume, abs=tolerance)  # negative if the faces looked inwards


def test_the_builder_centres_and_scales_to_the_unit_sphere():
    shape = block_with_marks()
    radius = np.sqrt(1 + 0.25 + 0.25)
    assert np.linalg.norm(shape.vertices, axis=1).max() == pytest.approx(1)
    np.testing.assert_allclose(half_extents(shape), np.array([1, 0.5, 0.5]) / radius)
    np.testing.assert_allclose(shape.keypoints["left_side"], [0, 0.5 / radius, 0])
    faces = trimesh.Trimesh(shape.vertices, shape.faces, process=False).face_normals
    np.testing.assert_allclose(shape.normals, np.repeat(faces[:, None], 3, axis=1), atol=1e-6)  # a box is not smooth


def test_the_plane_of_symmetry_is_kept_when_one_side_reaches_farther():
    """A turned head or a chain on the right moves the bounding box's centre, but not the object's left and right."""
    builder = ShapeBuilder("block", NO_PATTERN)
    builder.add(box((5, 0, 0), (2, 2, 2)), np.ones(3))
    builder.add(box((5, 2, 0), (1, 2, 1)), np.ones(3))
    builder.keypoint_pair("side", (5, 1, 0))
    shape = builder.build()
    np.testing.assert_allclose(shape.keypoints["left_side"] * [1, -1, 1], shape.keypoints["right_side"])
    assert shape.vertices[:, 1].max() == pytest.approx(-3 * shape.vertices[:, 1].min())
    assert shape.canonical[:, 1].min() == pytest.approx(-1 / 3) and shape.canonical.max() == 1
    np.testing.assert_allclose(shape.vertices[:, 0].max(), -shape.vertices[:, 0].min())


def test_a_ring_keeps_its_distance_from_the_axis():
    vertices = ring((1, 2, 3), 0.5, 0.1, axis=(0, 1, 0)).vertices - [1, 2, 3]
    across = np.hypot(vertices[:, 0], vertices[:, 2])
    assert 0.4 - 1e-9 <= across.min() < 0.41 and 0.59 < across.max() <= 0.6 + 1e-9
    assert np.abs(vertices[:, 1]).max() == pytest.approx(0.1, abs=0.01)


def test_the_top_of_parts_is_what_a_plumb_line_meets_first():
    builder = ShapeBuilder("block", NO_PATTERN)
    builder.add(box((0, 0, 0), (2, 2, 1)), np.ones(3))
    builder.add(box((0, 0, 3), (1, 1, 1)), np.ones(3))
    np.testing.assert_allclose(builder.top(0.1, 0.2), [0.1, 0.2, 3.5])
    np.testing.assert_allclose(builder.top(0.9, 0.2), [0.9, 0.2, 0.5])


def test_normals_are_smooth_up_to_the_crease():
    """Two faces that meet at a right angle: one normal along the edge when round, two when not."""
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    faces = np.array([[0, 1, 2], [0, 3, 1]])
    smooth, flat = (corner_normals(vertices, faces, crease) for crease in (0.7, 0.8))  # cos 45 degrees is 0.707
    np.testing.assert_allclose(smooth[:, 0], np.array([[0, 1, 1]] * 2) / np.sqrt(2), atol=1e-6)
    np.testing.assert_allclose(flat[:, 0], [[0, 0, 1], [0, 1, 0]], atol=1e-6)
    np.testing.assert_allclose(smooth[0, 2], [0, 0, 1], atol=1e-6)


# Rays


def test_rays_meet_the_first_of_two_triangles_from_either_side():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, -1], [1, 0, -1], [0, 1, -1]], dtype=float)
    caster = RayCaster(vertices, np.array([[0, 1, 2], [3, 4, 5]]))
    face, corners, distance = caster.first(
        np.array([[0.25, 0.5, 1], [0.25, 0.5, -2], [2, 2, 1]]), np.array([[0, 0, -1.0], [0, 0, 2.0], [0, 0, -1.0]])
    )
    assert face.tolist() == [0, 1, -1]
    np.testing.assert_allclose(corners[:2], [[0.25, 0.25, 0.5]] * 2)
    np.testing.assert_allclose(distance[:2], [1, 0.5])
    blocked = caster.blocked(np.array([[0.25, 0.5, -0.5], [0.25, 0.5, 0.5]]), np.array([0, 0, 1.0]))
    assert blocked.tolist() == [True, False]


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_object_is_sound(category):
    for seed in range(6):
        shape = make_shape(category, np.random.default_rng(seed))
        assert shape.category == category
        assert all(np.isfinite(values).all() for values in (shape.vertices, shape.normals, shape.colours))
        assert shape.faces.min() == 0 and shape.faces.max() == len(shape.vertices) - 1
        np.testing.assert_allclose(shape.vertices.max(axis=0)[[0, 2]], -shape.vertices.min(axis=0)[[0, 2]], atol=1e-12)
        pairs = [name for name in shape.keypoints if name.startswith("left_")]
        assert len(pairs) >= 4 and all(mirrored_name(name) in shape.keypoints for name in pairs)


@pytest.mark.parametrize("category", CATEGORIES)
def test_keypoints_lie_on_the_surface(category):
    """Nearer to it than the depth at which a keypoint would count as hidden."""
    for seed in range(3):
        shape = make_shape(category, np.random.default_rng(seed))
        mesh = trimesh.Trimesh(shape.vertices, shape.faces, process=False)
        _, distance, _ = trimesh.proximity.closest_point_naive(mesh, np.array(list(shape.keypoints.values())))
        assert distance.max() < 0.8 * KEYPOINT_TOLERANCE and np.median(distance) < 0.01


@pytest.mark.parametrize("category", CATEGORIES)
def test_left_is_left(category):
    """Left and right keypoints are mirror images; an animal's head and legs move, but stay on their side."""
    shape = make_shape(category, np.random.default_rng(1))
    for name, point in shape.keypoints.items():
        if not name.startswith("left_"):
            continue
        mirrored = shape.keypoints[mirrored_name(name)]
        assert point[1] > mirrored[1]
        if category not in MOVING:
            np.testing.assert_allclose(point * [1, -1, 1], mirrored, atol=1e-12)


@pytest.mark.parametrize("category", CATEGORIES)
def test_front_is_front_and_up_is_up(category):
    k = make_shape(category, np.random.default_rng(2)).keypoints
    fore, aft, high, low = {
        "aeroplane": ("nose", "tail", "fin_top", "left_wing_root_rear"),
        "bicycle": ("front_tyre", "rear_tyre", "saddle_nose", "left_pedal"),
        "bird": ("beak_tip", "tail_end", "crown", "breast"),
        "boat": ("bow", "keel_rear", "left_stern", "left_chine"),
        "chair": ("left_seat_front", "left_seat_rear", "left_back_top", "seat_middle"),
        "motorbike": ("headlight", "tail", "left_grip", "left_front_hub"),
        "train": ("left_roof_front", "left_roof_rear", "left_roof_rear", "left_sill_rear"),
        "bus": ("left_headlight", "left_taillight", "left_roof_front", "left_front_wheel"),
        "car": ("left_headlight", "left_taillight", "left_windscreen_top", "left_front_wheel"),
    }.get(category, ("nose", "tail_base", "back_middle", "left_front_paw"))
    assert k[fore][0] > k[aft][0] and k[high][2] > k[low][2]


def test_an_unknown_category_is_named():
    with pytest.raises(SpherecorrError, match=r"There is no procedural 'unicorn'\. Choose from: aeroplane, bicycle"):
        make_shape("unicorn", np.random.default_rng(0))


# Cameras


@pytest.mark.parametrize(
    ("azimuth", "right", "towards_camera"),
    [
        (0, (0, 1, 0), (1, 0, 0)),  # the front is seen, the object's left on the image's right
        (90, (-1, 0, 0), (0, 1, 0)),  # its left side is seen, its front on the image's left
        (180, (0, -1, 0), (-1, 0, 0)),
        (270, (1, 0, 0), (0, -1, 0)),
    ],
)
def test_azimuth_goes_from_the_front_to_the_left(azimuth, right, towards_camera):
    camera = look(azimuth)
    np.testing.assert_allclose(camera.axes()[0], right, atol=1e-12)
    np.testing.assert_allclose(camera.position, np.multiply(4.0, towards_camera), atol=1e-12)
    x, y = camera.project(np.array([right, (0, 0, 1)], dtype=float)).T
    assert x[0] > SIZE / 2 and y[1] < SIZE / 2  # up in the object is up in the picture


def test_elevation_looks_down_from_above():
    assert look(30, elevation=40).position[2] == pytest.approx(4 * np.sin(np.radians(40)))


def test_roll_turns_the_picture_clockwise_by_its_degrees():
    """The camera turns counter-clockwise, so what is up in the object leans to the right."""
    up = look(0, roll=30).project(np.array([(0, 0, 0.1)]))[0] - SIZE / 2
    assert np.degrees(np.arctan2(up[0], -up[1])) == pytest.approx(30, abs=1e-6)


def test_projecting_undoes_the_rays():
    camera = Camera(33, 21, 5, 3.0, 120.0, (40.0, 55.0), SIZE)
    x, y = np.arange(30, 50) + 0.5, np.arange(10, 90, 8) + 0.5
    directions = camera.rays(x, y)
    np.testing.assert_allclose(directions @ camera.axes()[2], 1, rtol=1e-6)
    pixels = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    np.testing.assert_allclose(camera.project(camera.position + directions * 2.5), pixels, atol=1e-3)  # float32


@pytest.mark.parametrize("seed", range(5))
def test_a_random_camera_sees_the_whole_object_large_enough(seed):
    rng = np.random.default_rng(seed)
    shape = make_shape("dog", rng)
    seen = random_camera(shape, SIZE, rng).project(shape.vertices)
    assert (seen >= 0).all() and (seen <= SIZE).all()
    assert 0.55 * SIZE <= np.ptp(seen, axis=0).max() <= 0.92 * SIZE


# Pictures and their labels


@pytest.mark.parametrize(
    ("azimuth", "elevation", "visible"),
    [
        (0, 0, {"front"}),
        (90, 0, {"left_side"}),
        (315, 0, {"front", "right_side"}),
        (135, 30, {"rear", "left_side", "top"}),
    ],
)
def test_the_keypoints_of_a_block(azimuth, elevation, visible):
    shape, camera = block_with_marks(), look(azimuth, elevation)
    rendering = render(shape, camera, np.zeros((SIZE, SIZE, 3), np.uint8), np.random.default_rng(0))
    assert {name for name, pixel in rendering.keypoints.items() if pixel} == visible
    for name in visible:
        x, y = rendering.keypoints[name]
        np.testing.assert_allclose((x, y), camera.project(shape.keypoints[name][None])[0])
        # The surface under that pixel is the keypoint's place up to half a pixel, seen obliquely.
        expected = shape.keypoints[name] / half_extents(shape)
        np.testing.assert_allclose(rendering.surface[int(y), int(x)], expected, atol=0.06)


def test_the_surface_of_a_block_seen_from_the_front():
    """Only x = +1 is in sight; y grows to the image's right and z upwards, from edge to edge."""
    rendering = render(block_with_marks(), look(0), np.zeros((SIZE, SIZE, 3), np.uint8), np.random.default_rng(0))
    surface = rendering.surface[rendering.mask].reshape(-1, 3)
    np.testing.assert_allclose(surface[:, 0], 1, atol=1e-6)
    rows, columns = np.nonzero(rendering.mask)
    assert np.corrcoef(columns, surface[:, 1])[0, 1] > 0.999 and np.corrcoef(rows, surface[:, 2])[0, 1] < -0.999
    assert surface[:, 1:].max() > 0.95 and surface[:, 1:].min() < -0.95


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("azimuth", [0, 90, 200])
def test_surface_points_lie_where_the_azimuth_says(category, azimuth):
    shape, rendering = draw(category, azimuth, azimuth=azimuth)
    mask, surface = rendering.mask, rendering.surface
    assert rendering.camera.azimuth == azimuth and rendering.category == category
    assert np.abs(surface).max() <= 1 + 1e-5 and not surface[~mask].any()
    rows, columns = np.nonzero(mask)
    if category not in ANIMALS:  # whose surface points are those of the same animal standing still
        # Every surface point is seen at its own pixel, as exactly as single precision tells on thin spokes.
        pixels = rendering.camera.project((surface[mask] * half_extents(shape)).astype(float))
        np.testing.assert_allclose(pixels, np.stack([columns, rows], 1) + 0.5, atol=0.03)
    # From the front the left side is on the image's right, from the left the front is on the image's left.
    right = rendering.camera.axes()[0]
    assert np.corrcoef(columns, surface[mask] * half_extents(shape) @ right)[0, 1] > (
        0.6 if category in ANIMALS else 0.9
    )
    if category != "boat":  # sails to leeward, and the inside of open hulls, are seen from their far side
        near = surface[mask] @ [np.cos(np.radians(azimuth)), np.sin(np.radians(azimuth)), 0]
        assert near.mean() > 0


@pytest.mark.parametrize("category", CATEGORIES)
def test_visible_keypoints_have_nothing_in_front_and_hidden_ones_do(category):
    shape, rendering = draw(category, 11)
    caster = RayMeshIntersector(trimesh.Trimesh(shape.vertices, shape.faces, process=False))
    eye = rendering.camera.position
    for name, point in shape.keypoints.items():
        distance = np.linalg.norm(point - eye)
        hits, _, _ = caster.intersects_location([eye], [(point - eye) / distance], multiple_hits=False)
        blocked = bool(len(hits)) and np.linalg.norm(hits[0] - eye) < distance - KEYPOINT_TOLERANCE
        assert blocked == (rendering.keypoints[name] is None), name


def test_keypoints_carry_their_own_surface_point():
    """Nine in ten, within a pixel and 6 % of the radius; the rest lie on thin parts that rays pass by."""
    near = []
    for category in set(CATEGORIES) - set(ANIMALS):
        shape, rendering = draw(category, 5, size=160)
        for name, pixel in rendering.keypoints.items():
            if pixel is None:
                continue
            x, y = (int(v) for v in pixel)
            patch = np.s_[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
            points = rendering.surface[patch][rendering.mask[patch]] * half_extents(shape)
            distance = np.linalg.norm(points - shape.keypoints[name], axis=-1)
            near.append(len(distance) > 0 and distance.min() < 0.06)
    assert len(near) > 60 and np.mean(near) > 0.9


def test_a_keypoint_outside_the_picture_is_none():
    shape = block_with_marks()
    camera = Camera(0, 0, 0, 4.0, 1.7 * SIZE, (-10.0, SIZE / 2), SIZE)
    assert (
        render(shape, camera, np.zeros((SIZE, SIZE, 3), np.uint8), np.random.default_rng(0)).keypoints["front"] is None
    )


def test_the_background_stays_but_for_a_shadow():
    """Pixels off the object are the background's or darker; most are untouched."""
    shape, background = block_with_marks(), np.full((SIZE, SIZE, 3), 200, np.uint8)
    rendering = render(shape, look(30, 20), background, np.random.default_rng(0))
    off = rendering.image[~rendering.mask]
    assert off.max() == 200 and np.mean(off == 200) > 0.5


def test_lit_surfaces_are_brighter():
    """A grey block under a light from above: its top outshines every side."""
    rendering = render(block_with_marks(), look(45, 35), np.zeros((SIZE, SIZE, 3), np.uint8), np.random.default_rng(3))
    grey = rendering.image.mean(axis=-1)
    top = rendering.mask & (rendering.surface[..., 2] > 0.99)
    rest = rendering.mask & (rendering.surface[..., 2] < 0.9)
    assert grey[top].mean() > grey[rest].mean() > 0


def test_the_same_seed_is_the_same_picture():
    (_, first), (_, again), (_, other) = draw("cow", 3), draw("cow", 3), draw("cow", 4)
    assert np.array_equal(first.image, again.image) and first.keypoints == again.keypoints
    assert not np.array_equal(first.mask, other.mask)


def test_backgrounds():
    rng = np.random.default_rng(0)
    clouds = procedural_background(SIZE, rng)
    assert clouds.shape == (SIZE, SIZE, 3) and clouds.dtype == np.uint8
    studio = studio_background(SIZE, rng)
    assert studio.shape == (SIZE, SIZE, 3) and studio.min() > 140  # pale all over
    assert studio[-1].mean() < studio[0].mean()
    photo = np.zeros((50, 80, 3), np.uint8)
    photo[..., 0] = np.arange(80)
    crop = photo_background(photo, SIZE, rng)
    assert crop.shape == (SIZE, SIZE, 3)
    assert len(np.unique(crop[..., 0])) >= 25  # half of the photograph's shorter side at least
    assert np.ptp(crop.astype(int), axis=0).max() <= 1  # its columns are still columns, but for rounding


def test_objects_are_cut_out_of_backgrounds():
    """A red object on green: the emptiest crops show it little, and what they show of it is painted green."""
    photo = np.full((60, 90, 3), (0, 200, 0), np.uint8)
    mask = np.zeros((60, 90), bool)
    mask[20:45, 30:60] = True
    photo[mask] = (200, 0, 0)
    shown = [photo_background(photo, SIZE, np.random.default_rng(seed)) for seed in range(6)]
    assert any((crop[..., 0] > 100).any() for crop in shown)
    for seed in range(6):
        crop = photo_background(photo, SIZE, np.random.default_rng(seed), mask)
        assert crop.shape == (SIZE, SIZE, 3) and crop[..., 0].max() < 20 and crop[..., 1].min() > 180
    everything = photo_background(photo, SIZE, np.random.default_rng(0), np.ones_like(mask))
    assert np.ptp(everything.reshape(-1, 3), axis=0).max() == 0  # nothing is left to paint with but its mean


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_second_object_has_other_proportions_than_its_plan(category):
    """Its parts keep their places on it: colours, faces and what each vertex is called are the plan's."""
    changed = 0
    for seed in range(12):
        plan = CATEGORIES[category](np.random.default_rng(seed))
        shape = make_shape(category, np.random.default_rng(seed))
        np.testing.assert_array_equal(shape.canonical, plan.canonical)
        np.testing.assert_array_equal(shape.faces, plan.faces)
        assert np.linalg.norm(shape.vertices, axis=1).max() == pytest.approx(1)
        changed += not np.allclose(shape.vertices, plan.vertices, atol=1e-3)
    assert 3 <= changed <= 11


def test_an_animal_lies_when_its_legs_are_short():
    """Poses lower the back and leave feet on the ground."""
    heights = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        plan = CATEGORIES["dog"](rng)
        posed = pose_animal(plan, rng)
        length = np.ptp(posed.vertices[:, 0])
        heights.append(np.ptp(posed.vertices[:, 2]) / length)
    assert min(heights) < 0.65 * np.median(heights)


PLANS = {
    "aeroplane": (aeroplanes.PLANS, aeroplanes.aeroplane_of),
    "bird": (birds.PLANS, birds.bird_of),
    "boat": (boats.HULLS, boats.boat_of),
    "bus": (vehicles.BUSES, vehicles.bus_of),
    "car": (vehicles.CARS, vehicles.car_of),
    "chair": (furniture.PLANS, furniture.chair_of),
    "dog": (animals.BREEDS, animals.dog_of),
    "motorbike": (two_wheelers.MOTORBIKES, two_wheelers.motorbike_of),
    "train": (trains.KINDS, trains.train_of),
}
KINDS = [(category, kind) for category, (plans, _) in PLANS.items() for kind in plans]


@pytest.mark.parametrize(("category", "kind"), KINDS)
def test_every_kind_is_sound_and_sided(category, kind):
    """Its keypoints are the category's, lie on it, and left ones lie to the left of right ones."""
    for seed in range(4):
        shape = PLANS[category][1](kind, np.random.default_rng(seed))
        assert shape.category == category and set(shape.keypoints) <= set(keypoint_names(category))
        mesh = trimesh.Trimesh(shape.vertices, shape.faces, process=False)
        _, distance, _ = trimesh.proximity.closest_point_naive(mesh, np.array(list(shape.keypoints.values())))
        assert distance.max() < 0.8 * KEYPOINT_TOLERANCE
        for name, point in shape.keypoints.items():
            if name.startswith("left_"):
                assert point[1] > shape.keypoints[mirrored_name(name)][1]


@pytest.mark.parametrize("category", PLANS)
def test_every_kind_is_drawn(category, monkeypatch):
    """The generator of a category deals out all of its plans, none more often than every third time or so."""
    plans, _ = PLANS[category]
    module = {"aeroplane": aeroplanes, "bird": birds, "boat": boats, "bus": vehicles, "car": vehicles,
              "chair": furniture, "dog": animals, "motorbike": two_wheelers, "train": trains}[category]  # fmt: skip
    drawn = []
    monkeypatch.setattr(module, f"{category}_of", lambda kind, rng: drawn.append(kind))
    for seed in range(600):
        CATEGORIES[category](np.random.default_rng(seed))
    assert set(drawn) == set(plans)
    assert max(drawn.count(kind) for kind in plans) < 0.45 * len(drawn)


def outline(shape) -> np.ndarray:
    """The silhouette from the left front as bool `[48, 48]`, at one scale for all objects."""
    camera = look(60, 10, 48)
    return render(shape, camera, np.zeros((48, 48, 3), np.uint8), np.random.default_rng(0)).mask


@pytest.mark.parametrize("category", PLANS)
def test_silhouettes_differ_between_kinds(category):
    """Two objects of different kinds share less of their silhouettes than two of one kind, and not much of them."""
    plans, make = PLANS[category]
    drawn = [(kind, outline(make(kind, np.random.default_rng(seed)))) for kind in plans for seed in range(5)]
    same, other = [], []
    for n, (kind, mask) in enumerate(drawn):
        for second, another in drawn[:n]:
            (same if kind == second else other).append((mask & another).sum() / (mask | another).sum())
    assert np.mean(other) < np.mean(same) and np.mean(other) < 0.8


def test_dogs_sit_lie_and_stand():
    """The back rises steeply to the withers of those that sit, and is level otherwise."""
    slopes = []
    for seed in range(40):
        k = animals.dog(np.random.default_rng(seed)).keypoints
        rise = k["withers"] - k["tail_base"]
        slopes.append(np.degrees(np.arctan2(rise[2], rise[0])))
    assert sum(slope > 30 for slope in slopes) >= 5 and sum(abs(slope) < 15 for slope in slopes) >= 15


def test_a_posed_animal_tells_the_surface_of_the_same_animal_standing():
    """Where it sits, its nose is called what it is called when it stands: the front of the box."""
    for seed in range(10):
        shape = animals.dog(np.random.default_rng(seed))
        nose = np.linalg.norm(shape.vertices - shape.keypoints["nose"], axis=1).argmin()
        assert shape.canonical[nose, 0] > 0.8 and abs(shape.canonical[nose, 1]) < 0.2
