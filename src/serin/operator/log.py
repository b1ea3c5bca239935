"""The controller's log: one JSON object a line on standard error. Credentials in URLs are not shown."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.typing import Processor, WrappedLogger

LEVELS = ("debug", "info", "warning", "error")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_SECRET_FIELDS = re.compile(r"token|password|authorization|secret", re.IGNORECASE)


def configure(level: str) -> None:
    """Send structlog's and the libraries' log to standard error."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                without_secrets,
                structlog.processors.JSONRenderer(default=str, ensure_ascii=False),
            ],
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[lines], force=True)
    for chatty in ("httpx2", "httpcore2", "httpx", "httpcore", "uvicorn", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def without_secrets(_logger: WrappedLogger, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The line without what only we may know."""
    for field, value in event.items():
        if _SECRET_FIELDS.search(field):
            event[field] = "***"
        elif isinstance(value, str):
            event[field] = _CREDENTIALS.sub("***@", value)
    return event
