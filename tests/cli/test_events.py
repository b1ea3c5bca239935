import json
from textwrap import dedent

from tests.cli.conftest import Cli, FakeHome
from tests.cli.scenes import NAME, event, obj

ABOUT = ("Experiment", NAME)


def stored(home: FakeHome) -> None:
    home.seed(
        event("a", ABOUT, "second\nline", at="2023-11-14T22:13:10Z"),
        event("b", ABOUT, "first", at="2023-11-14T22:12:20Z", type_="Warning"),
        event("c", ("Pod", "p"), "started", at="2023-11-14T22:12:00Z"),
    )


def test_events_come_oldest_first(cli: Cli, home: FakeHome) -> None:
    stored(home)
    assert cli("events").out == dedent("""\
        LAST SEEN   TYPE      REASON            OBJECT                               MESSAGE
        80s         Normal    IterationUpdate   pod/p                                started
        60s         Warning   IterationUpdate   experiment/fashionmnist-v2-rollout   first
        10s         Normal    IterationUpdate   experiment/fashionmnist-v2-rollout   second...
    """)


def test_events_of_one_second_come_as_they_were_written(cli: Cli, home: FakeHome) -> None:
    for name, message in (("z", "first"), ("a", "second")):
        home.seed(event(name, ABOUT, message, at="2023-11-14T22:13:10Z"))
    assert [line.split()[-1] for line in cli("events", "--no-headers").out.splitlines()] == ["first", "second"]


def test_events_of_one_object_or_of_one_type(cli: Cli, home: FakeHome) -> None:
    stored(home)
    about = cli("events", "--for", f"experiment/{NAME}", "--no-headers").out.splitlines()
    assert [line.split()[-1] for line in about] == ["first", "second..."]
    assert cli("events", "--types=warning", "--no-headers").out.split()[-1] == "first"
    assert len(json.loads(cli("events", "-o", "json").out)["items"]) == 3


def test_an_event_that_repeats_is_a_new_line(cli: Cli, home: FakeHome) -> None:
    stored(home)
    again = event("b", ABOUT, "first", at="2023-11-14T22:13:20Z", type_="Warning", count=2)
    home.scenario = [lambda: home.seed(again)]
    lines = cli("events", "--for", f"exp/{NAME}", "-w").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["60s", "10s", "0s"]


def test_all_namespaces(cli: Cli, home: FakeHome) -> None:
    stored(home)
    home.seed({**event("d", ("Pod", "q"), "x", at="2023-11-14T22:12:00Z"), "metadata": {"name": "d", "namespace": "b"}})
    assert cli("events", "-A", "--no-headers").out.split()[0] in ("b", "default")
    assert len(cli("events", "-A").out.splitlines()) == 5


def test_no_event_is_no_error(cli: Cli) -> None:
    assert (cli("events").code, cli("events").err) == (0, "No events found in default namespace.\n")


def test_what_cannot_be_meant_is_refused(cli: Cli) -> None:
    assert "'experiment/x'" in cli("events", "--for", "x").err
    assert "'Loud' is neither Normal nor Warning" in cli("events", "--types=Loud").err
    assert cli("events", "--for", "secret/x").code == 2


def test_an_event_without_any_time_is_shown_too(cli: Cli, home: FakeHome) -> None:
    home.seed(obj("Event", "e", involvedObject={"kind": "Pod", "name": "p"}, message="m", type="Normal", reason="R"))
    assert cli("events", "--no-headers").out.split() == ["0s", "Normal", "R", "pod/p", "m"]
