"""A clock that a test sets."""

NOON = 1_790_000_000_000


class Clock:
    """The server's clock in milliseconds."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> int:
        return self.now
