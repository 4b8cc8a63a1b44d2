"""Run a program, and again whenever a watched file changes.

    python tools/dev.py --watch proxy --watch static --build "node tools/build.mjs" -- python -m proxy demo

The build runs before each start; while it fails, the program stays as it is. Looking twice a second at a few hundred
files costs less than a percent of one core, so nothing needs to be installed for it.
"""

import argparse
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

EVERY_S = 0.5
END_S = 10.0
# What a build writes: taking it for a change would build without end.
BUILT = ".min.js"


def snapshot(places: Iterable[Path]) -> dict[Path, int]:
    """Return when each file below the places was last changed, in nanoseconds; built files are left out."""
    found: dict[Path, int] = {}
    for place in places:
        for path in place.rglob("*"):
            try:
                if path.is_file() and not path.name.endswith((BUILT, ".pyc")):
                    found[path] = path.stat().st_mtime_ns
            except FileNotFoundError:  # an editor replaces files
                continue
    return found


def changed(before: Mapping[Path, int], after: Mapping[Path, int]) -> list[Path]:
    """Return the files that are new, gone or changed."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def ended(program: subprocess.Popen[bytes] | None) -> None:
    """End a program as an operator would."""
    if program is None or program.poll() is not None:
        return
    program.terminate()
    try:
        program.wait(END_S)
    except subprocess.TimeoutExpired:
        program.kill()
        program.wait()


def watch(places: Sequence[Path], build: str, command: Sequence[str]) -> None:
    """Build, start, and do both again after each change, until interrupted.

    Args:
        places: directories whose files are watched.
        build: a command line that is run before each start; "" for none.
        command: the program and its arguments.
    """
    program: subprocess.Popen[bytes] | None = None
    try:
        while True:
            before = snapshot(places)
            if not build or subprocess.run(shlex.split(build), check=False).returncode == 0:  # noqa: S603 - the caller's
                ended(program)
                program = subprocess.Popen(command)  # noqa: S603 - the caller's
            while not (news := changed(before, snapshot(places))):
                time.sleep(EVERY_S)
            print(f"changed: {', '.join(map(str, news))}", flush=True)
    finally:
        ended(program)


def main(arguments: Sequence[str]) -> None:
    """Read the command line and watch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--watch", type=Path, action="append", required=True, help="directory; may be repeated")
    parser.add_argument("--build", default="", help="command line to run before each start")
    parser.add_argument("command", nargs="+", help="the program and its arguments, after --")
    options = parser.parse_args(arguments)
    # A shell that starts it in the background has it ignore Ctrl-C, and the program would outlive it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        watch(options.watch, options.build, options.command)
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main(sys.argv[1:])
