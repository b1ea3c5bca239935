import pytest

from tests.cli.conftest import Cli, FakeHome
from tests.cli.scenes import NAME, deployment, experiment, obj, pod


@pytest.fixture
def running(home: FakeHome) -> FakeHome:
    for version, names in (("fashionmnist-v1", ("v1-a", "v1-b")), ("fashionmnist-v2", ("v2-a",))):
        home.seed(deployment(version))
        for name in names:
            home.seed(pod(name, version[-2:], owner=home.uid_of(deployment(version))))
            home.printed[name, False] = [f"{name} line {i}" for i in range(12)]
    home.printed["v1-a", True] = ["killed"]
    home.seed(experiment())
    return home


def test_a_pod_tells_what_it_printed(cli: Cli, running: FakeHome) -> None:
    assert cli("logs", "v2-a").out.splitlines() == [f"v2-a line {i}" for i in range(12)]
    assert cli("logs", "pod/v2-a", "--tail=2").out == "v2-a line 10\nv2-a line 11\n"
    assert cli("logs", "v2-a", "--tail=0").out == ""
    assert len(cli("logs", "v2-a", "--tail=-1").out.splitlines()) == 12
    assert cli("logs", "v1-a", "-p").out == "killed\n"


def test_of_a_deployment_one_pod_is_chosen(cli: Cli, running: FakeHome) -> None:
    result = cli("logs", "deployment/fashionmnist-v1", "--tail=1")
    assert (result.out, result.err) == ("v1-a line 11\n", "Found 2 pods, using pod/v1-a\n")


def test_of_an_experiment_all_versions_are_shown(cli: Cli, running: FakeHome) -> None:
    result = cli("logs", f"experiment/{NAME}", "--tail=1", "--prefix")
    assert result.out == "[pod/v1-a] v1-a line 11\n[pod/v1-b] v1-b line 11\n[pod/v2-a] v2-a line 11\n"


def test_labels_select_pods_and_the_last_lines(cli: Cli, running: FakeHome) -> None:
    assert len(cli("logs", "-l", "version=v1").out.splitlines()) == 20


def test_following_several_pods_shows_all_of_them(cli: Cli, running: FakeHome) -> None:
    assert set(cli("logs", "-l", "app=fashionmnist", "--tail=1", "-f").out.splitlines()) == {
        "v1-a line 11",
        "v1-b line 11",
        "v2-a line 11",
    }


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ([], 2, "name a pod, KIND/NAME, or labels"),
        (["a", "-l", "b=c"], 2, "name a pod, KIND/NAME, or labels"),
        (["absent"], 4, "there is no Pod 'absent'"),
        (["deployment/absent"], 4, "there is no Deployment 'absent'"),
        (["deployment/empty"], 4, "deployment empty has no pods"),
        (["service/s"], 2, "a Service prints nothing"),
        (["-l", "app=other"], 4, "no pod in namespace 'default' has these labels"),
        (["v1-a", "-p", "-f"], 2, "nothing to follow"),
        (["v1-a", "--tail=x"], 2, "invalid value for '--tail'"),
    ],
)
def test_what_has_no_logs_is_said(cli: Cli, running: FakeHome, arguments: list[str], code: int, sentence: str) -> None:
    running.seed(deployment("empty"), obj("Service", "s", spec={}))
    result = cli("logs", *arguments)
    assert (result.code, result.out) == (code, "")
    assert sentence in result.err


def test_a_version_without_pods_does_not_hide_the_others(cli: Cli, running: FakeHome) -> None:
    running.vanish(pod("v2-a"))
    result = cli("logs", f"exp/{NAME}", "--tail=1")
    assert len(result.out.splitlines()) == 2
    assert "deployment fashionmnist-v2 has no pods" in result.err
