"""What a person gets to read when something fails."""

from __future__ import annotations

import logging

from spherecorr.errors import SpherecorrError

INTERNAL_ERROR = "Internal error. The server's log has the details; please report it."

log = logging.getLogger(__name__)


def sentence(error: Exception) -> str:
    """The message of an error that the user can put right; any other goes to the log with its traceback."""
    if isinstance(error, SpherecorrError):
        return str(error)
    log.error("Internal error in the app", exc_info=error)
    return INTERNAL_ERROR
