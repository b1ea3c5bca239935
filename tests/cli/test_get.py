import json
from functools import partial
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from serin.control import semantics
from serin.ports import EXPERIMENT
from tests.cli.conftest import Cli, FakeHome
from tests.cli.scenes import (
    NAME,
    assessed,
    deployment,
    destination_rule,
    event,
    experiment,
    obj,
    pod,
    seen,
    virtual_service,
)

GOLDEN = Path(__file__).parent / "golden"
MINUTE_AGO = "2023-11-14T22:12:20Z"


def test_watching_an_experiment_tells_the_articles_story(cli: Cli, home: FakeHome) -> None:
    home.seed(experiment(**seen("Pause", "TargetsError: Missing Candidate")))
    told = [
        seen("Progressing", "IterationUpdate: Iteration 0/12 completed"),
        seen(
            "Progressing",
            "IterationUpdate: Iteration 1/12 completed",
            assessment=assessed(20, False, "fashionmnist-v2"),
        ),
        seen("Completed", "ExperimentCompleted: Traffic To Winner", assessment=assessed(100, True, "fashionmnist-v2")),
    ]
    home.scenario = [partial(home.seed, experiment(**status)) for status in told]
    result = cli("get", "experiment", NAME, "--watch")
    # kubectl's padding; PHASE and CURRENT BEST have room from the start for what they will show: no line juts out.
    assert result.out == (GOLDEN / "watch.txt").read_text()
    assert (result.code, result.err) == (0, "")


def test_an_experiment_that_nobody_has_looked_at_leaves_room_for_what_comes(cli: Cli, home: FakeHome) -> None:
    home.seed(experiment())
    home.scenario = [lambda: home.seed(experiment(**seen("Pause", "TargetsError: Missing Candidate")))]
    header, empty, first = cli("get", "experiments", "-w").out.splitlines()
    assert first.index("Pause") == header.index("PHASE")
    assert empty.rstrip() == NAME


def test_wide_adds_confidence_baseline_and_candidates(cli: Cli, home: FakeHome) -> None:
    home.seed(experiment(**seen("Completed", "done", assessment=assessed(100, True, "fashionmnist-v2", 0.998))))
    header, row = cli("get", "exp", "-o", "wide").out.splitlines()
    assert header.split()[-4:] == ["CONFIDENCE", "STATUS", "BASELINE", "CANDIDATES"]
    assert row.split()[-4:] == ["0.998", "done", "fashionmnist-v1", '["fashionmnist-v2"]']


def test_a_change_that_the_row_does_not_show_prints_no_line(cli: Cli, home: FakeHome) -> None:
    home.seed(experiment(**seen("Pause", "waiting")))
    home.scenario = [
        lambda: home.seed(experiment(**seen("Pause", "waiting", lastUpdateTime="2023-11-14T22:13:20Z"))),
        lambda: home.seed(experiment(**seen("Pause", "still waiting"))),
    ]
    lines = cli("get", "experiments", "-w").out.splitlines()
    assert [line.split("   ")[-1] for line in lines[1:]] == ["waiting", "still waiting"]


def test_the_end_of_an_object_prints_its_last_line_again(cli: Cli, home: FakeHome) -> None:
    home.seed(pod("one"))
    home.scenario = [lambda: home.vanish(pod("one"))]
    assert len(cli("get", "pods", "-w").out.splitlines()) == 3


def test_watching_prints_the_header_with_the_first_object(cli: Cli, home: FakeHome) -> None:
    home.scenario = [lambda: home.seed(pod("one")), lambda: home.seed(pod("a-longer-name"))]
    assert cli("get", "pods", "-w").out == dedent("""\
        NAME   READY   STATUS    RESTARTS   AGE
        one    1/1     Running   0          0s
        a-longer-name   1/1     Running   0          0s
    """)


def test_watch_only_leaves_out_what_is_there(cli: Cli, home: FakeHome) -> None:
    home.seed(pod("one"))
    home.scenario = [lambda: home.seed(pod("two"))]
    assert [line.split()[0] for line in cli("get", "pods", "--watch-only").out.splitlines()] == ["NAME", "two"]


