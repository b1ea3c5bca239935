from pathlib import Path

import pytest

from serin.ports import EXPERIMENT
from tests.cli.conftest import Cli, FakeHome
from tests.cli.scenes import NAME, deployment, experiment, pod


def test_objects_are_deleted_by_name_and_by_file(cli: Cli, home: FakeHome, tmp_path: Path) -> None:
    home.seed(deployment("a"), deployment("b"), pod("p"), experiment())
    assert cli("delete", "deploy", "a").out == 'deployment.apps "a" deleted\n'
    assert cli("delete", "deploy/b", "pod/p", "-o", "name").out == "deployment.apps/b\npod/p\n"
    file = tmp_path / "e.yaml"
    file.write_text(f"apiVersion: iter8.tools/v1alpha2\nkind: Experiment\nmetadata: {{name: {NAME}}}\n")
    assert cli("delete", "-f", str(file)).out == f'experiment.iter8.tools "{NAME}" deleted\n'
    assert cli("get", "all").err == "No resources found in default namespace.\n"


def test_labels_and_all_select_what_goes(cli: Cli, home: FakeHome) -> None:
    home.seed(pod("one", "v1"), pod("two", "v2"), pod("three", "v2"))
    assert cli("delete", "pods", "-l", "version=v2").out == 'pod "three" deleted\npod "two" deleted\n'
    assert cli("delete", "pods", "--all").out == 'pod "one" deleted\n'
    assert (cli("delete", "pods", "--all").code, cli("delete", "pods", "--all").out) == (0, "No resources found\n")


def test_what_is_not_there_is_an_error_unless_it_may_be_missing(cli: Cli, home: FakeHome) -> None:
    home.seed(pod("one"))
    result = cli("delete", "pod", "zero", "one")
    assert (result.code, result.out) == (4, 'pod "one" deleted\n')
    assert "there is no Pod 'zero'" in result.err
    assert cli("delete", "pod", "zero", "--ignore-not-found").code == 0
    assert cli("delete", "pod", "zero", "--ignore-not-found=true").code == 0
    assert cli("delete", "pod", "zero", "--ignore-not-found=false").code == 4


def finalized(**more: object) -> dict[str, object]:
    held = experiment()
    held["metadata"]["finalizers"] = ["serin.dev/restore-traffic"]
    return {**held, **more}


def test_it_waits_until_the_last_finalizer_has_gone(cli: Cli, home: FakeHome) -> None:
    home.seed(finalized())
    # The engine gives the traffic back and lets go.
    home.scenario = [lambda: home.release(EXPERIMENT, "default", NAME)]
    result = cli("delete", "experiment", NAME)
    assert (result.code, result.out) == (0, f'experiment.iter8.tools "{NAME}" deleted\n')
    assert cli("get", "exp", NAME).code == 4


def test_it_waits_no_longer_than_asked(cli: Cli, home: FakeHome) -> None:
    home.seed(finalized())
    home.stays = True
    result = cli("delete", "experiment", NAME, "--timeout=20ms")
    assert result.code == 8
    assert f"timed out waiting for the condition on experiments/{NAME}" in result.err
    assert cli("delete", "experiment", NAME, "--wait=false").code == 0
    assert cli("delete", "experiment", NAME, "--no-wait").code == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "either files with -f, or KIND NAME"),
        (["pods", "-f", "x.yaml"], "either files with -f, or KIND NAME"),
        (["pods"], "name the pods to delete"),
        (["pods", "-A"], "name the pods to delete"),
        (["pod", "x", "--all"], "give names alone"),
        (["pod", "x", "-l", "a=b"], "give names alone"),
        (["pod/x", "--timeout", "soon"], "'soon' is no duration"),
    ],
)
def test_nothing_goes_that_nobody_has_named(cli: Cli, home: FakeHome, arguments: list[str], sentence: str) -> None:
    home.seed(pod("x"))
    result = cli("delete", *arguments)
    assert (result.code, result.out) == (2, "")
    assert sentence in result.err
    assert home.writes == []
