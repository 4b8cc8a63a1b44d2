"""The bound for moves between files while one event is handled, measured by the bench that counts them."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_a_purchase_is_followed_without_turning_often() -> None:
    """A returning visitor's Purchase takes 70 moves between files at most, and comes back to none more than 3 times."""
    done = subprocess.run(
        [sys.executable, "bench/moves.py", "Purchase"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    whole = re.search(r"^whole +(\d+) +(\d+) +\S+ (\d+)", done.stdout, re.MULTILINE)
    assert whole, done.stdout
    moves, files, most_come_back_to = map(int, whole.groups())

    assert 20 < files < moves <= 70
    assert most_come_back_to <= 3
