"""The parent process: it starts and restarts children, gives up, and stops in order; its children here are fakes."""

import subprocess
import sys
import textwrap

import pytest
from machine import ROOT

HEAD = """
import asyncio, logging, os, signal, sys
from proxy.workers import parent, supervised
from proxy.workers.parent import Parent, WorkerError

logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
say = lambda text: os.write(1, (text + chr(10)).encode())

async def well(stop, ready, name="child"):
    ready("here")
    await stop.wait()
    say(f"{name} stops")

async def never(stop, ready):
    raise OSError("no such disk")

async def faulty(stop, ready):
    raise ValueError("anna@example.com")

def lives(count, then):
    # Ready so many times, then something else: the number of lives is kept outside of the processes.
    async def main(stop, ready):
        with open(sys.argv[1], "a+") as file:
            file.write("x")
            file.seek(0)
            lived = len(file.read())
        if lived > count:
            await then(stop, ready)
        else:
            ready("here")
            await asyncio.sleep(0.05)
            os.kill(os.getpid(), signal.SIGKILL)
    return main

def named(name):
    async def main(stop, ready):
        await well(stop, ready, name)
    return main

def stop_me(_started):
    os.kill(os.getpid(), signal.SIGTERM)

def run(back, fronts, announce=lambda started: say(f"all ready: {len(started.pids)}")):
    try:
        Parent(back, [(front, ()) for front in fronts]).run(announce)
    except WorkerError as error:
        say(f"gave up: {error}")
    try:
        os.waitpid(-1, os.WNOHANG)
        say("a child is left")
    except ChildProcessError:
        say("no child is left")
"""


def said(script: str, life_file: str = "/dev/null") -> list[str]:
    """Run a script with the head above; return its lines."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", HEAD + textwrap.dedent(script), life_file],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stderr == "", done.stderr
    return done.stdout.splitlines()


def test_the_fronts_stop_before_the_back() -> None:
    """On SIGTERM the back is told to stop only after the last front has ended."""
    lines = said("run(named('back'), [named('front'), named('front')], stop_me)")

    assert lines == ["front stops", "front stops", "back stops", "no child is left"]


@pytest.mark.parametrize(
    ("back", "front", "why"),
    [
        ("never", "well", "back cannot start: no such disk"),
        ("well", "never", "front 1 cannot start: no such disk"),
    ],
)
def test_a_first_start_that_fails_ends_all(back: str, front: str, why: str) -> None:
    """The failing child's error is reported once, and no child is left behind."""
    lines = said(f"run({back}, [{front}, {front}])")

    assert [line.replace("front 2", "front 1") for line in lines if "cannot start" in line] == [f"gave up: {why}"]
    assert lines[-1] == "no child is left"


def test_an_error_that_nobody_foresaw_quotes_nobody() -> None:
    """Type and place of an unforeseen error are reported, but not its text, which may quote a visitor."""
    lines = said("run(faulty, [well])")

    assert lines[0].startswith("gave up: back cannot start: a fault of ours: ValueError")
    assert "anna" not in "".join(lines)


def test_a_child_that_dies_is_started_again_with_growing_delays(tmp_path: object) -> None:
    """Each end is reported with its cause and the next delay, which grows up to a bound."""
    lines = said(
        """
        async def ends(stop, ready):
            os.kill(os.getppid(), signal.SIGTERM)
            await well(stop, ready)
        supervised._LONGEST_DELAY_S = 0.2
        run(well, [lives(4, ends)])
        """,
        f"{tmp_path}/lives",
    )
    delays = [line.rpartition("started in ")[2] for line in lines if "killed by signal 9" in line]

    assert delays == ["0.05 s", "0.10 s", "0.20 s", "0.20 s"]
    assert lines[-1] == "no child is left"


def test_a_child_that_cannot_start_again_is_given_up_in_the_end(tmp_path: object) -> None:
    """After several failed starts in a row the parent stops everything and exits with an error.

    The service manager sees the failure by the exit code.
    """
    lines = said(
        """
        parent._MOST_FAILED_STARTS, supervised._LONGEST_DELAY_OF_FAILURES_S = 3, 0.1
        run(lives(1, never), [named("front")])
        """,
        f"{tmp_path}/lives",
    )

    assert sum("no such disk; another" in line for line in lines) == 3
    assert "gave up: back cannot start: no such disk" in lines
    assert lines[-1] == "no child is left"


def test_a_child_that_does_not_stop_is_killed_and_told_of() -> None:
    """A process that hangs cannot delay the end for ever, and the end is then reported as an error."""
    lines = said(
        """
        async def deaf(stop, ready):
            ready("here")
            await asyncio.Event().wait()
        parent._FRONTS_S = 0.2
        run(named("back"), [deaf], stop_me)
        """
    )

    assert lines == ["back stops", "gave up: front 1 did not stop within 0 s and was killed", "no child is left"]


def test_a_child_that_dies_before_its_siblings_are_ready_is_started_again(tmp_path: object) -> None:
    """A back that was ready and died while the fronts still start is started again."""
    lines = said(
        """
        async def late(stop, ready):
            await asyncio.sleep(0.5)
            await well(stop, ready)
        run(lives(1, well), [late], stop_me)
        """,
        f"{tmp_path}/lives",
    )

    assert any("back (process" in line and "killed by signal 9" in line for line in lines)
    assert lines[-1] == "no child is left"


def test_a_child_that_hangs_is_killed_and_replaced(tmp_path: object) -> None:
    """A process that sends no heartbeat for some intervals is killed and replaced; one that works is left alone."""
    lines = said(
        """
        from proxy.workers import child
        parent.BEAT_S = child.BEAT_S = 0.2

        async def hangs_once(stop, ready):
            with open(sys.argv[1], "a+") as file:
                file.write("x")
                file.seek(0)
                is_first = len(file.read()) == 1
            ready("here")
            if is_first:
                await asyncio.sleep(0.01)
                os.kill(os.getpid(), signal.SIGSTOP)
            os.kill(os.getppid(), signal.SIGTERM)
            await well(stop, ready)

        run(well, [hangs_once])
        """,
        f"{tmp_path}/lives",
    )

    hung = [line for line in lines if "hangs, and is killed" in line]
    assert [line.split(" (")[0] for line in hung] == ["front 1"]
    assert any("front 1" in line and "killed by signal 9" in line for line in lines)
    assert lines[-1] == "no child is left"


def test_a_parent_that_is_stopped_stops_no_child() -> None:
    """A child goes on working while its parent is stopped, even if the pipe between them is full."""
    lines = said(
        """
        from proxy.workers import child
        child.BEAT_S = 0.00001

        async def busy(stop, ready):
            ready("here")
            os.kill(os.getppid(), signal.SIGSTOP)
            for _ in range(2000):
                await asyncio.sleep(0.001)
            say("still at work")
            os.kill(os.getppid(), signal.SIGCONT)
            os.kill(os.getppid(), signal.SIGTERM)
            await stop.wait()

        run(well, [busy])
        """
    )

    assert "still at work" in lines
    assert lines[-1] == "no child is left"
