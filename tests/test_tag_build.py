"""The built tag: fresh, small, and with exactly one place for the settings."""

import json
import shutil
import subprocess
from pathlib import Path

import brotli
import pytest

ROOT = Path(__file__).parents[1]
BUILT = ROOT / "static" / "tag.min.js"
BUDGET = 2048


def test_the_committed_tag_is_fresh() -> None:
    """What is committed is what the build makes of the source."""
    node = shutil.which("node")
    assert node, "node is missing: run `make tag`"
    command = [node, "tools/build.mjs", "--check"]
    build = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert (build.returncode, build.stderr) == (0, "")


def test_the_settings_have_one_place() -> None:
    """The server finds the placeholder once, as a string of its own."""
    source = BUILT.read_text(encoding="utf-8")

    assert source.count("__SITE__") == 1
    assert source.count('"__SITE__"') == 1
    assert source.isascii()


@pytest.mark.parametrize("consent", ["pixel", "required"])
def test_the_tag_keeps_its_budget(consent: str) -> None:
    """As served, with the settings of a site in it, the tag stays within its budget."""
    site = {"collect": "e", "consent": consent, "gpc": "ignore"}
    served = BUILT.read_text(encoding="utf-8").replace('"__SITE__"', json.dumps(site, separators=(",", ":")))

    assert len(brotli.compress(served.encode(), quality=11)) <= BUDGET
