"""The daemon's own log: one JSON object a line, in files of bounded size; in a terminal also short lines."""

from __future__ import annotations

import logging
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

import structlog
from structlog.typing import Processor

_LARGEST = 5_000_000
_KEPT = 2


def configure(path: Path, *, terminal: bool = False) -> None:
    """Send structlog's and the libraries' log to `path` (and to stderr). A disk that refuses costs lines, no more."""
    logging.raiseExceptions = False
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    file = RotatingFileHandler(path, maxBytes=_LARGEST, backupCount=_KEPT, encoding="utf-8", errors="replace")
    file.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(default=str, ensure_ascii=False),
            ],
        )
    )
    handlers: list[logging.Handler] = [file]
    if terminal:
        lines = logging.StreamHandler(sys.stderr)
        console = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
        lines.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                foreign_pre_chain=shared,
                processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, console],
            )
        )
        handlers.append(lines)
    logging.basicConfig(level=logging.INFO, handlers=handlers, force=True)
    for chatty in ("httpx2", "httpcore2", "httpx", "httpcore", "uvicorn", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
