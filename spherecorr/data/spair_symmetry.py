"""Which of SPair-71k's numbered keypoints mirror each other, and which are parts of one kind.

SPair-71k's files give numbers, without a word on what they mean. The pairs below follow from two public readings, by
people who looked at the annotated images; the two agree on every pair, in all 18 categories:

- Probe3D (El Banani et al., "Probing the 3D Awareness of Visual Foundation Models", CVPR 2024), the names in
  https://github.com/mbanani/probe3d, `data_processing/spair_keypoint_names.csv` (MIT): a part with "right" and the same
  part with "left" are a pair;
- Jamais Vu (Mariotti et al., NeurIPS 2025), which keypoint lies on which side in https://github.com/VICO-UoE/JamaisVu,
  `utils/utils_geoware.py` (MIT).

The aeroplane's numbers were also checked on an annotated image of SPair-71k: seen from its right, it shows the first
keypoint of a pair and hides the second.

Bottles, potted plants and screens have sides only as one looks at them; their pairs are what a mirrored picture
exchanges. The kinds are this project's own reading of Probe3D's names: parts that are named alike apart from the
side and, where the object has the part at both ends, the end. Telling Left from Right's list, behind the published
"geometry-aware" numbers, has the same kinds but leaves out eyes, ears' bases, nostrils, cheeks and the two wheels of
bicycles and motorbikes.
"""

Pairs = tuple[tuple[int, ...], ...]

COUNTS: dict[str, int] = {
    "aeroplane": 25,
    "bicycle": 14,  # 11 and 12 are never annotated
    "bird": 17,
    "boat": 14,
    "bottle": 10,
    "bus": 30,  # 8 and 9 are never annotated
    "car": 30,
    "cat": 15,
    "chair": 14,
    "cow": 21,
    "dog": 16,
    "horse": 20,
    "motorbike": 13,
    "person": 20,
    "pottedplant": 9,
    "sheep": 21,
    "train": 18,
    "tvmonitor": 16,
}
"""Category -> how many numbers it uses, from 0."""

_FACE: dict[str, Pairs] = {"ear, base": ((0, 1),), "ear, tip": ((2, 3),), "eye": ((4, 5),)}
_MUZZLE: dict[str, Pairs] = {**_FACE, "nostril": ((6, 7),)}
_CATTLE: dict[str, Pairs] = {
    **_MUZZLE,
    "foot": ((9, 10), (11, 12)),
    "knee": ((15, 16), (17, 18)),
    "horn": ((19, 20),),
}
# A wheel of a road vehicle has three keypoints: where the body meets its rear and its front edge, and its middle.
_WHEELS: dict[str, Pairs] = {
    "wheel": ((11, 21), (14, 24)),
    "wheel housing, rear edge": ((10, 20), (13, 23)),
    "wheel housing, front edge": ((12, 22), (15, 25)),
}

PARTS: dict[str, dict[str, Pairs]] = {
    "aeroplane": {
        "landing gear": ((4, 5),),
        "engine, front": ((6, 7),),
        "wing, tip": ((8, 9),),
        "engine, back": ((10, 11),),
        "wing, root in front": ((12, 13),),
        "wing, root behind": ((14, 15),),
        "tailplane, tip": ((16, 17),),
        "tailplane, root in front": ((18, 19),),
        "tailplane, root behind": ((20, 21),),
    },
    "bicycle": {"wheel": ((0,), (1,)), "handlebar": ((2, 3),), "saddle, back": ((6, 7),), "pedal": ((9, 10),)},
    "bird": {
        "wing": ((1, 2),),
        "cheek": ((4, 5),),
        "eye": ((7, 8),),
        "foot": ((10, 11),),
        "knee": ((12, 13),),
        "hip": ((14, 15),),
    },
    "boat": {
        "deck, bow": ((1, 2),),
        "deck, middle": ((3, 4),),
        "deck, stern": ((5, 6),),
        "hull, bow": ((7, 8),),
        "hull, middle": ((9, 10),),
        "hull, stern": ((11, 12),),
    },
    "bottle": {
        "cap": ((0, 1),),
        "neck": ((2, 3),),
        "shoulder": ((4, 5),),
        "body": ((6, 7),),
        "base": ((8, 9),),
    },
    "bus": {
        "mirror": ((0, 1),),
        "light": ((2, 3), (5, 6)),
        "licence plate": ((4,), (7,)),
        **_WHEELS,
        "lower corner": ((16, 17), (26, 27)),
        "upper corner": ((18, 19), (28, 29)),
    },
    "car": {
        "mirror": ((0, 1),),
        "light": ((2, 3), (6, 7)),
        "licence plate": ((4,), (8,)),
        "emblem": ((5,), (9,)),
        **_WHEELS,
        "windscreen, lower corner": ((16, 17), (26, 27)),
        "windscreen, upper corner": ((18, 19), (28, 29)),
    },
    "cat": {**_MUZZLE, "foot": ((9, 10), (11, 12))},
    "chair": {
        "seat, front": ((0, 1),),
        "seat, back": ((2, 3),),
        "leg": ((4, 5), (6, 7)),
        "backrest, top": ((8, 9),),
        "armrest, front": ((10, 11),),
        "armrest, back": ((12, 13),),
    },
    "cow": _CATTLE,
    "dog": {**_FACE, "foot": ((9, 10), (11, 12))},
    "horse": {**_MUZZLE, "foot": ((10, 11), (12, 13)), "knee": ((16, 17), (18, 19))},
    "motorbike": {
        "mirror": ((0, 1),),
        "handlebar": ((2, 3),),
        "wheel": ((6,), (7,)),
        "hub": ((11,), (12,)),
    },
    "person": {
        "eye": ((0, 1),),
        "ear": ((2, 3),),
        "shoulder": ((8, 9),),
        "elbow": ((10, 11),),
        "hand": ((12, 13),),
        "knee": ((14, 15),),
        "ankle": ((16, 17),),
        "foot": ((18, 19),),
    },
    "pottedplant": {"rim": ((0, 2), (1,), (3,)), "body": ((4, 5),), "base": ((6, 8),)},
    "sheep": _CATTLE,
    "train": {
        "front, upper corner": ((0, 1),),
        "front, lower corner": ((2, 3),),
        "back, upper corner": ((4, 5),),
        "back, lower corner": ((6, 7),),
        "windscreen, upper outer corner": ((8, 9),),
        "windscreen, lower outer corner": ((10, 11),),
        "windscreen, upper inner corner": ((12, 13),),
        "windscreen, lower inner corner": ((14, 15),),
        "headlight": ((16, 17),),
    },
    "tvmonitor": {
        "frame, corner": ((0, 2), (4, 6)),
        "frame, side": ((3, 7), (1,), (5,)),
        "screen, corner": ((8, 10), (12, 14)),
        "screen, side": ((11, 15), (9,), (13,)),
    },
}
"""Category -> part -> its pairs of mirrored keypoints; single ones lie on the plane of symmetry. A part is one kind."""
