"""A program that listens on $PORT: a child of the supervisor, reached by HTTP/1.1."""

import asyncio
import os
import signal
import socket
import sys
from collections import deque

from .connection import CallError

TAIL_BYTES = 16_384
FIRST_POLL_SECONDS = 0.003
SLOWEST_POLL_SECONDS = 0.05


class Program:
    def __init__(self, process, port: int) -> None:
        self.process = process
        self.port = port
        self._tail: deque = deque()
        self._tail_size = 0

    async def copy_stderr(self) -> None:
        """Passes stderr on and keeps its end for error messages."""
        while True:
            chunk = await self.process.stderr.read(8192)
            if not chunk:
                return
            sys.stderr.buffer.write(chunk)
            sys.stderr.flush()
            self._tail.append(chunk)
            self._tail_size += len(chunk)
            while self._tail_size > TAIL_BYTES and len(self._tail) > 1:
                self._tail_size -= len(self._tail.popleft())

    def tail(self) -> str:
        return b"".join(self._tail).decode("utf-8", "replace")[-TAIL_BYTES:]

    def terminate(self) -> None:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        if self.process.returncode is None:
            self.process.kill()

    async def ended(self) -> int:
        return await self.process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def start(instance, params: dict, entry: str) -> Program:
    port = int(params.get("port") or os.environ.get("PORT") or _free_port())
    os.environ["PORT"] = str(port)
    # The loop runs outside the main thread: a child watcher that needs no signal is the default from 3.12 on, and pidfd or threads before.
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-u", entry, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, cwd=os.getcwd()
    )
    program = Program(process, port)
    copying = asyncio.ensure_future(program.copy_stderr())
    exited = asyncio.ensure_future(process.wait())
    pause = FIRST_POLL_SECONDS
    while not await _accepts(port):
        await asyncio.wait({exited}, timeout=pause)
        pause = min(pause * 1.5, SLOWEST_POLL_SECONDS)
        if exited.done():
            await asyncio.wait({copying}, timeout=1)
            tail = program.tail().replace(os.path.join(params["code"], ""), "")
            last = tail.strip().splitlines()[-1] if tail.strip() else f"exit code {exited.result()}"
            raise CallError(
                "LoadError",
                f"the program ended before it listened on port {port}: {last}",
                file=os.path.relpath(entry, params["code"]),
                detail=tail,
            )
    exited.add_done_callback(lambda task: instance.child_exited(task.result()))
    return program
