"""The article with kubectl, on the real parts: two models, a gateway, real requests, and nothing lost."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from lab import Lab

from serin.cli.errors import run
from tests.cluster.engines import History
from tests.cluster.release import (
    EXPERIMENT,
    Channel,
    Place,
    Traffic,
    controllers,
    eventually,
    experiment,
    install,
    model,
)

COLUMNS = ["NAME", "TYPE", "HOSTS", "PHASE", "WINNER FOUND", "CURRENT BEST", "STATUS"]


@pytest.fixture
def place(lab: Lab, namespace: str) -> Place:
    install(lab)
    return Place(lab, namespace)


def test_the_article(lab: Lab, place: Place, tmp_path: Path) -> None:
    place.production()
    watched = (tmp_path / "watch.txt").open("wb")
    words = [str(lab.kubectl), "get", "experiment", "-n", place.name, "--watch"]
    watching = subprocess.Popen(words, env={**os.environ, "KUBECONFIG": str(lab.kubeconfig)}, stdout=watched)
    with controllers(lab, tmp_path), History(lab).recording() as history, Traffic(place) as traffic:
        place.apply(experiment(place.host, interval="4s", iterations=12))
        eventually("it waits", lambda: place.message() == "TargetsError: Missing Candidate")
        place.apply(*model("v2"))
        place.finished(timeout=150)
        assert place.message() == "ExperimentCompleted: Traffic To Winner"
        eventually("the baseline is gone", lambda: _deployments(place) == ["deployment.apps/fashionmnist-v2"])
        before = traffic.answered
        eventually("requests go on", lambda: traffic.answered > before + 100)
    watching.kill()
    watching.wait()
    watched.close()
    assert traffic.lost == []
    assert traffic.answered > 2000
    assert history.oddities() == []
    _is_stable_on_v2(place)
    _tells_the_story((tmp_path / "watch.txt").read_text().splitlines(), place.host)


def _deployments(place: Place) -> list[str]:
    return place.kubectl("get", "deployments", "-o", "name").split()


def _is_stable_on_v2(place: Place) -> None:
    rules, subsets = place.get("virtualservice", "fashionmnist"), place.get("destinationrule", "fashionmnist")
    for rule in (rules, subsets):
        assert rule["metadata"]["labels"]["iter8-tools/role"] == "stable"
        assert "iter8-tools/experiment" not in rule["metadata"]["labels"]
    ((name, weight),) = place.weights().items()
    (selected,) = [each["labels"]["version"] for each in subsets["spec"]["subsets"] if each["name"] == name]
    assert (selected, weight) == ("v2", 100)
    status = place.get("experiment", EXPERIMENT)["status"]
    assert status["assessment"]["winner"]["name"] == "fashionmnist-v2"
    assert status["assessment"]["winner"]["winning_version_found"] is True


def _tells_the_story(lines: list[str], host: str) -> None:
    """The article's columns, and its lines in their order."""
    assert re.split(r"\s{2,}", lines[0].strip()) == COLUMNS
    said = [
        match[1] for line in lines if (match := re.search(r"((?:\w+Error|IterationUpdate|Experiment\w+): .*)$", line))
    ]
    assert said[0] == "TargetsError: Missing Candidate"
    numbers = [
        int(match[1]) for text in said if (match := re.match(r"IterationUpdate: Iteration (\d+)/12 completed", text))
    ]
    assert sorted(set(numbers)) == list(range(min(numbers), 13))
    assert numbers == sorted(numbers)
    assert said[-1] == "ExperimentCompleted: Traffic To Winner"
    progressing = next(line for line in lines if "Iteration 5/12" in line)
    assert re.match(rf'{EXPERIMENT}\s+Canary\s+\["fashionmnist","{host}"\]\s+Progressing\s+(true|false)', progressing)


