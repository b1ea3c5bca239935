"""Tells channels outside of what happens to experiments: the ConfigMap `iter8config-notifiers`, one key a channel.

The port `Sink`, which never blocks and never raises. A channel's address is a secret: no log line and no error has it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
import structlog
import yaml

from serin.api.v1alpha2.conditions import Reason
from serin.errors import InvalidInput
from serin.ports import Object, Severity

_log = structlog.get_logger("serin.notifications")

CONFIG_MAP = "iter8config-notifiers"
LEVELS = {"error": 4, "warning": 3, "normal": 2, "verbose": 1}
"""Level of a channel -> the least severity that it is told of."""

_SEVERITIES = {
    Reason.EXPERIMENT_COMPLETED: 5,
    Reason.TARGETS_ERROR: 4,
    Reason.METRICS_ERROR: 4,
    Reason.ANALYTICS_ERROR: 4,
    Reason.ROUTING_RULES_ERROR: 4,
    Reason.ACTION_PAUSE: 4,
    Reason.ACTION_RESUME: 3,
    Reason.ITERATION_UPDATE: 1,
}
_WAITING = 500
_ATTEMPTS = 4
_WITHIN = 5.0
_KNOWN = {"notifier", "url", "level", "namespace", "labels", "actions"}


@dataclass(frozen=True, slots=True)
class Channel:
    """One receiver. Without a namespace and labels it is told of all experiments."""

    name: str
    url: str = field(repr=False)
    least: int = LEVELS["normal"]
    namespace: str | None = None
    labels: tuple[tuple[str, str], ...] = ()

    def wants(self, experiment: Object, severity: int) -> bool:
        """Whether it is to be told."""
        metadata = experiment.get("metadata") or {}
        own = metadata.get("labels") or {}
        here = self.namespace in (None, metadata.get("namespace"))
        return here and severity >= self.least and all(own.get(name) == value for name, value in self.labels)


def severity_of(reason: str, severity: Severity) -> int:
    """5 for the end, 4 for what stops an experiment, 3 for other warnings, 2 and 1 for progress."""
    known = {str(name): number for name, number in _SEVERITIES.items()}.get(reason)
    return known if known is not None else (3 if severity is Severity.WARNING else 2)


def parse(name: str, text: str) -> Channel:
    """The channel that one key of the ConfigMap describes. Raises InvalidInput, without the address."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError:
        raise InvalidInput(f"ConfigMap {CONFIG_MAP}, key {name}: no YAML; see docs/cluster.md") from None
    if not isinstance(document, dict):
        raise InvalidInput(f"ConfigMap {CONFIG_MAP}, key {name}: give a mapping with 'notifier' and 'url'")
    unknown = sorted(set(map(str, document)) - _KNOWN)
    if unknown:
        raise InvalidInput(f"ConfigMap {CONFIG_MAP}, key {name}: there is no field {unknown[0]}; leave it out")
    if "actions" in document:  # the original took it and did nothing with it
        _log.warning("channel: 'actions' has no effect", channel=name)
    if document.get("notifier") != "slack":
        raise InvalidInput(f"ConfigMap {CONFIG_MAP}, key {name}: the notifier can be 'slack' only")
    url, level, labels = document.get("url"), document.get("level", "normal"), document.get("labels") or {}
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise InvalidInput(f"ConfigMap {CONFIG_MAP}, key {name}: url must be the address of a webhook")
    if level not in LEVELS:
        raise InvalidInput(f"ConfigMap {CONFIG_MAP}, key {name}: level is one of {', '.join(LEVELS)}")
    if not isinstance(labels, dict):
        raise InvalidInput(f"ConfigMap {CONFIG_MAP}, key {name}: labels maps names to values")
    pairs = tuple(sorted((str(key), str(value)) for key, value in labels.items()))
    return Channel(name, url, LEVELS[level], document.get("namespace"), pairs)


class Notifications:
    """Sends what the channels want.

    settings   the data of the ConfigMap as it is now
    """

    def __init__(
        self,
        settings: Callable[[], Mapping[str, str]],
        *,
        client: httpx2.AsyncClient | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._client = client or httpx2.AsyncClient(timeout=_WITHIN)
        self._sleep = sleep
        self._read: Mapping[str, str] = {}
        self._channels: list[Channel] = []
        self._waiting: deque[tuple[Channel, Mapping[str, Any]]] = deque(maxlen=_WAITING)
        self._news = asyncio.Event()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def emit(self, regarding: Object, reason: str, message: str, severity: Severity = Severity.NORMAL) -> None:
        """As `Sink.emit`."""
        level = severity_of(reason, severity)
        for channel in self._present():
            if channel.wants(regarding, level):
                metadata = regarding["metadata"]
                text = f"*{metadata['name']}* ({metadata.get('namespace', '')}) {reason}: {message}"
                self._waiting.append((channel, {"text": text}))
                self._news.set()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            await self.flush()

    async def flush(self) -> None:
        """Send what waits."""
        while self._waiting:
            await self._send(*self._waiting.popleft())

    async def _send(self, channel: Channel, body: Mapping[str, Any]) -> None:
        said = ""
        for attempt in range(_ATTEMPTS):
            if attempt:
                await self._sleep(2.0**attempt)
            try:
                answer = await self._client.post(channel.url, json=body)
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                said = type(error).__name__  # its text has the address
                continue
            if answer.is_success:
                return
            said = str(answer.status_code)
            if answer.status_code < 500 and answer.status_code != 429:
                break
        _log.warning("notification not sent", channel=channel.name, answer=said)

    def _present(self) -> Iterator[Channel]:
        """The channels of now; what is wrong with one is said once."""
        settings = self._settings()
        if settings != self._read:
            self._read, self._channels = dict(settings), []
            for name, text in settings.items():
                try:
                    self._channels.append(parse(name, text))
                except InvalidInput as error:
                    _log.warning("channel not used", channel=name, error=str(error))
        yield from self._channels
