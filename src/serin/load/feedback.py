"""The true label of what was predicted, told after a delay: to the application that counts it, for who predicted it.

The answer to a prediction says by its header which version it is from; that header goes back with the label.
"""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import replace

from serin.load.client import VERSION_HEADER, Client
from serin.load.plan import Feedback, LoadPlan
from serin.load.report import UNKNOWN, Answer, FeedbackReport

MOST = 100_000
"""Labels on their way at most; more are not sent, and the report says so."""


class Teller:
    """Tells the labels of one stream's answers."""

    def __init__(self, plan: LoadPlan, feedback: Feedback) -> None:
        self._plan = replace(plan, target=feedback.target, method="POST", feedback=None)
        self._feedback = feedback
        self._chance = random.Random(f"{plan.seed}/feedback")
        self._clients: dict[str, Client] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._report = FeedbackReport()

    @property
    def report(self) -> FeedbackReport:
        """How things stand, and how they stood at the end."""
        return replace(self._report, waiting=self._report.waiting or len(self._under_way))

    def heard(self, body: bytes, answer: Answer) -> None:
        """A request was answered: its label is told later. An answer that failed predicted nothing."""
        label = self._feedback.labels.get(body)
        if label is None or answer.failure is not None:
            return
        predicted = prediction(answer.body)
        if predicted is None:
            self._report.failed += 1
        elif len(self._under_way) >= MOST:
            self._report.dropped += 1
        else:
            mean = self._feedback.delay
            delay = self._chance.expovariate(1.0 / mean) if self._feedback.random and mean else mean
            task = asyncio.create_task(self._tell(answer.version, predicted, label, delay))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _tell(self, version: str, predicted: int, label: int, delay: float) -> None:
        await asyncio.sleep(delay)
        body = json.dumps({"predictions": [predicted], "labels": [label]}).encode()
        answer = await self._client(version).send(body, asyncio.get_running_loop().time())
        if answer.failure is not None:
            self._report.failed += 1
            return
        self._report.sent += 1
        self._report.judged[version] += 1
        self._report.correct[version] += predicted == label

    def _client(self, version: str) -> Client:
        """Whoever tells the labels of one version: its header is the same for all of them."""
        if version not in self._clients:
            named = () if version == UNKNOWN else ((VERSION_HEADER.decode(), version),)
            self._clients[version] = Client(replace(self._plan, headers=(*self._plan.headers, *named)))
        return self._clients[version]

    async def close(self) -> None:
        """Forget the labels whose time has not come, and give back the connections."""
        self._report.waiting = len(self._under_way)
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        for client in self._clients.values():
            client.close()


def prediction(body: bytes) -> int | None:
    """The class that an answer to one instance gives the highest score; None when it holds no such thing."""
    try:
        (scores,) = json.loads(body)["predictions"]
        return max(range(len(scores)), key=lambda index: float(scores[index]))
    except (ValueError, KeyError, TypeError, IndexError):
        return None
