from __future__ import annotations

import sys
from pathlib import Path

import pytest

from serin.adapters.local.processes import commands
from serin.adapters.local.processes.commands import CannotRun, Command
from serin.adapters.local.processes.images import Image
from tests.adapters.processes.manifests import deployment, pod

IMAGE = Image(Path("/srv"), ("serve", "--host", "$(POD_IP)"), ("--port", "8501"), {"LEVEL": "info"})


@pytest.mark.parametrize(
    ("container", "words"),
    [
        ({}, ("serve", "--host", "127.64.0.2", "--port", "8501")),
        ({"args": ["--port", "9"]}, ("serve", "--host", "127.64.0.2", "--port", "9")),
        ({"command": ["run"]}, ("run",)),
        ({"command": ["run"], "args": ["fast"]}, ("run", "fast")),
    ],
)
def test_command_and_args_mean_what_they_mean_in_a_cluster(container, words):
    made = pod(deployment(container=container), "a")
    container = commands.container_of(made)
    env = commands.environment(made, container, IMAGE, "127.64.0.2", {})
    assert commands.compose(container, IMAGE, env).words == words


def test_references_are_expanded_as_in_a_cluster():
    text = commands.expand("$(LEVEL) $(MISSING) $$(LEVEL) $$$(LEVEL) 5$", {"LEVEL": "info"})
    assert text == "info $(MISSING) $(LEVEL) $info 5$"


def test_the_environment_is_built_in_order():
    container = {
        "envFrom": [
            {"configMapRef": {"name": "settings"}, "prefix": "S_"},
            {"configMapRef": {"name": "no", "optional": True}},
        ],
        "env": [
            {"name": "LEVEL", "value": "debug"},
            {"name": "URL", "value": "http://$(POD_IP):$(S_PORT)/$(LEVEL)/$(LATER)"},
            {"name": "LATER", "value": "x"},
            {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
            {"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "PORT"}}},
            {"name": "NONE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "?", "optional": True}}},
        ],
    }
    made = pod(deployment(container=container), "a")
    container = commands.container_of(made)
    assert commands.config_maps_of(container) == {"settings", "no"}
    env = commands.environment(made, container, IMAGE, "127.64.0.2", {"settings": {"PORT": "99"}})
    assert env == {
        "LEVEL": "debug",
        "POD_IP": "127.64.0.2",
        "POD_NAME": made["metadata"]["name"],
        "POD_NAMESPACE": "default",
        "S_PORT": "99",
        "URL": "http://127.64.0.2:99/debug/$(LATER)",
        "LATER": "x",
        "NAME": made["metadata"]["name"],
        "APP": "web",
        "KEY": "99",
    }


def variable(**source):
    return {"env": [{"name": "X", "valueFrom": source}]}


REFUSED = [
    (variable(secretKeyRef={"name": "s", "key": "k"}), "variable X: valueFrom secretKeyRef is not read here"),
    (variable(configMapKeyRef={"name": "s", "key": "k"}), "variable X: ConfigMap 's' is not there"),
    (variable(fieldRef={"fieldPath": "spec.moon"}), "fieldPath 'spec.moon' is unknown"),
    ({"envFrom": [{"secretRef": {"name": "s"}}]}, "use configMapRef"),
    ({"envFrom": [{"configMapRef": {"name": "s"}}]}, "ConfigMap 's' of envFrom is not there"),
]


@pytest.mark.parametrize(("container", "sentence"), REFUSED)
def test_what_cannot_be_read_is_refused_with_a_sentence(container, sentence):
    made = pod(deployment(container=container), "a")
    with pytest.raises(CannotRun) as refusal:
        commands.environment(made, commands.container_of(made), IMAGE, "127.64.0.2", {})
    assert sentence in str(refusal.value)


def test_of_two_containers_the_first_is_run():
    made = pod(deployment(), "a")
    first = made["spec"]["containers"][0]
    made["spec"]["containers"].append({"name": "sidecar"})
    assert commands.container_of(made) == first


def test_a_pod_without_containers_is_refused():
    made = pod(deployment(), "a")
    made["spec"]["containers"] = []
    with pytest.raises(CannotRun, match="the Pod has no container; name one"):
        commands.container_of(made)


def test_nothing_to_run_is_refused():
    with pytest.raises(CannotRun, match="image 'x' has no entrypoint and the container no command"):
        commands.compose({"image": "x"}, Image(Path("/")), {})


def test_the_word_serin_is_this_installation(tmp_path):
    words = commands.runnable(Command(("serin", "serve"), {}, tmp_path), {})
    assert words == (sys.executable, "-P", "-m", "serin", "serve")


def test_programs_are_found_in_the_path_or_beside_the_images_file(tmp_path):
    script = tmp_path / "run.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    assert commands.runnable(Command(("./run.sh",), {}, tmp_path), {}) == (str(script),)
    assert commands.runnable(Command(("run.sh", "x"), {"PATH": str(tmp_path)}, tmp_path), {}) == (str(script), "x")


def test_programs_that_cannot_be_run_are_refused_each_with_its_reason(tmp_path):
    (tmp_path / "plain").write_text("")
    (tmp_path / "folder").mkdir()
    cases = {
        "no-such-program": "command 'no-such-program' is not found in PATH",
        "./missing": "/missing is not there",
        "./plain": "/plain may not be executed \\(permission denied\\); chmod",
        "./folder": "/folder is a folder",
    }
    for word, sentence in cases.items():
        with pytest.raises(CannotRun, match=sentence):
            commands.runnable(Command((word,), {}, tmp_path), {"PATH": "/usr/bin"})
    with pytest.raises(CannotRun, match="the working folder /no/where is not there"):
        commands.runnable(Command(("sh",), {}, Path("/no/where")), {})
