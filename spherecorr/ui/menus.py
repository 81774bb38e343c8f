"""What the page's menus offer at the moment."""

from __future__ import annotations

from pathlib import Path

from spherecorr.backbones import BACKBONES, weights_available
from spherecorr.ui.missing import present_spheres
from spherecorr.ui.session import NO_SPHERE
from spherecorr.ui.settings import AppSettings
from spherecorr.ui.teaching_files import taught_title


def backbone_choices(settings: AppSettings) -> list[tuple[str, str]]:
    """Titles, with a word on those whose weights are not here, and names."""
    choices = []
    for name in settings.backbones:
        title = BACKBONES[name].title if name in BACKBONES else Path(name).name
        choices.append((title if weights_available(name) else f"{title} · not downloaded", name))
    return choices


def sphere_choices(settings: AppSettings, taught: str = "") -> list[tuple[str, str]]:
    """Titles and names of the spheres that are here, with one that the visitor taught where it is named."""
    title = taught_title(settings.teach_folder, taught)
    own = [(title, taught)] if title else []
    return [*((Path(name).name, name) for name in present_spheres(settings.spheres)), *own, ("No sphere", NO_SPHERE)]
