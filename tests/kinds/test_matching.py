"""Matching on the wire: who takes part sees the candidate, all others the baseline, and in the end nobody is left out.

The candidates have no criteria and may rise by 100% at once: from the first iteration on everyone who matches is
answered by the candidate, and every answer that is not is a fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from serin.ports import VIRTUAL_SERVICE, Object
from tests.kinds.place import HOLDER, ROLE, Place
from tests.survival.house import free_port

pytestmark = pytest.mark.real

Requests = list[dict[str, Any]]
CASES: dict[str, tuple[list[Mapping[str, Any]], Requests, Requests]] = {
    "header exact": (
        [{"headers": {"x-group": {"exact": "beta"}}}],
        [{"headers": {"x-group": "beta"}}, {"headers": {"X-Group": "beta"}}],
        [{}, {"headers": {"x-group": "Beta"}}, {"headers": {"x-group": "beta2"}}],
    ),
    "header prefix": (
        [{"headers": {"x-group": {"prefix": "be"}}}],
        [{"headers": {"x-group": "be"}}, {"headers": {"x-group": "beta"}}],
        [{}, {"headers": {"x-group": "alpha-be"}}],
    ),
    "header regex": (
        [{"headers": {"x-user": {"regex": "[0-9]*[02468]"}}}],
        [{"headers": {"x-user": "7312"}}],
        [{}, {"headers": {"x-user": "7313"}}, {"headers": {"x-user": "7312a"}}],
    ),
    "header present": (
        [{"headers": {"x-group": {}}}],
        [{"headers": {"x-group": "any"}}],
        [{}, {"headers": {"x-other": "any"}}],
    ),
    "header absent": (
        [{"withoutHeaders": {"x-bot": {}}}],
        [{}, {"headers": {"x-other": "any"}}],
        [{"headers": {"x-bot": "any"}}, {"headers": {"X-Bot": ""}}],
    ),
    "header without a value": (
        [{"withoutHeaders": {"x-agent": {"regex": ".*crawler.*"}}}],
        [{}, {"headers": {"x-agent": "a browser"}}],
        [{"headers": {"x-agent": "the crawler 2"}}],
    ),
    "one header and not another": (
        [{"headers": {"x-group": {"exact": "beta"}}, "withoutHeaders": {"x-staff": {"exact": "yes"}}}],
        [{"headers": {"x-group": "beta"}}, {"headers": {"x-group": "beta", "x-staff": "no"}}],
        [{}, {"headers": {"x-group": "beta", "x-staff": "yes"}}, {"headers": {"x-staff": "no"}}],
    ),
    "all headers of one clause": (
        [{"headers": {"x-a": {"exact": "1"}, "x-b": {"exact": "2"}}}],
        [{"headers": {"x-a": "1", "x-b": "2"}}],
        [{"headers": {"x-a": "1"}}, {"headers": {"x-b": "2"}}, {}],
    ),
    "any clause of several": (
        [{"headers": {"x-a": {"exact": "1"}}}, {"uri": {"prefix": "/beta"}}],
        [{"headers": {"x-a": "1"}}, {"path": "/beta/1"}],
        [{}, {"path": "/alpha", "headers": {"x-a": "2"}}],
    ),
    "uri exact": (
        [{"uri": {"exact": "/buy"}}],
        [{"path": "/buy"}, {"path": "/buy?n=1"}],
        [{"path": "/buy/1"}, {"path": "/BUY"}],
    ),
    "uri prefix": ([{"uri": {"prefix": "/buy"}}], [{"path": "/buy/1"}], [{"path": "/"}, {"path": "/Buy/1"}]),
    "uri regex": (
        [{"uri": {"regex": "/buy/[0-9]+"}}],
        [{"path": "/buy/12"}],
        [{"path": "/buy/x"}, {"path": "/buy/12/3"}],
    ),
    "uri in any case": (
        [{"uri": {"exact": "/buy"}, "ignoreUriCase": True}],
        [{"path": "/BUY"}, {"path": "/buy"}],
        [{"path": "/sell"}],
    ),
    "method": ([{"method": {"exact": "PUT"}}], [{"method": "PUT"}], [{"method": "GET"}, {"method": "DELETE"}]),
    "authority": ([{"authority": {"prefix": "www."}}], [{"host": "www.HOST"}], [{}]),
    "query parameter": (
        [{"queryParams": {"beta": {"exact": "yes"}}}],
        [{"path": "/?beta=yes"}, {"path": "/?a=b&beta=yes"}],
        [{}, {"path": "/?beta=no"}, {"path": "/?alpha=yes"}],
    ),
    "scheme": ([{"scheme": {"exact": "http"}}], [{}], []),
    "another scheme": ([{"scheme": {"exact": "https"}}], [], [{}]),
    "port": ([{"port": "SIDE"}], [{"port": "SIDE"}], [{}]),
    "gateway": ([{"gateways": ["side-door"]}], [{"port": "SIDE"}], [{}, {"inside": True}]),
    "the inside": ([{"gateways": ["mesh"]}], [{"inside": True}], [{}, {"port": "SIDE"}]),
    "everything at once": (
        [{"name": "all", "uri": {"prefix": "/buy"}, "method": {"exact": "PUT"}, "headers": {"x-a": {"exact": "1"}},
          "queryParams": {"b": {"regex": "[0-9]+"}}, "authority": {"exact": "HOST"}, "scheme": {"exact": "http"}}],
        [{"path": "/buy?b=7", "method": "PUT", "headers": {"x-a": "1"}}],
        [{"path": "/buy?b=7", "method": "PUT"}, {"path": "/buy?b=x", "method": "PUT", "headers": {"x-a": "1"}}],
    ),
}  # fmt: skip


class Door:
    """The place with two gateways, the second one on a port of its own."""

    def __init__(self, place: Place) -> None:
        self.place, self.side = place, free_port()

    async def open(self) -> None:
        place = self.place
        await place.stage("v1", "v2", rules=False)
        hosts = [place.host, f"www.{place.host}"]
        await place.apply(
            place.gateway("door", *hosts),
            place.gateway("side-door", *hosts, port=self.side),
            *place.rules(hosts=[*hosts, "shop"], gateways=["door", "side-door", "mesh"]),
        )

    def filled(self, value: Any) -> Any:
        """With the host and the port of this place."""
        if isinstance(value, Mapping):
            return {key: self.filled(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.filled(inner) for inner in value]
        if value == "SIDE":
            return self.side
        return value.replace("HOST", self.place.host) if isinstance(value, str) else value

    async def ask(self, request: Mapping[str, Any], number: int) -> set[str]:
        how = self.filled(request)
        if how.pop("inside", False):
            return {await self.place.inside(**how) for _ in range(number)}
        return set(await self.place.visits(number, **how))


async def test_only_requests_that_match_take_part(place: Place) -> None:
    door = Door(place)
    await door.open()
    wrong = []
    for number, (case, (clauses, matching, others)) in enumerate(CASES.items()):
        name = f"case-{number}"
        trial = place.experiment(name, trafficControl={"maxIncrement": 100, "match": {"http": door.filled(clauses)}})
        await place.apply(trial)
        await place.weighs(name, v1=0, v2=100)
        for request in matching:
            if (found := await door.ask(request, 5)) != {"shop-v2"}:
                wrong.append(f"{case}: {request} matches, and was answered by {found}")
        for request in others:
            if (found := await door.ask(request, 5)) != {"shop-v1"}:
                wrong.append(f"{case}: {request} does not match, and was answered by {found}")
        await place.order("terminate", name)
        await place.completed(name)
        if any("match" in route for route in await place.routes()):
            wrong.append(f"{case}: a match stayed behind")
    assert wrong == []


async def test_at_the_end_everybody_goes_to_the_winner_and_no_match_stays(place: Place) -> None:
    await place.stage("v1", "v2")
    match = {"http": [{"headers": {"x-group": {"exact": "beta"}}}]}
    limit = {"metric": "iter8_error_rate", "threshold": {"type": "absolute", "value": 0.2}}
    # Long enough, and with so many others, that their requests at the baseline would look like a broken split.
    async with place.traffic(x_group="beta") as beta, place.traffic(rate=150.0) as rest:
        await place.apply(
            place.experiment(
                criteria=[limit],
                duration={"interval": "8s", "maxIterations": 4},
                trafficControl={"maxIncrement": 30, "match": match},
            )
        )
        await place.says("Iteration 3/4")
        experiment, base = await place.routes()
        assert [experiment["name"], base["name"]] == ["iter8-experiment", "iter8-base"]
        assert experiment["match"] == match["http"]
        assert "match" not in base
        assert set(rest.report().by_version) == {"shop-v1"}
        assert beta.report().by_version["shop-v2"] > 0
        status = await place.completed()
        assert (status["message"], status["assessment"]["winner"]["name"]) == (
            "ExperimentCompleted: Traffic To Winner",
            "shop-v2",
        )
        await place.answered_by("v2")
        await place.answered_by("v2", headers={"x-group": "beta"})
        assert rest.report().failed == beta.report().failed == 0
    (route,) = await place.routes()
    assert "match" not in route
    labels = await place.labels()
    assert (labels[ROLE], HOLDER in labels) == ("stable", False)


async def test_the_users_own_matches_stay_beside_the_experiments(place: Place) -> None:
    """A route that does not lead to the service is nobody's business; one that does keeps its own match."""
    await place.stage("v1", "v2", rules=False)
    stable = [{"destination": {"host": "shop", "subset": "iter8-stable"}}]
    own: list[Object] = [
        {"match": [{"uri": {"exact": "/gone"}}], "redirect": {"uri": "/new"}},
        {"match": [{"uri": {"prefix": "/api"}}], "route": stable, "timeout": "5s"},
        {"route": stable},
    ]
    await place.apply(*place.rules(http=own))
    match = {"http": [{"headers": {"x-group": {"exact": "beta"}}}]}
    await place.apply(place.experiment(trafficControl={"maxIncrement": 100, "match": match}))
    await place.weighs(v2=100)
    beta = {"x-group": "beta"}
    for path in ("/api/x", "/x"):
        assert await place.visit(path, headers=beta) == "shop-v2"
        assert await place.visit(path) == "shop-v1"
    assert await place.visit("/gone") == await place.visit("/gone", headers=beta) == "301"
    await place.order("terminate", v2=100)
    await place.completed()
    await place.answered_by("v2")
    after = await place.routes()
    assert [route.get("match") for route in after] == [route.get("match") for route in own]
    assert after[0] == own[0]
    assert after[1]["timeout"] == "5s"


async def test_source_labels_match_nobody_here_and_that_is_said_at_once(place: Place) -> None:
    """A home does not know who sends: such a clause holds for nobody, and the person who applies it is told."""
    await place.stage("v1", "v2")
    clause = {"sourceLabels": {"app": "web"}}
    trial = place.experiment(trafficControl={"maxIncrement": 100, "match": {"http": [clause]}})
    (applied,) = await place.client.apply([trial])
    assert any("sourceLabels" in warning.path for warning in applied.warnings)
    await place.weighs(v2=100)
    assert set(await place.visits(20)) == {"shop-v1"}
    assert "match" in (await place.get(VIRTUAL_SERVICE, "shop"))["spec"]["http"][0]
