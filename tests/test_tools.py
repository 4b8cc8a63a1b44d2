"""The developers' tools: the list of make targets, and the restart after a change."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from support import until

ROOT = Path(__file__).resolve().parent.parent


def test_help_shows_every_target() -> None:
    """``make help`` has a line about every target."""
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"],  # noqa: S607 - whichever make there is
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert {line.split()[1] for line in shown.splitlines() if len(line.split()) > 3} == targets
    assert {"quick", "fix", "dev", "coverage", "test"} <= targets


async def test_a_change_starts_the_program_again(tmp_path: Path) -> None:
    """After a change the program is built and restarted, but not if the build fails; an interrupt ends both."""
    watched, starts = tmp_path / "watched", tmp_path / "starts"
    watched.mkdir()
    (watched / "a.py").write_text("1")
    (tmp_path / "program.py").write_text(
        "import os, pathlib, time\n"
        f"with pathlib.Path({str(starts)!r}).open('a') as log: log.write(f'{{os.getpid()}}\\n')\n"
        "time.sleep(600)\n"
    )
    builds = tmp_path / "builds"
    build = f"sh -c 'test ! -e {tmp_path / 'broken'}; built=$?; echo >> {builds}; exit $built'"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "tools" / "dev.py"), "--watch", str(watched), "--build", build),
        *("--", sys.executable, str(tmp_path / "program.py")),
        stdout=asyncio.subprocess.PIPE,
    )

    async def started(times: int) -> list[str]:
        lines = starts.read_text().splitlines() if starts.exists() else []
        return lines if len(lines) >= times else []

    async def gone(pid: str) -> bool:
        return not os.path.exists(f"/proc/{pid}")  # noqa: ASYNC240, PTH110 - /proc does not block

    try:
        assert process.stdout
        await until(lambda: started(1), what="the first start")
        (tmp_path / "broken").touch()
        (watched / "a.py").write_text("2")
        assert b"a.py" in await process.stdout.readline()
        await until(lambda: len(builds.read_text()) == 2, what="the failing build")
        (tmp_path / "broken").unlink()
        (watched / "b.py").write_text("1")
        assert b"b.py" in await process.stdout.readline()
        first, second = await until(lambda: started(2), what="the second start")
        await until(lambda: gone(first), what="the end of the first")
    finally:
        process.send_signal(signal.SIGINT)
        await process.wait()
    await until(lambda: gone(second), what="the end of the second")

    assert process.returncode == 0
