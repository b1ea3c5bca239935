import pytest

from serin.cli.jsonpath import evaluate, render
from serin.errors import UsageError

POD = {
    "metadata": {"name": "p1", "labels": {"iter8-tools/router": "r", "app": "x"}},
    "spec": {"ports": [80, 8501]},
    "status": {
        "conditions": [{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": "False"}],
        "ready": True,
    },
}


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("{.metadata.name}", ["p1"]),
        (".metadata.name", ["p1"]),
        ("metadata.name", ["p1"]),
        ("{$.metadata.name}", ["p1"]),
        ("{.metadata.labels.iter8-tools/router}", ["r"]),
        (r"{.metadata.labels.iter8-tools\/router}", ["r"]),
        ("{.metadata.labels['iter8-tools/router']}", ["r"]),
        ("{['metadata']['name']}", ["p1"]),
        ("{.spec.ports[0]}", [80]),
        ("{.spec.ports[-1]}", [8501]),
        ("{.spec.ports[9]}", []),
        ("{.spec.ports[*]}", [80, 8501]),
        ("{.metadata.labels.*}", ["r", "x"]),
        ('{.status.conditions[?(@.type=="Ready")].status}', ["False"]),
        ("{.status.conditions[?(@.type!='Ready')].status}", ["True"]),
        ("{.status.ready}", [True]),
        ("{.status.absent.deeper}", []),
        ("{.metadata.name.deeper}", []),
        ("{}", [POD]),
    ],
)
def test_a_path_finds_what_kubectl_finds(expression: str, found: list[object]) -> None:
    assert evaluate(expression, POD) == found


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{.metadata.name}", "p1"),
        (".metadata.name", "p1"),
        ("{.spec.ports[*]}", "80 8501"),
        ("name={.metadata.name}, ready={.status.ready}", "name=p1, ready=true"),
        ('{.metadata.name}{"\\n"}', "p1\n"),
        ("{.metadata.labels}", '{"iter8-tools/router":"r","app":"x"}'),
        ("{.absent}", ""),
    ],
)
def test_a_template_prints_as_in_kubectl(template: str, text: str) -> None:
    assert render(template, POD) == text


@pytest.mark.parametrize("expression", ["{range .items[*]}", "{..name}", "{.spec.ports[0:1]}", "{.a[?(@.b>1)]}"])
def test_what_is_not_understood_is_refused(expression: str) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        render(expression, POD)


def test_braces_that_do_not_match_are_refused() -> None:
    with pytest.raises(UsageError, match="braces"):
        render("{.metadata.name", POD)