def test_watching_with_names_or_labels_leaves_out_the_others(cli: Cli, home: FakeHome) -> None:
    home.seed(pod("one", "v1"), pod("two", "v2"))
    home.scenario = [lambda: home.seed(pod("three", "v1")), lambda: home.seed(pod("four", "v2"))]
    assert cli("get", "pods", "-w", "-l", "version=v2", "-o", "name").out.split() == ["pod/two", "pod/four"]


def test_tables_have_kubectls_columns(cli: Cli, home: FakeHome) -> None:
    home.seed(
        deployment("fashionmnist-v1", ready=1, wanted=2),
        pod("p1", container={"restartCount": 2, "lastState": {"terminated": {"finishedAt": MINUTE_AGO}}}),
        pod("p2", ready=False, container={"state": {"waiting": {"reason": "CrashLoopBackOff"}}}),
        obj("Service", "fashionmnist", spec={"ports": [{"port": 8501}], "selector": {"app": "fashionmnist"}}),
        obj("ConfigMap", "iter8config-metrics", data={"a": "1", "b": "2"}),
        obj("Gateway", "gateway", "networking.istio.io/v1beta1", spec={}),
        virtual_service(),
        destination_rule(),
    )
    assert cli("get", "deploy").out == dedent("""\
        NAME              READY   UP-TO-DATE   AVAILABLE   AGE
        fashionmnist-v1   1/2     2            1           0s
    """)
    assert cli("get", "pods").out == dedent("""\
        NAME   READY   STATUS             RESTARTS      AGE
        p1     1/1     Running            2 (60s ago)   0s
        p2     0/1     CrashLoopBackOff   0             0s
    """)
    assert cli("get", "svc", "-o", "wide").out == dedent("""\
        NAME           TYPE        CLUSTER-IP   EXTERNAL-IP   PORT(S)    AGE   SELECTOR
        fashionmnist   ClusterIP   <none>       <none>        8501/TCP   0s    app=fashionmnist
    """)
    assert cli("get", "cm").out.splitlines()[1] == "iter8config-metrics   2      0s"
    assert cli("get", "gw").out.splitlines()[0] == "NAME      AGE"
    assert cli("get", "vs").out.splitlines()[0].split() == ["NAME", "GATEWAYS", "HOSTS", "AGE"]
    assert cli("get", "dr").out.splitlines()[1] == "fashionmnist   fashionmnist   0s"


def test_several_kinds_are_several_tables_with_kinds_in_the_names(cli: Cli, home: FakeHome) -> None:
    home.seed(deployment("fashionmnist-v1"), pod("p1"))
    assert cli("get", "all").out == dedent("""\
        NAME     READY   STATUS    RESTARTS   AGE
        pod/p1   1/1     Running   0          0s

        NAME                              READY   UP-TO-DATE   AVAILABLE   AGE
        deployment.apps/fashionmnist-v1   1/1     1            1           0s
    """)


def test_all_namespaces_puts_the_namespace_first(cli: Cli, home: FakeHome) -> None:
    home.seed(pod("p1"), obj("Pod", "p2", namespace="other", spec={}, status={"phase": "Pending"}))
    assert cli("get", "pods", "-A").out == dedent("""\
        NAMESPACE   NAME   READY   STATUS    RESTARTS   AGE
        default     p1     1/1     Running   0          0s
        other       p2     0/0     Pending   0          0s
    """)
    assert cli("-n", "other", "get", "pods", "--no-headers").out.split()[0] == "p2"
    assert cli("get", "pods", "-n", "other", "--no-headers").out.split()[0] == "p2"
    assert cli("-n", "default", "get", "pods", "-n", "other", "--no-headers").out.split()[0] == "p2"


def test_nothing_found_is_said_and_no_error(cli: Cli) -> None:
    result = cli("get", "pods")
    assert (result.code, result.out, result.err) == (0, "", "No resources found in default namespace.\n")
    assert cli("get", "pods", "-A").err == "No resources found.\n"


