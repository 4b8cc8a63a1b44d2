"""What a front notes for the ledger, until the back takes it: bounded in bytes, since nobody waits for it."""

from collections import deque

from proxy.queue.remote.frames import FrameKind
from proxy.queue.remote.link import BackLink
from proxy.queue.remote.messages import Note, encode, joined_notes

MOST_BYTES = 8 << 20
"""Most bytes of encoded notes, some 60,000 rows, that wait here while the back is away or slow."""
_AT_ONCE_BYTES = 1 << 20


class OutgoingNotes:
    """A front's notes that wait for the back; used on the event loop only."""

    def __init__(self, link: BackLink, most_bytes: int = MOST_BYTES) -> None:
        """Begin with none.

        Args:
            link: Leads to the back.
            most_bytes: How much may wait.
        """
        self._link = link
        self._most_bytes = most_bytes
        self._waiting: deque[tuple[bytes, int]] = deque()
        self._bytes = 0
        self.lost = 0
        """Rows and updates since start that found no room."""

    def add(self, note: Note) -> None:
        """Keep a note until the next ``send``, if there is room for it."""
        content = encode(note)
        size = len(note.rows) + len(note.copy_updates)
        if self._bytes + len(content) > self._most_bytes:
            self.lost += size
        else:
            self._waiting.append((content, size))
            self._bytes += len(content)

    def send(self) -> bool:
        """Send what waits if the back takes it; tell whether anything still waits."""
        while self._waiting and self._link.takes_notes:
            taken, size = [], 0
            while self._waiting and size < _AT_ONCE_BYTES:
                content, _ = self._waiting.popleft()
                taken.append(content)
                size += len(content)
            self._bytes -= size
            self._link.send(FrameKind.NOTE, joined_notes(taken))
        return bool(self._waiting)

    def give_up(self) -> None:
        """Count what still waits as lost."""
        self.lost += sum(size for _, size in self._waiting)
        self._waiting.clear()
        self._bytes = 0
