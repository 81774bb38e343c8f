"""The app's menu for programs: its backbones, whether they are here, and which spheres fit them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spherecorr.backbones.registry import Spec, find, members, parts_of
from spherecorr.backbones.weights import availability
from spherecorr.errors import SpherecorrError
from spherecorr.sphere.checkpoint import sphere_settings
from spherecorr.sphere.settings import SphereSettings
from spherecorr.ui.settings import AppSettings


def backbone_records(settings: AppSettings) -> list[dict[str, Any]]:
    """One JSON-able record per backbone of the menu; loads no weights and asks no network."""
    spheres = _settings_of(settings.spheres)
    return [_record(name, spheres) for name in settings.backbones]


def fitting_sphere(settings: AppSettings, backbone: str) -> str | None:
    """The first sphere of the menu that was trained on this backbone."""
    return next(iter(_fitting(backbone, _settings_of(settings.spheres))), None)


def _record(name: str, spheres: dict[str, SphereSettings]) -> dict[str, Any]:
    spec = find(name)
    record: dict[str, Any] = {
        "name": name,
        "title": spec.title if spec else Path(name).name,
        "here": False,
        "megabytes": _megabytes(spec) if spec else None,
        "download_megabytes": None,
        "licence": None,
        "note": "",
        "resolutions": dict(spec.resolutions) if spec else None,
        "spheres": _fitting(name, spheres),
    }
    try:
        found = availability(name)
    except SpherecorrError as error:  # a name that nobody knows
        return {**record, "note": str(error)}
    download = None if found.megabytes is None else round(found.megabytes)
    return {
        **record, "here": found.here, "download_megabytes": download, "licence": found.licence, "note": found.note
    }  # fmt: skip


def _megabytes(spec: Spec) -> int:
    """About how much memory its weights take in single precision."""
    return round(4 * sum(member.parameters for member in members(spec) if not hasattr(member, "base")))


def _settings_of(spheres: tuple[str, ...]) -> dict[str, SphereSettings]:
    """Settings of the spheres that are on this machine and whole."""
    found = {}
    for name in spheres:
        try:
            settings = sphere_settings(name)
        except SpherecorrError:  # whoever chooses it is told
            continue
        if settings is not None:
            found[name] = settings
    return found


def _fitting(backbone: str, spheres: dict[str, SphereSettings]) -> list[str]:
    """Names of the spheres that read this backbone's features, as far as names and channels tell."""
    read = parts_of(backbone)[0]
    spec = find(read)
    return [
        name
        for name, settings in spheres.items()
        if (settings.source is None or settings.source.backbone == read)
        and (spec is None or spec.dim == settings.feature_dim)
    ]