def test_documents_come_alone_by_name_and_as_a_list_otherwise(cli: Cli, home: FakeHome) -> None:
    home.seed(pod("p1"))
    one = json.loads(cli("get", "pod", "p1", "-o", "json").out)
    assert (one["kind"], one["metadata"]["name"]) == ("Pod", "p1")
    many = yaml.safe_load(cli("get", "pods", "-o", "yaml").out)
    assert (many["kind"], [item["metadata"]["name"] for item in many["items"]]) == ("List", ["p1"])
    assert json.loads(cli("get", "services", "-o", "json").out)["items"] == []


def test_long_texts_are_blocks_in_yaml(cli: Cli, home: FakeHome) -> None:
    home.seed(obj("ConfigMap", "c", data={"counter_metrics.yaml": "- name: a\n  units: ms\n"}))
    assert "counter_metrics.yaml: |\n    - name: a\n      units: ms\n" in cli("get", "cm", "c", "-o", "yaml").out


def test_names_and_jsonpath(cli: Cli, home: FakeHome) -> None:
    home.seed(deployment("a"), deployment("b"))
    assert cli("get", "deploy", "-o", "name").out == "deployment.apps/a\ndeployment.apps/b\n"
    assert cli("get", "deploy", "-o", "jsonpath={.items[*].metadata.name}").out == "a b"
    assert cli("-o", "name", "get", "deploy").out == "deployment.apps/a\ndeployment.apps/b\n"


def test_a_missing_object_is_named_after_those_that_are_there(cli: Cli, home: FakeHome) -> None:
    home.seed(deployment("a"))
    result = cli("get", "deploy", "a", "b")
    assert result.code == 4
    assert "a      1/1" in result.out
    assert result.err == (
        "serin: there is no Deployment 'b' in namespace 'default'; "
        "'serin get deployments -n default' lists those that are\n"
    )
    assert cli("get", "deploy", "b", "--ignore-not-found").code == 0


def test_events_are_listed_in_their_order(cli: Cli, home: FakeHome) -> None:
    about = ("Experiment", NAME)
    home.seed(
        event("a", about, "second", at="2023-11-14T22:13:10Z"),
        event("b", about, "first", at="2023-11-14T22:12:20Z", type_="Warning"),
    )
    assert cli("get", "events").out == dedent("""\
        LAST SEEN   TYPE      REASON            OBJECT                               MESSAGE
        60s         Warning   IterationUpdate   experiment/fashionmnist-v2-rollout   first
        10s         Normal    IterationUpdate   experiment/fashionmnist-v2-rollout   second
    """)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["get"], "say which kind of objects"),
        (["get", "secrets"], "there is no kind 'secrets'"),
        (["get", "pods", "-o", "table"], "'table' is none of wide, json, yaml, name and jsonpath=TEMPLATE"),
        (["get", "pods", "-o", "jsonpath={range .items[*]}{.a}"], "cannot read"),
        (["get", "pods", "p1", "-l", "a=b"], "names or a selector"),
        (["get", "pods", "p1", "-A"], "leave -A or the name out"),
        (["get", "pods,svc", "-w"], "--watch follows one kind"),
        (["get", "pods", "a", "b", "-w"], "--watch follows one kind"),
        (["get", "pods", "-l", "a=b c"], "cannot read"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(cli: Cli, arguments: list[str], sentence: str) -> None:
    result = cli(*arguments)
    assert (result.code, result.out) == (2, "")
    assert sentence in result.err
    assert result.err.startswith("serin: ")
    assert cli.connections == 0


def test_watching_one_that_is_not_there_fails_at_once(cli: Cli) -> None:
    assert cli("get", "experiment", "x", "-w").code == 4


def test_the_experiments_of_the_port_and_of_the_table_are_the_same_kind() -> None:
    assert semantics.kind_of(experiment()) is EXPERIMENT
