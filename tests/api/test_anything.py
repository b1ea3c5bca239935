"""Whatever comes in, the answer is a list of problems: never a traceback."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serin.api import check, manifest
from serin.errors import InvalidInput
from serin.metrics.promql import counter_query, why_not
from tests.api.test_accepted import A_B_N, CANARY
from tests.api.test_acted import DEPLOYMENT_OF_A_CLUSTER, ROUTING
from tests.api.test_properties import leaves
from tests.api.test_refused import METRICS, RULE, RULES, SERVICE

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

VALID = [
    manifest.parse(text, "f.yaml")[0].object
    for text in (
        *(A_B_N, CANARY, DEPLOYMENT_OF_A_CLUSTER, METRICS, RULE, RULES, SERVICE),
        *(
            f"apiVersion: networking.istio.io/v1\nkind: {kind}\nmetadata: {{name: a}}\n{ROUTING[kind]}"
            for kind in ROUTING
        ),
    )
]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["1s", "25%", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def damaged(draw: st.DrawFn) -> Any:
    """A valid object with one place of it, at any depth, replaced by anything."""
    obj = copy.deepcopy(draw(st.sampled_from(VALID)))
    path = draw(st.sampled_from(list(leaves(obj, ()))))
    path = path[: draw(st.integers(1, len(path)))]
    holder = obj
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = draw(anything)
    return obj


@unhurried
@given(damaged())
def test_a_damaged_object_is_accepted_or_has_problems(obj: Any) -> None:
    found = check.problems(obj) or check.warnings(obj)
    assert all(len(str(problem).splitlines()) == 1 for problem in found)


@unhurried
@given(st.dictionaries(st.sampled_from(["apiVersion", "kind", "metadata", "spec", "x"]), anything))
def test_no_object_at_all_has_problems(obj: Any) -> None:
    assert check.problems(obj)


@unhurried
@given(st.text() | st.binary() | st.text(alphabet="[]{}:-&*!|>'\"#%@ \n\tab1?,"))
def test_any_text_is_objects_or_refused_in_one_line(text: str | bytes) -> None:
    found = parsed(text)
    if isinstance(found, str):
        assert found.startswith("f.yaml")
        assert "\n" not in found
    else:
        assert all(isinstance(each.object, dict) for each in found)


def parsed(text: str | bytes) -> list[manifest.Manifest] | str:
    try:
        return manifest.parse(text, "f.yaml")
    except InvalidInput as error:
        return str(error)


@unhurried
@given(st.text() | st.text(alphabet="sum(increase){}[]$interval by version_labels=~!\"'x0 ,@:"))
def test_any_template_is_a_counter_or_has_a_reason(template: str) -> None:
    assert (counter_query("x", template).metric is None) is (why_not(template) is not None)
