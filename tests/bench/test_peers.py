"""The peers of bench/ingest.py: a peer that cannot be installed is left out and named."""

from pathlib import Path

import pytest
from peers import install


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without npm there is no Node.js peer, and the run can say why."""
    monkeypatch.setattr(install, "MODULES", tmp_path / "node" / "node_modules")
    monkeypatch.setenv("PATH", "")

    with pytest.raises(install.NotInstalledError, match="npm"):
        install.node_peer()


def test_a_failed_installation_says_what_the_program_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The reason is the last line that npm printed."""
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho registry cannot be reached >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setattr(install, "MODULES", tmp_path / "node" / "node_modules")
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(install.NotInstalledError, match="npm install: registry cannot be reached"):
        install.node_peer()
