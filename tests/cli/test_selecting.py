import pytest

from serin.cli.selecting import Selection, full_name, kind_named, label_selector, parse
from serin.errors import UsageError
from serin.ports import DEPLOYMENT, EXPERIMENT, POD, SERVICE, VIRTUAL_SERVICE


@pytest.mark.parametrize(
    "word",
    [
        "experiments", "experiment", "Experiment", "exp", "experiments.iter8.tools", "experiment.iter8.tools",
        "experiments.v1alpha2.iter8.tools",
    ],
)  # fmt: skip
def test_a_kind_has_all_the_names_it_has_in_a_cluster(word: str) -> None:
    assert kind_named(word) is EXPERIMENT


def test_an_unknown_kind_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(UsageError, match=r"no kind 'secrets'.*experiments"):
        kind_named("secrets")


@pytest.mark.parametrize(
    ("arguments", "selections"),
    [
        (["pods"], [Selection(POD)]),
        (["po,svc"], [Selection(POD), Selection(SERVICE)]),
        (["deploy", "a", "b"], [Selection(DEPLOYMENT, ("a", "b"))]),
        (["deploy/a", "svc/b"], [Selection(DEPLOYMENT, ("a",)), Selection(SERVICE, ("b",))]),
        (["pods,deploy", "a"], [Selection(POD, ("a",)), Selection(DEPLOYMENT, ("a",))]),
        (["all"], [Selection(POD), Selection(SERVICE), Selection(DEPLOYMENT), Selection(EXPERIMENT)]),
        (["all,pods"], [Selection(POD), Selection(SERVICE), Selection(DEPLOYMENT), Selection(EXPERIMENT)]),
        (["iter8"], [Selection(EXPERIMENT)]),
    ],
)
def test_arguments_read_as_in_kubectl(arguments: list[str], selections: list[Selection]) -> None:
    assert parse(arguments) == selections


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "say which kind"),
        (["deploy/a", "b"], "'b' is not of the form KIND/NAME"),
        (["deploy/"], "'deploy/' is not of the form KIND/NAME"),
        (["all", "x"], "several kinds"),
        (["nothing"], "no kind 'nothing'"),
        (["nothing/x"], "no kind 'nothing'"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: list[str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        parse(arguments)


LABELLED = {"metadata": {"labels": {"app": "fashionmnist", "version": "v1"}}}


@pytest.mark.parametrize(
    ("selector", "matched"),
    [
        ("", True),
        ("app=fashionmnist", True),
        ("app==fashionmnist,version=v1", True),
        ("app=other", False),
        ("version!=v2", True),
        ("version!=v1", False),
        ("tier!=web", True),
        ("app", True),
        ("!app", False),
        ("!tier", True),
        ("version in (v1, v2)", True),
        ("version notin (v1,v2)", False),
        ("tier notin (web)", True),
        ("tier=", False),
    ],
)
def test_label_selectors_match_as_in_kubernetes(selector: str, matched: bool) -> None:
    assert label_selector(selector)(LABELLED) is matched


@pytest.mark.parametrize("selector", ["app=a b", "=x", "a in b", "a,,b", "app=(x)"])
def test_a_selector_that_cannot_be_read_is_refused(selector: str) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        label_selector(selector)


def test_names_carry_kind_and_group() -> None:
    assert full_name(DEPLOYMENT, "a") == "deployment.apps/a"
    assert full_name(POD, "a") == "pod/a"
    assert full_name(VIRTUAL_SERVICE, "a") == "virtualservice.networking.istio.io/a"
