import pytest

from serin.ports import EXPERIMENT, Object
from tests.cli.conftest import Cli, FakeHome
from tests.cli.scenes import NAME, deployment, experiment, seen


def overridden(home: FakeHome) -> object:
    place = home.writes[-1]
    assert (place.kind, place.verb, place.name) == (EXPERIMENT, "patch", NAME)
    return place.body["spec"]["manualOverride"]


def after(phase: str, message: str) -> Object:
    """The experiment when the engine has acted and cleared the override."""
    return experiment(**seen(phase, message))


@pytest.mark.parametrize("verb", ["pause", "resume", "terminate"])
def test_an_experiment_is_told_what_to_do(cli: Cli, home: FakeHome, verb: str) -> None:
    home.seed(experiment(**seen("Progressing", "x")))
    result = cli(verb, NAME)
    assert (result.code, result.out) == (0, f"experiment.iter8.tools/{NAME} told to {verb}\n")
    assert overridden(home) == {"action": verb, "trafficSplit": None}
    assert cli(verb, f"experiment/{NAME}").code == 0
    assert cli(verb, "exp", NAME).code == 0


def test_a_split_adds_up_to_100_and_goes_with_the_end(cli: Cli, home: FakeHome) -> None:
    home.seed(experiment(**seen("Progressing", "x")))
    result = cli("terminate", NAME, "--split", "fashionmnist-v1=80,fashionmnist-v2=20")
    assert result.out == f"experiment.iter8.tools/{NAME} told to terminate with fashionmnist-v1=80,fashionmnist-v2=20\n"
    assert overridden(home) == {
        "action": "terminate",
        "trafficSplit": {"fashionmnist-v1": 80, "fashionmnist-v2": 20},
    }


def test_with_wait_it_says_what_happened(cli: Cli, home: FakeHome) -> None:
    home.seed(experiment(**seen("Progressing", "x")))
    home.scenario = [lambda: home.seed(after("Pause", "ActionPause"))]
    assert cli("pause", NAME, "--wait").out.splitlines()[1] == f"experiment.iter8.tools/{NAME} Pause: ActionPause"
    home.scenario = [
        lambda: home.seed(after("Progressing", "x")),
        lambda: home.seed(after("Completed", "ExperimentCompleted: Traffic To Baseline (Abort)")),
    ]
    ended = cli("terminate", NAME, "--wait").out.splitlines()[1]
    assert ended == f"experiment.iter8.tools/{NAME} Completed: ExperimentCompleted: Traffic To Baseline (Abort)"


def test_an_end_that_comes_before_the_pause_is_another_outcome(cli: Cli, home: FakeHome) -> None:
    home.seed(experiment(**seen("Progressing", "x")))
    home.scenario = [lambda: home.seed(after("Completed", "ExperimentCompleted: Traffic To Winner"))]
    result = cli("pause", NAME, "--wait")
    assert result.code == 9
    assert (
        result.err == f"serin: experiment {NAME} ended before it could pause: ExperimentCompleted: Traffic To Winner\n"
    )


def test_an_experiment_that_is_over_cannot_be_told_anything(cli: Cli, home: FakeHome) -> None:
    home.seed(experiment(**seen("Completed", "ExperimentCompleted: Traffic To Winner")))
    result = cli("resume", NAME)
    assert result.code == 9
    assert "is over (ExperimentCompleted: Traffic To Winner)" in result.err
    assert home.writes == []


def test_one_that_does_not_act_in_time(cli: Cli, home: FakeHome) -> None:
    home.seed(experiment(**seen("Progressing", "x")))
    assert cli("pause", NAME, "--wait", "--timeout=0s").code == 8


def test_one_that_is_deleted_meanwhile(cli: Cli, home: FakeHome) -> None:
    home.seed(experiment(**seen("Progressing", "x")))
    home.scenario = [lambda: home.vanish(experiment())]
    assert cli("pause", NAME, "--wait").code == 4


@pytest.mark.parametrize(
    ("split", "code", "sentence"),
    [
        ("fashionmnist-v1=80,fashionmnist-v2=10", 2, "80+10 adds up to 90, not to 100"),
        ("fashionmnist-v1=80,fashionmnist-v1=20", 2, "'fashionmnist-v1' stands there twice"),
        ("fashionmnist-v1=all", 2, "'fashionmnist-v1=all' is not VERSION=PERCENT"),
        ("fashionmnist-v1=-20,fashionmnist-v2=120", 2, "is not VERSION=PERCENT"),
        ("fashionmnist-v1", 2, "is not VERSION=PERCENT"),
        ("", 2, "is not VERSION=PERCENT"),
        ("fashionmnist-v3=100", 3, "'fashionmnist-v3' is no version of this experiment; it has fashionmnist-v1"),
    ],
)
def test_a_split_that_makes_no_sense_is_refused(cli: Cli, home: FakeHome, split: str, code: int, sentence: str) -> None:
    home.seed(experiment(**seen("Progressing", "x")))
    result = cli("terminate", NAME, "--split", split)
    assert (result.code, result.out) == (code, "")
    assert sentence in result.err
    assert home.writes == []


def test_only_experiments_can_be_told(cli: Cli, home: FakeHome) -> None:
    home.seed(deployment("a"))
    assert cli("pause", "deploy/a").code == 2
    assert cli("pause", "x").code == 4
    assert cli("pause").code == 2
