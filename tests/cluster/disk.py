"""A small disk for a node, which a test can fill: a tmpfs if the test may mount, else a plain directory."""

import os
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_MIB = 1 << 20
# The long run fills tables and log of a hundred rounds.
_SIZE = (2048 if "CAPI_PROXY_ROUNDS" in os.environ else 384) * _MIB
_FILLER = "filler"


@dataclass
class Disk:
    """A directory, and whether it is a file system of its own (``own``)."""

    path: Path
    own: bool = False

    def make(self, user: str) -> None:
        """Create the directory for a user of the system, and mount a tmpfs there if permitted."""
        self.path.mkdir(mode=0o700)
        if os.geteuid() == 0:
            order = ("mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "capi-proxy-test", str(self.path))
            self.own = subprocess.run(order, capture_output=True, check=False).returncode == 0
            shutil.chown(self.path, user, user)

    def fill(self) -> None:
        """Leave no byte free."""
        assert self.own, "others use this disk too"
        step = 16 * _MIB
        handle = os.open(self.path / _FILLER, os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            while step >= os.sysconf("SC_PAGESIZE"):
                try:
                    os.posix_fallocate(handle, os.fstat(handle).st_size, step)
                except OSError:
                    step //= 2
        finally:
            os.close(handle)

    def free(self) -> None:
        """Remove the file that fills the disk."""
        with suppress(FileNotFoundError):
            (self.path / _FILLER).unlink()

    def remove(self) -> None:
        """Unmount the disk; the directory is removed with its parent."""
        if self.own:
            order = ("umount", "--lazy", str(self.path))
            subprocess.run(order, check=True)
            self.own = False
