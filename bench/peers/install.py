"""Installs the peers from the registries into ``build/peers``, with ordinary pip and npm; nothing of them is committed.

What cannot be installed is left out of the comparison, and the run says so.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

BUILD = Path(__file__).resolve().parents[2] / "build" / "peers"
VENV = BUILD / "python"
PYTHON = VENV / "bin" / "python"
MODULES = BUILD / "node" / "node_modules"
PYTHON_PACKAGES = ("fastapi", "facebook-business", "uvicorn", "uvloop", "httptools")
NODE_PACKAGES = ("express", "facebook-nodejs-business-sdk")
_VERSIONS = "import importlib.metadata as m, json, sys; print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
_SECONDS = 300


class NotInstalledError(Exception):
    """A registry or a program is missing; the text says which command failed and how."""


def python_peer() -> dict[str, str]:
    """Install FastAPI and the Python SDK unless they are there; return the versions of the packages.

    Raises:
        NotInstalledError: when that fails.
    """
    try:
        return _python_versions()
    except (NotInstalledError, json.JSONDecodeError):
        _run(sys.executable, "-m", "venv", str(VENV))
        _run(str(PYTHON), "-m", "pip", "install", "--quiet", *PYTHON_PACKAGES)
        return _python_versions()


def node_peer() -> dict[str, str]:
    """Install Express and the Node SDK unless they are there; return the versions of the packages.

    Raises:
        NotInstalledError: when that fails.
    """
    if not all((MODULES / name).exists() for name in NODE_PACKAGES):
        MODULES.parent.mkdir(parents=True, exist_ok=True)
        _run("npm", "install", "--prefix", str(MODULES.parent), "--silent", "--no-audit", "--no-fund", *NODE_PACKAGES)
    node = _run("node", "--version").strip().removeprefix("v")
    packages = {name: json.loads((MODULES / name / "package.json").read_text()) for name in NODE_PACKAGES}
    return {"Node.js": node} | {name: str(package["version"]) for name, package in packages.items()}


def nginx() -> str:
    """Return the path of nginx.

    Raises:
        NotInstalledError: when nginx is not installed.
    """
    if found := shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin"):
        return found
    raise NotInstalledError("nginx: not found")


def _python_versions() -> dict[str, str]:
    versions: dict[str, str] = json.loads(_run(str(PYTHON), "-c", _VERSIONS, *PYTHON_PACKAGES))
    return versions


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True)
    except subprocess.CalledProcessError as error:
        last = (error.stderr or error.stdout).strip().splitlines()[-1:]
        raise NotInstalledError(f"{Path(command[0]).name} {command[1]}: {' '.join(last)}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalledError(f"{Path(command[0]).name}: {error}") from error
    return done.stdout
