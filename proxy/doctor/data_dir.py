"""Whether the queue can live where it shall: the directory, its owner, its room, and the secrets that open it."""

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
        yield Finding(f"{_KEY}: looked at as root; run the check as the user the proxy runs as, who may do less")
    try:
        if directory.is_dir():
            yield from _existing(config, directory)
        elif directory.exists():
            yield Finding(f"{_KEY}: {directory} is not a directory", failed=True)
        else:
            yield from _to_be_made(directory)
    except OSError as error:
        yield Finding(f"{_KEY}: {directory} cannot be looked at ({error.strerror})", failed=True)


def _to_be_made(directory: Path) -> Iterator[Finding]:
    parent = next(one for one in directory.absolute().parents if one.exists())
    if os.access(parent, os.W_OK | os.X_OK):
        yield Finding(f"{_KEY}: {directory} is not there yet; the first start makes it, for the user who starts it")
    else:
        text = f"{_KEY}: {directory} cannot be made by {_user(os.geteuid())}: {parent} belongs to {_owner(parent)}"
        yield Finding(text, failed=True)


def _existing(config: Config, directory: Path) -> Iterator[Finding]:
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        who = f"{_user(os.geteuid())}, who runs this check; it belongs to {_owner(directory)}"
        yield Finding(f"{_KEY}: {directory} cannot be written by {who}", failed=True)
        return
    yield from _strange_files(directory)
    if directory.stat().st_mode & 0o077:
        yield Finding(f"{_KEY}: other users of this machine may look into {directory}; chmod 700")
    disk = os.statvfs(directory)
    if disk.f_bavail * disk.f_frsize < config.settings.queue.min_free_bytes:
        yield Finding(f"queue.min_free_bytes: more than is free in {directory}: pages would get 503", failed=True)
    if is_held(directory):
        yield Finding(f"{_KEY}: {directory} is in use by a running proxy")
    elif not is_opened_by(directory, Installation.existing(config).sealer()):
        text = f"{_KEY}: {directory} holds events that no listed secret opens; list the earlier one in old_secrets"
        yield Finding(text, failed=True)


def _strange_files(directory: Path) -> Iterator[Finding]:
    """Yield our files that were made by somebody else than the user the directory belongs to, usually root."""
    owner = directory.stat().st_uid
    ours = [path for path in directory.iterdir() if path.name.startswith(_FILES)]
    strange = sorted(path.name for path in ours if path.stat().st_uid != owner)
    if strange and owner:
        text = (
            f"{_KEY}: {', '.join(strange)} in {directory} must belong to {_user(owner)}, as the directory does; chown"
        )
        yield Finding(text, failed=True)


def _owner(path: Path) -> str:
    return _user(path.stat().st_uid)


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
