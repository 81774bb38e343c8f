"""The error of every reader."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from spherecorr.errors import SpherecorrError
from spherecorr.images import ImageError


class DatasetError(SpherecorrError):
    """A dataset's file is missing or broken; the message names it."""


@contextmanager
def of_a_dataset() -> Iterator[None]:
    """Turn the error of a picture into one of the dataset, with the same message."""
    try:
        yield
    except ImageError as error:
        raise DatasetError(str(error)) from error
