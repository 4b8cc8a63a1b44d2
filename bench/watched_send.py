"""The command ``send`` as a process on a terminal: its progress, its memory, and what it prints."""

import asyncio
import json
import os
import re
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path

from polling import until
from rig import ROOT

_BAR = re.compile(r"\d+/\d+ \[\d[\d:]*<\d[\d:]*, +[\d.]+k?event/s\]")
"""Matches the progress bar: events done and in all, time taken and left, rate."""
_POLL_S = 0.02
_END_S = 3600.0
_MOST_KEPT = 4000


class WatchedSend:
    """Starts the command, kills it, and starts it again.

    Args:
        config: The configuration of the proxy.
        file: The file to send.
        pixel: The pixel that the events are for, which is part of the name of the progress file.
    """

    def __init__(self, config: Path, file: Path, pixel: str) -> None:
        self._command = (sys.executable, "-m", "proxy", "send", "--config", str(config), "--yes", str(file))
        self._progress = file.with_name(f"{file.name}.{pixel}.progress")
        self._process: asyncio.subprocess.Process | None = None
        self._terminal = -1
        self._printed = ""
        self.runs = 0
        """How often the command was started."""
        self.kills = 0
        """How often the command was killed while it ran."""
        self.peak_mb = 0.0
        self.bars = 0
        """How many different states of the bar showed a rate and the time left."""
        self.last_bar = ""

    # -- its life

    async def start(self) -> None:
        """Start the command, for the first time or again."""
        terminal, its_end = os.openpty()
        termios.tcsetwinsize(its_end, (24, 120))
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, cwd=ROOT, stdin=asyncio.subprocess.DEVNULL, stdout=its_end, stderr=its_end
            )
        finally:
            os.close(its_end)
        self.runs += 1
        self._terminal = terminal
        asyncio.get_running_loop().add_reader(terminal, self._read, terminal)

    async def kill(self) -> None:
        """Kill the command.

        Raises:
            RuntimeError: when it has ended by itself.
        """
        process = self._running()
        self.look()
        process.kill()
        await process.wait()
        self.kills += 1

    async def ended(self) -> None:
        """Wait until the command ends.

        Raises:
            RuntimeError: when its exit code says that not all was sent.
        """
        code = await asyncio.wait_for(self._started().wait(), _END_S)
        # Its last output may still be in the terminal.
        await until(lambda: self._terminal < 0, what="the end of the terminal")
        if code:
            raise RuntimeError(f"send ended with {code}: {self._printed}")

    async def stop(self) -> None:
        """Kill the command if it runs."""
        if self._process and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    def _started(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError("send was never started")
        return self._process

    def _running(self) -> asyncio.subprocess.Process:
        process = self._started()
        if process.returncode is not None:
            raise RuntimeError(f"send does not run any more: {self._printed}")
        return process

    # -- what is seen of it

    async def reached(self, events: int, seconds: float) -> None:
        """Wait until ``events`` events were acknowledged, over all runs.

        Args:
            events: How many.
            seconds: The longest time without any progress.

        Raises:
            RuntimeError: when the command ends before that.
            TimeoutError: when it makes no progress.
        """
        before, since = -1, time.monotonic()
        while (now := self.acknowledged()) < events:
            self._running()
            if now != before:
                before, since = now, time.monotonic()
            if time.monotonic() - since > seconds:
                raise TimeoutError(f"send does not get on: {self._printed}")
            await asyncio.sleep(_POLL_S)

    def acknowledged(self) -> int:
        """Return how many events the proxy has acknowledged, in all runs."""
        return self._kept("sent")

    def refused(self) -> int:
        """Return how many events the proxy has refused, over all runs."""
        return self._kept("refused")

    def _kept(self, name: str) -> int:
        try:
            return int(json.loads(self._progress.read_bytes())[name])
        except FileNotFoundError:
            return 0

    def look(self) -> None:
        """Note the command's peak memory."""
        if self._process is None:
            return
        # After its end there is no such file, or a file without that line.
        with suppress(OSError, IndexError):
            status = Path(f"/proc/{self._process.pid}/status").read_text()
            self.peak_mb = max(self.peak_mb, int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6)

    def _read(self, terminal: int) -> None:
        try:
            text = os.read(terminal, 1 << 16).decode(errors="replace")
        except OSError:  # the other end of the terminal was closed
            text = ""
        if not text:
            asyncio.get_running_loop().remove_reader(terminal)
            os.close(terminal)
            if terminal == self._terminal:
                self._terminal = -1
            return
        bars = _BAR.findall(text)
        self.bars += len(bars)
        self.last_bar = bars[-1] if bars else self.last_bar
        self._printed = (self._printed + text)[-_MOST_KEPT:]
