"""What of the app's menus is not on this machine, and what somebody should know before it is downloaded."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from spherecorr.backbones.registry import find
from spherecorr.backbones.weights import LOCAL, availability
from spherecorr.errors import SpherecorrError
from spherecorr.sphere.public import PUBLIC_SPHERES, downloaded_spheres

FREE = {"apache-2.0", "bsd-3-clause", "cc0-1.0", "mit"}
"""Licences that restrict no use; the terms of all others are to be accepted."""

Kind = Literal["backbone", "sphere"]


@dataclass(frozen=True)
class Missing:
    """A backbone or a published sphere of the menus.

    Attributes:
        kind: which of the two.
        name: as the download command knows it.
        title: for people.
        bytes: about how many are to be downloaded; None if not known.
        licence: of the weights; "" if not known, and for a sphere, whose terms say it.
        page: address of the page about it; "" if there is none.
        note: sentences for whoever chooses; may be empty.
        terms: what is to be accepted before, in a sentence without its full stop; "" if nothing is.
        gpu: whether a GPU is recommended.
        how: what to do by hand, without a full stop, where no program can fetch it; else "".
    """

    kind: Kind
    name: str
    title: str
    bytes: int | None
    licence: str = ""
    page: str = ""
    note: str = ""
    terms: str = ""
    gpu: bool = False
    how: str = ""

    @property
    def key(self) -> str:
        """What its download is known by."""
        return f"{self.kind} {self.name}"

    @property
    def arguments(self) -> tuple[str, ...]:
        """Of the download command, once the terms are accepted."""
        return ("sphere", self.name, "--accept") if self.kind == "sphere" else (self.name,)


def present_spheres(offered: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the offered spheres that a menu can show: all but the published ones that were not downloaded."""
    absent = PUBLIC_SPHERES.keys() - set(downloaded_spheres())
    return tuple(name for name in offered if name not in absent)


def missing_of(backbones: tuple[str, ...], spheres: tuple[str, ...]) -> list[Missing]:
    """What of the offered names is not on this machine, in their order. Asks no network."""
    present = present_spheres(spheres)
    absent = [missing for name in backbones if (missing := _backbone(name)) is not None]
    return absent + [_sphere(name) for name in spheres if name not in present]


def unwritable_cache() -> str:
    """A sentence if nothing can be written where downloads are kept, as on a read-only disk; else ""."""
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE)
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if there.is_dir() and os.access(there, os.W_OK):
        return ""
    return f"Nothing can be downloaded here: '{folder}' cannot be written."


def _backbone(name: str) -> Missing | None:
    """None for a backbone that is here, and for one that nobody knows: the menu says so when it is chosen."""
    try:
        found = availability(name)
    except SpherecorrError:
        return None
    if found.here:
        return None
    spec = find(name)
    note, gpu = re.subn(r"GPU recommended[.:]\s*", "", found.note)
    missing = Missing(
        "backbone",
        name,
        spec.title if spec else Path(name).name,
        bytes=round(found.megabytes * 1e6) if found.megabytes else None,
        licence=found.licence or "",
        page=_page(found.missing[0]),
        note=note[:1].upper() + note[1:],
        gpu=bool(gpu),
    )
    if name.startswith(LOCAL):
        return replace(missing, how="It is a folder on this machine without config.json or model.safetensors")
    return replace(missing, terms=_terms(missing.licence))


def _terms(licence: str) -> str:
    restricted = [part for part in licence.split(", ") if part.lower() not in FREE]
    if not licence:
        return "The licence is not known; the page about it may tell"
    return f"{', '.join(restricted)}, which may restrict what the weights are used for" if restricted else ""


def _page(missing: str) -> str:
    """The repository's page of a file that `availability` calls missing."""
    if Path(missing).is_absolute():
        return ""
    host, _, path = missing.rpartition(":")
    return f"https://{'github.com' if host == 'github' else 'huggingface.co'}/{'/'.join(path.split('/')[:2])}"


def _sphere(name: str) -> Missing:
    sphere = PUBLIC_SPHERES[name]
    return Missing(
        "sphere",
        name,
        f"{name}: {sphere.title}",
        bytes=round(sphere.megabytes * 1e6) if sphere.megabytes else None,
        page=sphere.page,
        note=f"For the backbone {sphere.source.backbone}.",
        terms=sphere.terms,
        how=f"{sphere.how}, and run `spherecorr download sphere {name} --file FILE`" if sphere.how else "",
    )
