"""What the operator ordered for the delivery of a pixel."""

from typing import NamedTuple


class PixelOrder(NamedTuple):
    """The operator's order for one pixel; it survives restarts. Times are server-clock milliseconds."""

    paused_at: int = 0
    """Since when nothing may be sent; 0 if sending is allowed."""
    test_code: str = ""
    """Test event code for the events whose sender gave none."""
    test_until: int = 0
    """When ``test_code`` stops to apply."""

    @property
    def is_paused(self) -> bool:
        """Whether nothing may be sent."""
        return self.paused_at > 0

    def test_code_at(self, now: int) -> str:
        """Return the test event code that applies at a time; empty when there is none."""
        return self.test_code if now < self.test_until else ""
