"""Passwords and keys: read when they are needed, from where the settings say, and never kept, shown or logged."""

import os
from collections.abc import Mapping
from pathlib import Path

from daemon.errors import TransientError

CREDENTIALS = "CREDENTIALS_DIRECTORY"
_LONGEST = 4096


class SecretUnreadable(TransientError):  # noqa: N818  (named by what is so)
    """The password or key is not where the settings say: put it there."""


def place_of(
    env: str | None, file: Path | None, credential: str | None, environ: Mapping[str, str]
) -> Path | None:
    """The file that holds a secret; None if it comes from a variable, or there is none.

    Raises:
        SecretUnreadable: a credential is wanted, and systemd has given none.
    """
    if env is not None or credential is None:
        return file
    folder = environ.get(CREDENTIALS)
    if not folder:
        raise SecretUnreadable(
            f"credential {credential}: {CREDENTIALS} is not set; write LoadCredential={credential}:… into the unit"
        )
    return Path(folder) / credential


def read_secret(
    env: str | None, file: Path | None, credential: str | None, environ: Mapping[str, str] = os.environ
) -> str | None:
    """A password or key; None if none is configured.

    Args:
        env: name of an environment variable.
        file: a file with it on the first line.
        credential: name of a systemd credential.
        environ: the environment.

    Raises:
        SecretUnreadable: it is not there, or empty. The message says where it was looked for, never what was found.
    """
    if env is not None:
        secret = environ.get(env, "").rstrip("\r\n")
        place = f"environment variable {env}"
    else:
        path = place_of(env, file, credential, environ)
        if path is None:
            return None
        place = str(path)
        secret = _first_line(path)
    if not secret:
        raise SecretUnreadable(f"{place}: is not set or empty; put the password or key there")
    if any("\ud800" <= char <= "\udfff" for char in secret):  # what os.environ makes of other bytes
        raise SecretUnreadable(f"{place}: is no UTF-8")
    return secret


def _first_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            line = file.readline(_LONGEST)
    except OSError as error:
        raise SecretUnreadable(f"{path}: cannot be read ({error.strerror})") from None
    try:
        return line.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise SecretUnreadable(f"{path}: is no UTF-8") from None
