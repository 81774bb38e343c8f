"""Files of the Hugging Face Hub, or of GitHub: from the local cache if they are there, else downloaded, never a hang.

`push_files` is the way back.

huggingface_hub is imported inside the functions: it costs a moment, and most visits need no download.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from spherecorr.errors import SpherecorrError
from spherecorr.transfer import DownloadError, Report, answers, byte_bars, fetch

GITHUB = "https://github.com"


class HubError(SpherecorrError):
    """A file of the Hub that cannot be had; the message says why and what to do."""


def cached_file(repository: str, filename: str, revision: str | None = None) -> Path | None:
    """Path of a file of `owner/name` in the local cache, or None; asks no network.

    Args:
        repository: `owner/name` of the Hub, or `github:owner/name`.
        filename: path inside the repository, such as "unet/config.json".
        revision: branch, tag or commit; None: the main branch.

    Raises:
        HubError: `repository` is no id of the Hub.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    if repository.startswith("github:"):
        copy = _github_copy(repository, filename, revision)
        return copy if copy.is_file() else None
    try:
        path = try_to_load_from_cache(repository, filename, revision=revision)
    except HFValidationError as error:
        raise HubError(f"'{repository}' is no id of the Hugging Face Hub; ids look like owner/name.") from error
    return Path(path) if isinstance(path, str) else None


def fetch_file(repository: str, filename: str, revision: str | None = None, report: Report | None = None) -> Path:
    """Path of a file of `owner/name` in the local cache, downloaded first where it is missing; see `cached_file`.

    A download that broke off is gone on with.

    Args:
        repository: as above.
        filename: as above.
        revision: as above.
        report: told how far a download is; None: a bar is drawn.

    Raises:
        HubError: no network (said within 2 seconds), a gated, private or missing repository, a missing revision or
            file, or a failed download.
    """
    path = cached_file(repository, filename, revision)
    if path is not None:
        return path
    if report is None:
        with byte_bars() as report:
            return fetch_file(repository, filename, revision, report)
    if repository.startswith("github:"):
        return _fetch_from_github(repository, filename, revision, report)
    return _fetch_from_hub(repository, filename, revision, report)


def _fetch_from_hub(repository: str, filename: str, revision: str | None, report: Report) -> Path:
    """Fetch a file by huggingface_hub, the bytes of a large one before: they are put where it looks for them.

    By itself it would begin anew after a break.
    """
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils import build_hf_headers

    # huggingface_hub would try again for most of a minute before it gives up.
    if constants.HF_HUB_OFFLINE or not answers(constants.ENDPOINT):
        reason = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else f"{constants.ENDPOINT} does not answer"
        command = f"hf download {repository}" + (f" --revision {revision}" if revision else "")
        raise HubError(
            f"'{repository}' is not on this machine and {reason}. "
            f"Connect to the network and retry, or run `{command}` beforehand."
        )
    page, url = f"{constants.ENDPOINT}/{repository}", hf_hub_url(repository, filename, revision=revision)
    try:
        tag = get_hf_file_metadata(url).etag or ""
        if re.fullmatch("[0-9a-f]{64}", tag):  # of a large file the tag is its SHA-256
            blob = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}" / "blobs" / tag
            headers = build_hf_headers()
            fetch(url, blob, None, report, name=filename, sha256=tag, headers=headers, remedy="Retry later.")
        return Path(hf_hub_download(repository, filename, revision=revision))
    except DownloadError as error:
        raise HubError(f"The download of '{repository}' failed: {error}") from error
    except GatedRepoError as error:
        raise HubError(f"'{repository}' is gated: ask for access on {page}, run `hf auth login`, retry.") from error
    except RepositoryNotFoundError as error:
        raise HubError(f"{page} does not exist, or is private and needs `hf auth login`.") from error
    except RevisionNotFoundError as error:
        raise HubError(f"'{repository}' cannot be used: it has no revision '{revision}'.") from error
    except EntryNotFoundError as error:
        raise HubError(f"'{repository}' cannot be used: it has no file {filename}.") from error
    except Exception as error:  # of HTTP libraries, too, which differ between huggingface_hub's versions
        raise HubError(f"The download of '{repository}' failed ({_first_line(error)}). Retry.") from error


def push_files(repository: str, files: Mapping[str, bytes], message: str, *, private: bool = False) -> str:
    """Upload files to a model repository of the Hub in one commit; the repository is made if it is missing.

    Args:
        repository: `owner/name`.
        files: path in the repository -> content.
        message: of the commit.
        private: make the repository private; one that is public already is refused, as it would show the files.

    Returns:
        Address of the repository's page.

    Raises:
        HubError: no id, no login, no network (said within 2 seconds), no right to write, or a failed upload.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, constants, get_token
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError

    page = f"{constants.ENDPOINT}/{repository}"
    if "/" not in repository:
        raise HubError(f"'{repository}' is no id of the Hugging Face Hub; ids look like owner/name.")
    if get_token() is None:
        raise HubError("You are not logged in to the Hugging Face Hub; run `hf auth login` with a token that writes.")
    if constants.HF_HUB_OFFLINE or not answers(constants.ENDPOINT):
        reason = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else f"{constants.ENDPOINT} does not answer"
        raise HubError(f"Nothing is uploaded: {reason}. Connect to the network and retry.")
    api = HfApi(endpoint=constants.ENDPOINT)
    try:
        api.create_repo(repository, private=private or None, exist_ok=True)
        public = private and not api.model_info(repository).private
        additions = [CommitOperationAdd(path, content) for path, content in files.items()]
        if not public:
            api.create_commit(repository, additions, commit_message=message)
    except HFValidationError as error:
        raise HubError(f"'{repository}' is no id of the Hugging Face Hub; ids look like owner/name.") from error
    except HfHubHTTPError as error:
        raise HubError(_refusal(page, error.response.status_code, error)) from error
    except (HTTPError, OSError, RuntimeError, ValueError) as error:
        raise HubError(f"The upload to {page} failed ({_first_line(error)}). Retry.") from error
    if public:
        raise HubError(f"{page} is there and public; make it private in its settings, or choose another name.")
    return page


def _refusal(page: str, status: int, error: Exception) -> str:
    """Why the Hub does not take files, by the status of its answer."""
    if status == 401:
        return "The Hugging Face Hub does not know your token; run `hf auth login` with one that may write."
    if status in (403, 404):
        return f"You may not write to {page}; name a repository of yours, and log in with a token that may write."
    return f"The upload to {page} failed ({_first_line(error)}). Retry."


def _github_copy(repository: str, filename: str, revision: str | None) -> Path:
    """Where a file of GitHub is kept, beside the Hub's."""
    from huggingface_hub import constants

    folder = repository.replace(":", "--").replace("/", "--")
    return Path(constants.HF_HUB_CACHE) / folder / (revision or "HEAD") / filename


def _fetch_from_github(repository: str, filename: str, revision: str | None, report: Report) -> Path:
    from huggingface_hub import constants

    url = f"{GITHUB}/{repository.removeprefix('github:')}/raw/{revision or 'HEAD'}/{filename}"
    path = _github_copy(repository, filename, revision)
    if constants.HF_HUB_OFFLINE or not answers(GITHUB):
        reason = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else f"{GITHUB} does not answer"
        raise HubError(
            f"{url} is not on this machine and {reason}. Connect to the network and retry, or put a copy at {path}."
        )
    try:
        return fetch(url, path, None, report, name=filename, remedy="Retry later.")
    except DownloadError as error:
        raise HubError(f"The download of '{repository}' failed: {error}") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
