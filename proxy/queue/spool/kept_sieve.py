"""A sieve of suppressions kept in a file, so that a start without the database spools nothing about suppressed people.

The file need not be complete: what a power cut takes from it is read again from the database.
"""

import asyncio
import logging
import os
from pathlib import Path

from proxy.queue.sieve import PREFIX, Sieve

log = logging.getLogger(__name__)

FILE = "suppressed"


class KeptSieve(Sieve):
    """A sieve that is also kept in a file; written on the event loop only."""

    def __init__(self, directory: Path, shared: Sieve | None = None) -> None:
        """Remember the digests that earlier processes remembered.

        Args:
            directory: The locked ``data_dir``.
            shared: A sieve whose memory this one uses, and other processes read.
        """
        super().__init__(shared.memory if shared else None)
        self._path = directory / FILE
        self._unwritten = bytearray()
        self._is_kept = True
        try:
            known = self._read()
        except OSError as error:
            self._give_up(error)
            return
        for at in range(0, len(known) - PREFIX + 1, PREFIX):
            super().remember(known[at : at + PREFIX])

    def remember(self, digest: bytes) -> None:
        """Let ``may_hold`` be true of a digest, also after a restart."""
        if self.may_hold(digest):
            return
        super().remember(digest)
        if self._is_kept:
            if not self._unwritten:
                asyncio.get_running_loop().call_soon(self._write)
            self._unwritten += digest[:PREFIX]

    def _read(self) -> bytes:
        self._path.touch(mode=0o600)
        known = self._path.read_bytes()
        if rest := len(known) % PREFIX:
            # A power cut, or a full disk, has taken the end.
            os.truncate(self._path, len(known) - rest)
        return known

    def _write(self) -> None:
        """Write what was remembered in this round of the event loop."""
        unwritten, self._unwritten = self._unwritten, bytearray()
        try:
            with self._path.open("ab") as file:
                file.write(unwritten)
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self._is_kept = False
        log.warning("who is suppressed is not kept for a start without the database: %s", error.strerror)