def test_the_same_verbs_work_on_a_cluster(
    lab: Lab, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`serin … --home cluster`, as a person types it, against a running controller."""
    monkeypatch.setenv("KUBECONFIG", str(lab.kubeconfig))
    home = ["--home", "cluster", "-n", place.name]
    files = tmp_path / "files"
    files.mkdir()
    name = f"experiment/{EXPERIMENT}"

    def serin(*words: str, code: int = 0) -> str:
        assert run([*words, *home]) == code, capsys.readouterr()
        return capsys.readouterr().out

    place.apply(*model("v1"))
    (files / "experiment.yaml").write_text(_yaml(experiment(place.host, interval="2s", iterations=500)))
    assert serin("apply", "-f", str(files), "--dry-run") == f"experiment.iter8.tools/{EXPERIMENT} created (dry run)\n"
    assert serin("get", "experiments") == ""
    assert serin("apply", "-f", str(files)) == f"experiment.iter8.tools/{EXPERIMENT} created\n"
    assert serin("apply", "-f", str(files)) == f"experiment.iter8.tools/{EXPERIMENT} unchanged\n"
    with controllers(lab, tmp_path), Channel(lab) as told:
        serin("wait", "--for=jsonpath={.status.message}=TargetsError: Missing Candidate", name, "--timeout=30s")
        place.apply(*model("v2"))
        serin("wait", "--for=jsonpath={.status.phase}=Progressing", name, "--timeout=60s")
        table = serin("get", "experiment", EXPERIMENT).splitlines()
        assert re.split(r"\s{2,}", table[0].strip()) == COLUMNS
        serin("pause", EXPERIMENT, "--wait")
        assert "ActionPause" in serin("get", name, "-o", "jsonpath={.status.message}")
        serin("resume", EXPERIMENT, "--wait")
        assert "fashionmnist-v1" in serin("describe", name)
        serin("terminate", EXPERIMENT, "--wait")
        assert serin("get", name, "-o", "jsonpath={.status.message}").startswith("ExperimentCompleted: Traffic To Base")
        assert "ExperimentCompleted" in serin("events")
        said = f"*{EXPERIMENT}* ({place.name}) ExperimentCompleted: Traffic To Baseline (Abort): terminated by hand"
        eventually("the channel is told", lambda: said in told)
        serin("delete", name)
        serin("get", name, code=4)
        serin("get", "pods")


def _yaml(obj: object) -> str:
    import yaml

    return yaml.safe_dump(obj)


def test_a_foreign_edit_of_the_rules_is_put_right(lab: Lab, place: Place, tmp_path: Path) -> None:
    place.production()
    place.apply(*model("v2"))
    place.kubectl("wait", "--for=condition=Available", "deployment/fashionmnist-v2", "--timeout=30s")
    with controllers(lab, tmp_path, refused=True) as (controller,), Traffic(place) as traffic:
        place.apply(experiment(place.host, interval="30s", iterations=500))
        eventually("it runs", lambda: place.weights() == {"iter8-baseline": 100, "iter8-candidate-0": 0})
        _edit(place, 93)
        eventually("it is put back", lambda: place.weights() == {"iter8-baseline": 100, "iter8-candidate-0": 0})
        eventually("it says so", lambda: controller.said("put back to"))
        assert traffic.lost == []
        lab.restart_apiserver()  # every watch breaks; what is edited meanwhile is seen all the same
        eventually("it is edited", lambda: _edit(place, 94))
        eventually("it is put back", lambda: controller.revive() and place.weights()["iter8-candidate-0"] != 94)
        assert traffic.lost == []
        place.kubectl("delete", "destinationrule", "fashionmnist")  # whoever does that loses requests
        eventually("it is there again", lambda: _subsets(place) >= {"iter8-baseline", "iter8-candidate-0"})
        place.kubectl("delete", "experiment", EXPERIMENT, "--timeout=60s")
        assert list(place.weights().values()) == [100]


def _edit(place: Place, weight: int) -> bool:
    """Somebody sends this share to the candidate."""
    wanted = [
        {"op": "replace", "path": f"/spec/http/0/route/{index}/weight", "value": value}
        for index, value in enumerate((100 - weight, weight))
    ]
    place.kubectl("patch", "virtualservice", "fashionmnist", "--type=json", "-p", _yaml(wanted))
    return True


def _subsets(place: Place) -> set[str]:
    found = json.loads(place.kubectl("get", "destinationrules", "-o", "json"))["items"]
    return {each["name"] for rule in found for each in rule["spec"]["subsets"]}
