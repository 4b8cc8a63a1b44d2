"""A file of the backfill on disk: its lines, its encoding, the hash of its beginning, and the progress beside it."""

import codecs
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from proxy.backfill.claims import Line, UnreadableFileError
from proxy.backfill.progress import Progress, read_progress

_MOST_LINE = 16 << 20
_CHUNK = 1 << 20


class BackfillFile:
    """A file whose events are sent.

    Args:
        path: Where it is.
        pixel: The id of the pixel that gets its events; each pixel has its own progress file.
    """

    def __init__(self, path: Path, pixel: str) -> None:
        self.path = path
        self.progress_path = path.with_name(f"{path.name}.{pixel}.progress")
        self._hash = hashlib.sha256()
        self._hashed = 0

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the file, so that no second run sends it at the same time.

        Raises:
            UnreadableFileError: When it is no regular file, or another run has locked it.
        """
        if not self.path.is_file():
            raise UnreadableFileError("not a file that can be read twice; write it to disk first")
        with self.path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UnreadableFileError("another run is sending it") from None
            yield

    def lines(self, on_bytes: Callable[[int], object] = lambda _: None) -> Iterator[Line]:
        """Yield the lines, each without its end.

        Args:
            on_bytes: Called for each line with its length in bytes.

        Raises:
            UnreadableFileError: When a line is so long that the file is something else.
        """
        number = end = 0
        with self.path.open("rb") as file:
            while piece := file.readline(_MOST_LINE + 1):
                number, end = number + 1, end + len(piece)
                if len(piece) > _MOST_LINE:
                    raise UnreadableFileError(f"line {number} is longer than {_MOST_LINE >> 20} MiB")
                on_bytes(len(piece))
                yield Line(number, piece.removesuffix(b"\n"), end)

    def encoding(self) -> str:
        """Return the encoding of its text: UTF-8 if it is valid UTF-8, else that of Windows in Western Europe."""
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            with self.path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    decoder.decode(chunk)
                decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
        return "utf-8"

    def hash_to(self, end: int) -> str:
        """Return the SHA-256 of the first ``end`` bytes in hexadecimal digits; empty when the file is shorter.

        It continues where the last call stopped, so ``end`` must not be less than in an earlier call.
        """
        with self.path.open("rb") as file:
            file.seek(self._hashed)
            while self._hashed < end:
                chunk = file.read(min(_CHUNK, end - self._hashed))
                if not chunk:
                    return ""
                self._hash.update(chunk)
                self._hashed += len(chunk)
        return self._hash.hexdigest()

    def progress(self) -> Progress | None:
        """Return how far earlier runs came; None when there was none."""
        try:
            text = self.progress_path.read_bytes()
        except FileNotFoundError:
            return None
        found = read_progress(text)
        if found is None:
            raise UnreadableFileError(f"{self.progress_path} is no progress of this version; remove it to start again")
        return found

    def keep(self, progress: Progress) -> None:
        """Write how far this run came, so that it survives a loss of power."""
        beside = self.progress_path.with_name(self.progress_path.name + ".new")
        with beside.open("wb") as file:
            file.write(progress.text())
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.progress_path)
