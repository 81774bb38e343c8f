"""What `spherecorr download sphere` does: published spheres are listed, agreed upon and fetched."""

from __future__ import annotations

import json
from pathlib import Path

from spherecorr.cli.progress import reporting
from spherecorr.errors import SpherecorrError


def list_spheres() -> None:
    """Print the published spheres, and which of them are here."""
    from spherecorr.sphere.public import PUBLIC_SPHERES, downloaded_spheres

    here = downloaded_spheres()
    for sphere in PUBLIC_SPHERES.values():
        print(f"{sphere.name}: {sphere.title}{'; is here' if sphere.name in here else ''}")


def fetch_sphere(name: str, file: Path | None, mirror: str | None, accepted: bool, progress: str) -> None:
    """Say what a published sphere is, have its terms accepted, then fetch and import it, or import a file of it."""
    from spherecorr.sphere.public import PUBLIC_SPHERES, downloaded_spheres, public_folder

    if name not in PUBLIC_SPHERES:
        raise SpherecorrError(f"There is no published sphere '{name}', only {', '.join(PUBLIC_SPHERES)}.")
    if name in downloaded_spheres():
        print(f"{public_folder(name)} is there, so nothing is fetched; it is used as --sphere {name}")
        return
    from spherecorr.pipelines.spheres import download_sphere, import_sphere, sphere_address

    sphere = PUBLIC_SPHERES[name]
    size = f"about {sphere.megabytes:,.0f} MB" if sphere.megabytes else "size not known; the paper's code writes 32 MB"
    origin = str(file) if file else f"{sphere_address(sphere, mirror)} ({size})"
    print(f"{name}: {sphere.title}. {sphere.page}\nfrom {origin}\nTerms: {sphere.terms}.", flush=True)
    if not (accepted or ask("Do you accept these terms? [y/N] ")):
        raise SpherecorrError("The terms are not accepted, so nothing is fetched. --accept accepts them.")
    if file:
        folder = import_sphere(sphere, file)
    else:
        with reporting(progress) as report:
            folder = download_sphere(sphere, mirror=mirror, report=report)
    print_sphere(name, folder)


def ask(question: str) -> bool:
    """Whether a person says yes; no where there is nobody to ask."""
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        print()
        return False


def print_sphere(name: str, folder: Path) -> None:
    """Say what was imported, and how it is used."""
    from spherecorr.sphere.public import CONFIG

    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    source = config["sphere"]["source"]
    print(f"its SHA-256 is {config['imported_from']['sha256']}, which the checkpoint records")
    print(f"wrote {folder}, to be used as --backbone {source['backbone']} --sphere {name}")
