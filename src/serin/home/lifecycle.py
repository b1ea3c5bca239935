"""Up, down and status of a home, as the command line calls them. Everything here blocks and wants no running loop."""

from __future__ import annotations

import asyncio
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from serin.errors import AlreadyExists, SerinError, StorageError, Timeout, Unreachable
from serin.home import folder as home_folder
from serin.home import wire
from serin.home.client import HomeClient
from serin.home.paths import Paths, default_folder
from serin.ports import Object

STARTED_WITHIN = 60.0
ENDED_WITHIN = 90.0
SETTLES_WITHIN = 15.0
"""Seconds for a home that owns the folder to answer, or for the rest of a killed one to be gone."""
_LAST_WORDS = 5
_POLL = 0.05

Say = Callable[[str], None]


def up(
    folder: Path | None = None,
    *,
    images: Path | None = None,
    gateway_port: int | None = None,
    foreground: bool = False,
    say: Say = lambda _: None,
) -> Object:
    """Start a home and return its status when it is ready; in the foreground, when it has ended.

    A home that runs already in this way is left as it is: its status, with `already: true`. What is not given is as it
    was the last time. Raises AlreadyExists (it runs in another way), UsageError, InvalidInput, StorageError, Timeout.
    """
    paths = Paths((folder or default_folder()).absolute())
    given = {"images": str(images.absolute()) if images else None, "gateway_port": gateway_port}
    home_folder.prepare(paths)
    if (found := _as_it_runs(paths, given)) is not None:
        return found
    words = ["--home", str(paths.folder)]
    words += ["--images", str(given["images"])] if images else []
    words += ["--gateway-port", str(gateway_port)] if gateway_port is not None else []
    if foreground:
        from serin.home.__main__ import main

        main([*words, "--foreground"], say)
        return {"state": "ended", "folder": str(paths.folder)}
    return _spawned(paths, words, say)


def down(folder: Path | None = None, *, timeout: float = ENDED_WITHIN, say: Say = lambda _: None) -> bool:
    """End a home gracefully; False when none runs. Raises Timeout when it has not ended in so many seconds."""
    paths = Paths((folder or default_folder()).absolute())
    if home_folder.owner(paths) is None:
        return False
    deadline = time.monotonic() + timeout
    asked = False
    while (pid := home_folder.owner(paths)) is not None:
        if not asked:
            asked = _ask_to_end(paths, pid)
            say("answering the requests under way, then ending the processes")
        if pid and _ends_by(pid, deadline):
            continue
        if time.monotonic() > deadline:
            raise Timeout(
                f"the home in {paths.folder} (pid {pid}) has not ended within {timeout:.0f} s; look into {paths.log}, "
                f"or end it with 'kill -9 {pid}', which ends everything that it runs too"
            )
        time.sleep(_POLL)
    return True


def _ends_by(pid: int, deadline: float) -> bool:
    """Wait for the end of a process, which need not be our child; False when it has not ended by then."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], max(0.0, deadline - time.monotonic()))[0])
    finally:
        os.close(process)


def status(folder: Path | None = None) -> Object:
    """What the home runs and whether it is well. Raises Unreachable."""
    return asyncio.run(_ask("status", Paths((folder or default_folder()).absolute())))


async def _ask(what: str, paths: Paths) -> Object:
    client = HomeClient(paths.folder)
    try:
        return await (client.down() if what == "down" else client.status())
    finally:
        await client.aclose()


def _ask_to_end(paths: Paths, pid: int) -> bool:
    """Ask over the socket; a home that is just starting, or does not answer, by signal. Whether it was asked."""
    try:
        asyncio.run(_ask("down", paths))
        return True
    except SerinError:
        if not pid:
            return False
    try:
        os.kill(pid, 15)
    except ProcessLookupError:
        return True
    except PermissionError:
        raise StorageError(f"the home in {paths.folder} (pid {pid}) belongs to another user") from None
    return True


def _as_it_runs(paths: Paths, given: Object) -> Object | None:
    """The status of a home that runs already, None when none does.

    One that owns the folder but does not answer is starting or ending (after `kill -9` its children go first): it is
    waited for. Raises AlreadyExists when it stays so, or runs otherwise than is asked for.
    """
    deadline = time.monotonic() + SETTLES_WITHIN
    while True:
        if home_folder.owner(paths) is None:
            return None
        try:
            found = status(paths.folder)
            break
        except Unreachable:
            if time.monotonic() > deadline:
                raise AlreadyExists(
                    f"a home is starting or ending in {paths.folder}; try again in a moment, or look into {paths.log}"
                ) from None
            time.sleep(_POLL)
    runs = {"images": found["images"], "gateway_port": found["gateway"]["port"]}
    for name, wanted in given.items():
        if wanted is not None and wanted != runs[name]:
            raise AlreadyExists(
                f"a home runs in {paths.folder} already, with {name.replace('_', ' ')} {runs[name] or 'none'}; "
                f"end it with 'serin down' first"
            )
    return {**found, "already": True}


def _spawned(paths: Paths, words: list[str], say: Say) -> Object:
    """Start the daemon and listen to it until it is ready. Raises what it says, or Timeout."""
    reading, writing = os.pipe()
    try:
        printed = os.open(paths.printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            starting = subprocess.Popen(
                [sys.executable, "-P", "-m", "serin.home", *words, "--detach", "--tell", str(writing)],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                pass_fds=[writing],
                start_new_session=True,
            )
        finally:
            os.close(printed)
            os.close(writing)
        starting.wait()  # it forks, so that the home is nobody's child
        return _listened(paths, reading, say)
    except KeyboardInterrupt:
        say(f"the home in {paths.folder} goes on starting; 'serin down' ends it")
        raise
    except OSError as error:
        raise StorageError(f"the home in {paths.folder} cannot be started ({error.strerror})") from None
    finally:
        os.close(reading)


def _listened(paths: Paths, pipe: int, say: Say) -> Object:
    deadline = time.monotonic() + STARTED_WITHIN
    pending = b""
    while True:
        if not select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise Timeout(
                f"the home in {paths.folder} was not ready within {STARTED_WITHIN:.0f} s; look into {paths.log}"
            )
        chunk = os.read(pipe, 65536)
        if not chunk:
            raise SerinError(f"the home in {paths.folder} ended while it started: {_last_words(paths)}")
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            told = json.loads(line)
            if "progress" in told:
                say(told["progress"])
            elif "error" in told:
                raise wire.error_of(told["error"]) or SerinError(f"look into {paths.log}")
            else:
                return dict(told["ready"])


def _last_words(paths: Paths) -> str:
    """The last lines of what it printed, for a death that it could not tell of."""
    try:
        lines = paths.printed.read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return " / ".join(lines[-_LAST_WORDS:]) or f"look into {paths.log}"
