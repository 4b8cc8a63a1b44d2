"""Write requirements.txt and requirements-postgres.txt, the exact versions of the lock files without hashes.

The package metadata reads them, since wheels cannot carry hashes: so that ``pip install .`` installs
the versions the tests ran with.
"""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PIN = re.compile(r"^[A-Za-z0-9_.-]+==[^ \\]+", re.MULTILINE)


def pins(lock: str) -> str:
    """Return the ``name==version`` lines of a hashed lock file."""
    return "\n".join(PIN.findall(lock)) + "\n"


if __name__ == "__main__":
    for name in ("requirements", "requirements-postgres"):
        (ROOT / f"{name}.txt").write_text(pins((ROOT / f"{name}.lock").read_text()))
