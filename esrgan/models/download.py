"""What pulling from the Hub and publishing to it share: its ids, a file of it, and its refusals in plain words."""

import errno
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from huggingface_hub import constants, get_token, hf_hub_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from ..errors import HubUnreachable, WeightsError

# What the clients raise for what the Hub did, or something that answers in its place.
HUB_ERRORS = (HTTPError, OSError, RuntimeError, ValueError)
TOO_MANY = 429
OWN_DISK = (errno.EACCES, errno.EDQUOT, errno.ENOSPC, errno.EROFS)
MOST_WORDS = 200  # characters of the Hub's own
LOG_IN = "run `hf auth login`, or set HF_TOKEN"


def fetch(repo_id: str, name: str, **options: Any) -> Path:
    """A file of a Hub repository, in the cache.

    Args:
        repo_id: owner/name.
        name: the file.
        **options: further arguments of `hf_hub_download`.

    Raises:
        RemoteEntryNotFoundError: the repository has no such file.
        HubUnreachable: neither the Hub nor the cache gives it.
        WeightsError: the Hub refuses it.
    """
    try:
        return Path(hf_hub_download(repo_id, name, **options))
    except RemoteEntryNotFoundError:
        raise
    except HUB_ERRORS as error:
        status = _status(error)
        refused = isinstance(error, HFValidationError) or (status and status != TOO_MANY and status < 500)
        kind = WeightsError if refused else HubUnreachable
        if options.get("local_files_only"):
            raise kind(f"{repo_id}: {name} is not in the cache, and the Hub was not to be asked.") from error
        raise kind(f"{repo_id}: not to be had from the Hub; {explain(error)}.") from error


def explain(error: BaseException) -> str:
    """Why the Hub did not do as asked, and what to do: a clause without addresses, which may hold signatures."""
    for cause in _causes(error):
        if isinstance(cause, HFValidationError):
            return "a Hub id is spelt owner/name, of letters, digits, '-', '_' and '.'"
        if isinstance(cause, OfflineModeIsEnabled):
            return "HF_HUB_OFFLINE keeps from asking"
        if isinstance(cause, LocalTokenNotFoundError):
            return f"you are not logged in: {LOG_IN}"
        if isinstance(cause, GatedRepoError):
            return "it is gated: ask for access on its page, and log in"
        if isinstance(cause, RepositoryNotFoundError):
            return "there is no such repository, or none that your token may see"
        if isinstance(cause, RevisionNotFoundError):
            return "there is no such revision"
        if isinstance(cause, OSError) and cause.errno in OWN_DISK:
            return f"{cause.strerror}: {cause.filename or 'on this machine'}"
    status = _status(error)
    if status == 401:
        return f"{'the token is not accepted' if get_token() else 'you are not logged in'}: {LOG_IN}"
    if status == 403:
        return f"the token may not do that{_words(error)}: take one with write access, and a repository of your own"
    if status == 412:
        return "somebody else changed the repository at the same time; do it again"
    if status:
        advice = "try again later" if status >= TOO_MANY else "its website may tell more"
        return f"the Hub answers with an error ({status}){_words(error) if status < 500 else ''}; {advice}"
    return f"{constants.ENDPOINT} cannot be reached, or the transfer broke off; try again later"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        error = error.__cause__


def _words(error: BaseException) -> str:
    """What the Hub says of it, if anything."""
    said = next((cause.server_message for cause in _causes(error) if isinstance(cause, HfHubHTTPError)), None)
    words = re.sub(r"\S*://\S*", "…", " ".join((said or "").split()))
    return f', "{words[:MOST_WORDS]}"' if words else ""


def _status(error: BaseException) -> int | None:
    """The status of the Hub's answer, if there was one."""
    return next((cause.response.status_code for cause in _causes(error) if isinstance(cause, HfHubHTTPError)), None)
