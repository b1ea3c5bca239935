from typing import Any

import pytest

from serin.ports import Object
from tests.cli.conftest import Cli, FakeHome
from tests.cli.scenes import NAME, experiment, pod, seen


def completed(status: str = "True", **more: object) -> Object:
    condition = {"type": "ExperimentCompleted", "status": status, **more}
    return experiment(**seen("Completed", "ExperimentCompleted: Traffic To Winner", conditions=[condition]))


def test_a_condition_that_holds_already_is_met_at_once(cli: Cli, home: FakeHome) -> None:
    home.seed(completed())
    result = cli("wait", "--for=condition=ExperimentCompleted", f"experiment/{NAME}", "--timeout=0s")
    assert (result.code, result.out) == (0, "experiment.iter8.tools/fashionmnist-v2-rollout condition met\n")


def test_a_condition_is_waited_for(cli: Cli, home: FakeHome) -> None:
    home.seed(completed("False"))
    home.scenario = [lambda: home.seed(completed("Unknown")), lambda: home.seed(completed())]
    result = cli("wait", "--for=condition=experimentcompleted=true", "exp", NAME, "--timeout=300s")
    assert (result.code, result.out) == (0, "experiment.iter8.tools/fashionmnist-v2-rollout condition met\n")


def test_a_condition_of_an_older_generation_does_not_count(cli: Cli, home: FakeHome) -> None:
    home.seed(completed(observedGeneration=0))
    assert cli("wait", "--for=condition=ExperimentCompleted", f"exp/{NAME}", "--timeout=0s").code == 8


def test_when_the_time_is_over_it_says_how_things_stand(cli: Cli, home: FakeHome) -> None:
    home.seed(experiment(**seen("Pause", "TargetsError: Missing Candidate")))
    home.stays = True
    result = cli("wait", "--for=condition=ExperimentCompleted", f"exp/{NAME}", "--timeout=20ms")
    assert (result.code, result.out) == (8, "")
    assert result.err == (
        f"serin: timed out waiting for the condition on experiments/{NAME}; it says 'TargetsError: Missing Candidate'\n"
    )


def test_deletion_is_waited_for_and_another_object_of_the_name_counts_as_deleted(cli: Cli, home: FakeHome) -> None:
    home.seed(pod("one"))
    home.scenario = [lambda: home.vanish(pod("one"))]
    assert cli("wait", "--for=delete", "pod/one").out == "pod/one condition met\n"
    assert cli("wait", "--for=delete", "pod/one").out == "pod/one condition met\n"
    home.seed(pod("two"))

    def replaced() -> None:
        home.vanish(pod("two"))
        home.seed(pod("two"))

    home.scenario = [replaced, lambda: None]
    assert cli("wait", "--for=delete", "pod/two").code == 0


def test_creation_is_waited_for(cli: Cli, home: FakeHome) -> None:
    home.scenario = [lambda: home.seed(pod("one"))]
    assert cli("wait", "--for=create", "pod/one").out == "pod/one condition met\n"
    assert cli("wait", "--for=create", "pod/two", "--timeout=0s").code == 8


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("jsonpath={.status.phase}=Completed", 0),
        ("jsonpath={.status.phase}", 0),
        ("jsonpath=.status.phase=Completed", 0),
        ("jsonpath={.status.phase}=Pause", 8),
        ("jsonpath={.status.nothing}", 8),
        ('jsonpath={.status.conditions[?(@.type=="ExperimentCompleted")].status}=True', 0),
    ],
)
def test_a_value_is_waited_for(cli: Cli, home: FakeHome, what: str, code: int) -> None:
    home.seed(completed())
    assert cli("wait", f"--for={what}", f"exp/{NAME}", "--timeout=0s").code == code


def test_all_of_a_selection_are_waited_for(cli: Cli, home: FakeHome) -> None:
    ready: dict[str, Any] = {"conditions": [{"type": "Ready", "status": "True"}]}
    home.seed(pod("one", "v1", **ready), pod("two", "v2", **ready), pod("three", "v3"))
    result = cli("wait", "--for=condition=Ready", "pods", "-l", "version!=v3", "--timeout=0s")
    assert (result.code, result.out) == (0, "pod/one condition met\npod/two condition met\n")
    assert cli("wait", "--for=condition=Ready", "pods", "--all", "--timeout=0s").code == 8


def test_what_is_waited_for_in_vain_says_why_it_is_not_so(cli: Cli, home: FakeHome) -> None:
    why = {"type": "Ready", "status": "False", "message": "exited with code 4; last words: no such model"}
    home.seed(pod("one", "v1", phase="Running", conditions=[{"type": "PodScheduled", "status": "True"}, why]))
    result = cli("wait", "--for=condition=Ready", "pod/one", "--timeout=0s")
    assert result.code == 8
    assert result.err.endswith("on pods/one; it says 'exited with code 4; last words: no such model'\n")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--for=condition=Ready", "pod/x"], 4, "there is no Pod 'x'"),
        (["--for=condition=Ready", "pods", "--all"], 4, "nothing to wait for"),
        (["--for=condition=Ready", "pods"], 2, "name the pods to wait for"),
        (["--for=condition=Ready", "pod/x", "-l", "a=b"], 2, "names or a selector"),
        (["--for=Ready", "pod/x"], 2, "write condition=TYPE[=STATUS]"),
        (["--for=jsonpath={.a}=", "pod/x"], 2, "a value is missing after '='"),
        (["--for=jsonpath={..a}", "pod/x"], 2, "cannot read"),
        (["--for=delete", "pod/x", "--timeout=15"], 2, "'15' has no unit; write '15s' or '1m'"),
        (["pod/x"], 2, "missing option '--for'"),
    ],
)
def test_what_cannot_be_waited_for_is_refused(cli: Cli, arguments: list[str], code: int, sentence: str) -> None:
    result = cli("wait", *arguments)
    assert (result.code, result.out) == (code, "")
    assert sentence in result.err


def test_a_home_that_ends_meanwhile_is_said(cli: Cli, home: FakeHome) -> None:
    home.seed(completed("False"))
    result = cli("wait", "--for=condition=ExperimentCompleted", f"exp/{NAME}")
    assert result.code == 6
    assert "start it with 'serin up'" in result.err
