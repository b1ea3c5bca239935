"""One life of the daemon: own the folder, open the log, listen to signals, run, give everything back."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from typing import Protocol

import structlog

from serin.errors import SerinError, StorageError
from serin.home import folder, log
from serin.home.daemon import Daemon, at_once
from serin.home.folder import Settings
from serin.home.paths import Paths
from serin.ports import Object

_log = structlog.get_logger()


class Listener(Protocol):
    """Who wants to know how far the start is."""

    def progress(self, line: str) -> None:
        """What is being done."""
        ...

    def ready(self, status: Object) -> None:
        """Everything runs."""
        ...


def run(paths: Paths, given: Settings, listener: Listener, *, terminal: bool = False) -> None:
    """Be the home in this folder until it is asked to end. Raises SerinError when it cannot start."""
    os.umask(0o077)
    folder.prepare(paths)
    with folder.owned(paths) as before:
        try:
            log.configure(paths.log, terminal=terminal)
        except OSError as error:
            raise StorageError(f"{paths.log} cannot be written ({error.strerror}); change its permissions") from None
        try:
            asyncio.run(_live(paths, _settings(paths, given), listener, unclean=before.unclean))
        except SerinError as error:
            _log.error("home cannot run", error=str(error))
            raise
        except Exception as error:
            _log.exception("home failed")
            raise SerinError(
                f"the home in {paths.folder} failed: {type(error).__name__}: {error}; see {paths.log}"
            ) from error
        finally:
            logging.shutdown()


def _settings(paths: Paths, given: Settings) -> Settings:
    """What is given, and what was given the last time for the rest."""
    before = folder.remembered(paths)
    return Settings(given.images or before.images, given.gateway_port or before.gateway_port)


async def _live(paths: Paths, settings: Settings, listener: Listener, *, unclean: bool) -> None:
    daemon = Daemon(paths, settings, unclean=unclean)
    loop = asyncio.get_running_loop()
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        if interrupted:
            at_once()
        interrupted = True
        listener.progress("ending; press Ctrl-C again to end at once")
        daemon.end()

    loop.add_signal_handler(signal.SIGTERM, daemon.end)
    loop.add_signal_handler(signal.SIGHUP, daemon.end)
    loop.add_signal_handler(signal.SIGINT, interrupt)
    await daemon.run(listener.progress, listener.ready)
