"""One life of the controller's process: log, signals, run."""

from __future__ import annotations

import asyncio
import os
import signal

from serin.adapters.kube.connection import access
from serin.operator import log
from serin.operator.controller import Controller
from serin.operator.settings import Settings


def run(settings: Settings) -> None:
    """Be a controller until SIGTERM or SIGINT; a second one ends at once. Raises SerinError."""
    log.configure(settings.log_level)
    asyncio.run(_live(settings))


async def _live(settings: Settings) -> None:
    controller = Controller(settings, access(settings.kubeconfig, settings.context))
    loop = asyncio.get_running_loop()
    told = False

    def end() -> None:
        nonlocal told
        if told:
            os._exit(130)
        told = True
        controller.end()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    await controller.run()
