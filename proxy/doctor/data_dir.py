"""Whether the queue can be kept in ``data_dir``: its owner, its permissions, and the secrets that open it."""

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

from proxy.config.load import Config
from proxy.doctor.finding import Finding
from proxy.installation import SECRET_FILE, Installation
from proxy.queue.sqlite.data_dir import DATABASE_FILE, LOCK_FILE
from proxy.queue.sqlite.inspect import is_in_use, is_opened_by

_KEY = "server.data_dir"
_FILES = (DATABASE_FILE, LOCK_FILE, SECRET_FILE)
_OTHERS = 0o077
"""Permission bits of the group and of others."""


def findings(config: Config, *, is_own: bool = False) -> Iterator[Finding]:
    """Yield what is wrong with ``data_dir`` as the place of a queue; ``is_own``: this process is the proxy itself."""
    directory = config.data_dir
    if os.geteuid() == 0 and not is_own:
        yield Finding("checked_as_root", _KEY, "looked at as root, who may do more than the user of the proxy")
    try:
        if directory.is_dir():
            yield from _existing(config, directory, is_own=is_own)
        elif directory.exists():
            yield Finding("data_dir_not_directory", _KEY, f"{directory} is not a directory")
        else:
            yield from _missing(directory)
    except OSError as error:
        yield Finding("data_dir_unreadable", _KEY, f"{directory} cannot be looked at ({error.strerror})")
    except UnicodeDecodeError:
        yield Finding("data_dir_unreadable", _KEY, f"{directory / SECRET_FILE} is no text")


def _missing(directory: Path) -> Iterator[Finding]:
    parent = next(ancestor for ancestor in directory.absolute().parents if ancestor.exists())
    if os.access(parent, os.W_OK | os.X_OK):
        yield Finding("data_dir_missing", _KEY, f"{directory} is not there yet")
    else:
        seen = f"{directory} cannot be made by {_user(os.geteuid())}: {parent} belongs to {_owner(parent)}"
        paste = f"install -d -m 700 -o {_user(os.geteuid())} {directory}"
        yield Finding("data_dir_unmakeable", _KEY, seen, paste)


def _existing(config: Config, directory: Path, *, is_own: bool) -> Iterator[Finding]:
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        user = _user(os.geteuid())
        seen = f"{directory} cannot be written by {user}, who runs this check; it belongs to {_owner(directory)}"
        yield Finding("data_dir_unwritable", _KEY, seen, f"chown -R {user} {directory}")
        return
    yield from _foreign_files(directory)
    yield from _open_to_others(directory)
    if is_own:
        return
    if is_in_use(directory):
        yield Finding("data_dir_in_use", _KEY, f"{directory} is in use by a running proxy")
    elif not is_opened_by(directory, Installation.existing(config).sealer()):
        paste = 'old_secrets = ["env:CAPI_PROXY_OLD_SECRET"]'
        yield Finding("old_secret_forgotten", _KEY, f"{directory} holds events that no listed secret opens", paste)


def _open_to_others(directory: Path) -> Iterator[Finding]:
    is_open = directory.stat().st_mode & _OTHERS
    if is_open:
        yield Finding(
            "data_dir_open", _KEY, f"other users of this machine may look into {directory}", f"chmod 700 {directory}"
        )
    secret = directory / SECRET_FILE
    if is_open and secret.exists() and secret.stat().st_mode & _OTHERS:
        yield Finding("secret_file_open", _KEY, f"other users of this machine may read {secret}", f"chmod 600 {secret}")


def _foreign_files(directory: Path) -> Iterator[Finding]:
    """Yield a finding if files of the proxy belong to another user than the directory does; mostly that is root."""
    owner = directory.stat().st_uid
    ours = [path for path in directory.iterdir() if path.name.startswith(_FILES)]
    foreign = sorted(path.name for path in ours if path.stat().st_uid != owner)
    if foreign and owner:
        seen = f"{', '.join(foreign)} in {directory} must belong to {_user(owner)}, as the directory does"
        yield Finding("data_dir_foreign_files", _KEY, seen, f"chown -R {_user(owner)} {directory}")


def _owner(path: Path) -> str:
    return _user(path.stat().st_uid)


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
