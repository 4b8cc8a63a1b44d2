"""What the operator ordered of the delivery of a pixel."""

from typing import NamedTuple


class PixelOrder(NamedTuple):
    """Stands until it is taken back, whatever restarts; times are of the server's clock in milliseconds."""

    paused_at: int = 0
    """Since when nothing may be sent; 0 where it may."""
    test_code: str = ""
    """Test event code that events carry, those alone whose sender named none."""
    test_until: int = 0
    """Until when."""

    @property
    def is_paused(self) -> bool:
        """Whether nothing may be sent."""
        return self.paused_at > 0

    def test_code_at(self, now: int) -> str:
        """Return the test event code of a moment; empty when there is none."""
        return self.test_code if now < self.test_until else ""
