"""A published sphere mapper becomes a checkpoint of this machine: fetched, checked, imported.

What needs torch is imported once the file has come: a download begins, or says that there is no network, at once.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from spherecorr.sphere.public import PublicSphere, public_folder
from spherecorr.transfer import DownloadError, Report, answers, fetch

if TYPE_CHECKING:
    from spherecorr.sphere.mapper import SphereMapper

POINTER = b"version https://git-lfs.github.com/spec/"


def download_sphere(
    sphere: PublicSphere, *, mirror: str | None = None, report: Report = lambda name, done, total: None
) -> Path:
    """Fetch a published mapper and import it; whoever calls this has accepted its terms.

    A download that broke off is gone on with. What turns out not to be the mapper is deleted.

    Args:
        sphere: of the registry.
        mirror: address of a folder with the file on another server.
        report: told how far the download is.

    Returns:
        The checkpoint folder.

    Raises:
        DownloadError: no program can fetch it, or the download fails; what came is kept.
        CheckpointError: the file is not the mapper.
    """
    url = sphere_address(sphere, mirror)
    kept = public_folder(f"{sphere.name}.download")
    if not answers(url):
        raise DownloadError(f"{url} does not answer. Connect to the network and retry.")
    file = fetch(url, kept / url.rpartition("/")[2], sphere.megabytes, report)
    from spherecorr.sphere.checkpoint import CheckpointError

    try:
        folder = import_sphere(sphere, file, url)
    except CheckpointError:
        file.unlink()
        raise
    shutil.rmtree(kept)
    return folder


def sphere_address(sphere: PublicSphere, mirror: str | None = None) -> str:
    """Where a mapper is fetched from.

    Raises:
        DownloadError: no program can fetch it.
    """
    if sphere.url is None:
        raise DownloadError(
            f"'{sphere.name}' cannot be fetched by this command. {sphere.how}, and run "
            f"`spherecorr download sphere {sphere.name} --file FILE`."
        )
    return sphere.url if mirror is None else f"{mirror.rstrip('/')}/{sphere.url.rpartition('/')[2]}"


def import_sphere(sphere: PublicSphere, file: Path, url: str | None = None) -> Path:
    """Write a published mapper's state dict as the checkpoint folder that `load_sphere` knows by its name.

    Its config states the features it was trained on, the resolution, where the file came from, its SHA-256 and terms.

    Args:
        sphere: of the registry.
        file: its state dict; left as it is.
        url: where the file came from; None: from the mapper's page, by hand.

    Raises:
        CheckpointError: a pointer instead of the file, another digest than the published one, or no such state dict.
    """
    from spherecorr.sphere.checkpoint import save_sphere

    mapper = _read(sphere, file)
    mapper.settings = replace(
        mapper.settings, source=sphere.source, resolution=sphere.resolution, categories=sphere.categories
    )
    origin = {"name": sphere.name, "url": url or sphere.page, "sha256": _sha256(file), "terms": sphere.terms}
    folder = public_folder(sphere.name)
    save_sphere(mapper, folder, metadata={"imported_from": {"file": file.name, **origin}})
    return folder


def _read(sphere: PublicSphere, file: Path) -> SphereMapper:
    """The mapper in a state dict that is checked to be the published one's."""
    from spherecorr.sphere.checkpoint import CheckpointError, import_authors

    if not file.is_file():
        raise CheckpointError(f"There is no file '{file}'.")
    with open(file, "rb") as content:
        start = content.read(1024)
    if start.startswith(POINTER):
        size = re.search(rb"size (\d+)", start)
        means = f"of {int(size[1]) / 1e6:,.1f} MB " if size else ""
        raise CheckpointError(
            f"'{file.name}' is a pointer of Git LFS, not the file {means}it stands for. Fetch the file itself from "
            f"{sphere.page}, such as by `git lfs pull` in a clone, and use it with --file."
        )
    found = _sha256(file)
    if sphere.sha256 is not None and found != sphere.sha256:
        raise CheckpointError(
            f"'{file.name}' is not the published one of '{sphere.name}': its SHA-256 is {found}, not {sphere.sha256}."
        )
    mapper = import_authors(file)
    if mapper.settings.feature_dim != sphere.source.dim:
        raise CheckpointError(
            f"'{file.name}' is not the mapper '{sphere.name}': it takes features of {mapper.settings.feature_dim} "
            f"channels, and those of {sphere.source.backbone} have {sphere.source.dim}."
        )
    return mapper


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
