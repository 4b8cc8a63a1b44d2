"""The package installs what was tested: exact versions, complete files, in any directory."""

import asyncio
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import aiohttp
import pytest
from machine import free_port
from support import until

from proxy import __version__

ROOT = Path(__file__).resolve().parent.parent
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
NOT_SOURCE = shutil.ignore_patterns(".git", ".venv*", "node_modules", "build", "*.egg-info", ".*_cache", "__pycache__")


@pytest.mark.parametrize("name", ["requirements", "requirements-postgres"])
def test_pins_and_lock_agree(name: str) -> None:
    """The package requires the versions of the hashed lock file, which are also in the tests' lock file."""
    done = subprocess.run(
        [sys.executable, "-c", f"import pins, pathlib; print(pins.pins(pathlib.Path('{name}.lock').read_text()))"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tools")},
        capture_output=True,
        text=True,
        check=True,
    )
    pinned = (ROOT / f"{name}.txt").read_text().split()
    tested = (ROOT / "requirements-dev.lock").read_text()

    assert pinned == done.stdout.split()
    assert [pin for pin in pinned if f"{pin} \\" not in tested] == []


@pytest.mark.parametrize(
    "name",
    [
        "requirements.lock",
        "requirements-postgres.lock",
        "requirements-dev.lock",
        "requirements-fuzz.lock",
        "package-lock.json",
    ],
)
def test_locks_hold_hashes_and_no_addresses(name: str) -> None:
    """Lock files have versions and hashes, but no download addresses."""
    text = (ROOT / name).read_text()

    assert "--hash=sha256:" in text or '"integrity": "sha512-' in text
    assert "resolved" not in text
    assert "://" not in text.replace("https://opencollective.com", "").replace("https://github.com/sponsors", "")


@pytest.fixture(name="wheel", scope="module")
def _wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the project in a tree whose build/ has a file from an earlier build that has no source any more."""
    directory = tmp_path_factory.mktemp("wheel")
    source = directory / "source"
    shutil.copytree(ROOT, source, ignore=NOT_SOURCE)
    stale = source / "build" / "lib" / "proxy" / "removed_long_ago.py"
    stale.parent.mkdir(parents=True)
    stale.write_text("raise SystemExit\n")
    subprocess.run([*PIP, "wheel", "--no-deps", "-w", str(directory), str(source)], check=True)
    (path,) = directory.glob("*.whl")
    return path


@pytest.fixture(name="installed", scope="module")
def _installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel with plain pip into an empty environment."""
    directory = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory)], check=True)
    programs = directory / "bin"
    # Modules are compiled when they are imported; pip would compile ten times as many.
    subprocess.run([*PIP, "--python", str(programs / "python"), "install", "--no-compile", str(wheel)], check=True)
    return programs


async def test_an_installed_proxy_serves_the_tag_from_anywhere(installed: Path, tmp_path: Path) -> None:
    """Installed into an empty environment and started in another directory, the proxy serves the tag."""
    port, operator = free_port(), free_port()
    (tmp_path / "c.toml").write_text(
        f'[server]\nlisten = "127.0.0.1:{port}"\noperator_listen = "127.0.0.1:{operator}"\n'
        '[[site]]\nname = "s"\ndomains = ["s.example"]\nprefix = "word"\n'
        '[[site.pixel]]\nid = "1"\naccess_token = "t"\n'
    )
    process = await asyncio.create_subprocess_exec(
        *(str(installed / "python"), "-m", "proxy", "serve", "--config", "c.toml"), cwd=tmp_path
    )
    try:
        async with aiohttp.ClientSession() as session:

            async def fetched(address: str) -> bytes:
                try:
                    async with session.get(address) as answer:
                        return await answer.read() if answer.status == 200 else b""
                except aiohttp.ClientError:
                    return b""

            # The first start compiles everything that it imports.
            tag = await until(lambda: fetched(f"http://127.0.0.1:{port}/word/m.js"), seconds=300, what="the tag")
            page = await fetched(f"http://127.0.0.1:{operator}/")
    finally:
        process.terminate()
        code = await process.wait()

    assert b"callMethod" in tag
    assert b"<html" in page
    assert code == 0


def test_the_console_script_and_the_demo_are_installed(installed: Path, tmp_path: Path) -> None:
    """``capi-proxy`` runs, and the demo's pages and the simulator are installed."""
    version = subprocess.run([installed / "capi-proxy", "--version"], capture_output=True, text=True, check=True)
    code = (
        "from proxy.simulator.shop.app import ShopSettings, make_shop; from proxy.simulator.graph.app import make_app;"
        "make_shop(ShopSettings('1', 'a', 'b', 'c')); make_app(); print('ok')"
    )
    parts = subprocess.run(
        [installed / "python", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert __version__ in version.stdout
    assert (parts.stdout, parts.stderr) == ("ok\n", "")


def test_a_wheel_takes_nothing_from_an_earlier_build(wheel: Path) -> None:
    """Files in build/ that have no source any more are not part of the wheel."""
    with zipfile.ZipFile(wheel) as built:
        names = built.namelist()
        metadata = built.read(next(name for name in names if name.endswith(".dist-info/METADATA"))).decode()

    assert "proxy/cli/commands.py" in names
    assert "proxy/static/tag.min.js" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert [name for name in names if "removed" in name] == []
    for pin in (ROOT / "requirements-postgres.txt").read_text().split():
        assert f'Requires-Dist: {pin}; extra == "postgres"' in metadata


def test_the_locked_versions_are_installed(installed: Path) -> None:
    """Plain ``pip install`` installs exactly the locked versions."""
    code = "from importlib.metadata import distributions as d; print(*(f'{each.name}=={each.version}' for each in d()))"
    listed = subprocess.run([installed / "python", "-c", code], capture_output=True, text=True, check=True).stdout
    frozen = listed.lower().replace("_", "-").split()

    missing = [pin for pin in (ROOT / "requirements.txt").read_text().lower().split() if pin not in frozen]

    assert missing == []


def test_the_image_is_built_from_files_that_reach_its_build() -> None:
    """Every file that the Dockerfile copies from the project exists, and .dockerignore lets it through."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = {
        name for line in lines if line.startswith("COPY ") and "--from" not in line for name in line.split()[1:-1]
    }
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    assert copied - let_through == set()
    assert {name for name in copied if not (ROOT / name).exists()} == set()


def test_units_keep_core_dumps_off_and_memory_bounded() -> None:
    """The systemd unit and the compose file both set the limits.

    A core dump would contain tokens, and unbounded memory would affect the whole machine.
    """
    unit = (ROOT / "deploy" / "capi-proxy.service").read_text().splitlines()
    compose = (ROOT / "deploy" / "compose.yaml").read_text()
    proxy = compose[compose.index("  proxy:") : compose.index("  caddy:")]

    assert {"LimitCORE=0", "MemoryMax=512M"} <= set(unit)
    assert "mem_limit: 512m" in proxy
    assert "core: 0" in proxy
