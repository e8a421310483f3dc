"""`--push`: a folder to a repository of a model hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from figclip.errors import ConfigError, OutputError


def check_repo(repo: str) -> None:
    """Refuse what cannot be the name of a repository, before long work; a `ConfigError`."""
    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        fix = "Give OWNER/NAME"
        raise ConfigError(f"is no name of a repository ({error})", where=repo, fix=fix) from error


def push(folder: Path, repo: str, *, message: str) -> str:
    """Upload all files of a folder as one commit.

    A repository that does not exist is made, private: whoever owns it makes it public. Files that
    it has besides stay. The hub is that of huggingface_hub: `HF_ENDPOINT`, `HF_TOKEN`.

    Returns:
        Its address.

    Raises:
        OutputError: the hub cannot be reached, or refuses.
    """
    api = HfApi()
    try:
        address = api.create_repo(repo, private=True, exist_ok=True)
        api.upload_folder(repo_id=repo, folder_path=folder, commit_message=message)
    except Exception as error:  # those of the HTTP client below have no name of the hub's
        first_line = str(error).strip().partition("\n")[0]
        raise OutputError(
            f"cannot be pushed ({type(error).__name__}: {first_line})",
            where=repo,
            fix=f"{folder} is whole. Log in with `hf auth login`, then: hf upload {repo} {folder}",
        ) from error
    return str(address)
