"""Whether the queue can be kept in ``data_dir``: its owner, its free disk space, and the secrets that open it."""

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

from proxy.config.load import Config
from proxy.doctor.finding import Finding
from proxy.installation import SECRET_FILE, Installation
from proxy.queue.sqlite.data_dir import DATABASE_FILE, LOCK_FILE
from proxy.queue.sqlite.inspect import is_held, is_opened_by

_KEY = "server.data_dir"
_FILES = (DATABASE_FILE, LOCK_FILE, SECRET_FILE)


def findings(config: Config) -> Iterator[Finding]:
    """Yield what stands against running a queue in ``data_dir``."""
    directory = config.data_dir
    if os.geteuid() == 0:
        yield Finding(_KEY, "looked at as root; run the check as the user the proxy runs as, who may do less")
    try:
        if directory.is_dir():
            yield from _existing(config, directory)
        elif directory.exists():
            yield Finding(_KEY, f"{directory} is not a directory", failing=True)
        else:
            yield from _to_be_made(directory)
    except OSError as error:
        yield Finding(_KEY, f"{directory} cannot be looked at ({error.strerror})", failing=True)


def _to_be_made(directory: Path) -> Iterator[Finding]:
    parent = next(ancestor for ancestor in directory.absolute().parents if ancestor.exists())
    if os.access(parent, os.W_OK | os.X_OK):
        yield Finding(_KEY, f"{directory} is not there yet; the first start makes it, for the user who starts it")
    else:
        text = f"{directory} cannot be made by {_user(os.geteuid())}: {parent} belongs to {_owner(parent)}"
        yield Finding(_KEY, text, failing=True)


def _existing(config: Config, directory: Path) -> Iterator[Finding]:
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        who = f"{_user(os.geteuid())}, who runs this check; it belongs to {_owner(directory)}"
        yield Finding(_KEY, f"{directory} cannot be written by {who}", failing=True)
        return
    yield from _foreign_files(directory)
    if directory.stat().st_mode & 0o077:
        yield Finding(_KEY, f"other users of this machine may look into {directory}; chmod 700")
    disk = os.statvfs(directory)
    if disk.f_bavail * disk.f_frsize < config.settings.queue.min_free_bytes:
        yield Finding("queue.min_free_bytes", f"more than is free in {directory}: pages would get 503", failing=True)
    if is_held(directory):
        yield Finding(_KEY, f"{directory} is in use by a running proxy")
    elif not is_opened_by(directory, Installation.existing(config).sealer()):
        text = f"{directory} holds events that no listed secret opens; list the earlier one in old_secrets"
        yield Finding(_KEY, text, failing=True)


def _foreign_files(directory: Path) -> Iterator[Finding]:
    """Yield our files that were made by somebody else than the user the directory belongs to, usually root."""
    owner = directory.stat().st_uid
    ours = [path for path in directory.iterdir() if path.name.startswith(_FILES)]
    foreign = sorted(path.name for path in ours if path.stat().st_uid != owner)
    if foreign and owner:
        text = f"{', '.join(foreign)} in {directory} must belong to {_user(owner)}, as the directory does; chown"
        yield Finding(_KEY, text, failing=True)


def _owner(path: Path) -> str:
    return _user(path.stat().st_uid)


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
