"""Whether the requests of a running experiment arrive in the shares that were asked for, in one line."""

from __future__ import annotations

from serin.errors import SerinError
from serin.ports import Object


def shares_of(experiment: Object) -> str:
    """`as asked for`, or who gets another share; empty before anything is known, and after the end."""
    remembered = (experiment.get("status") or {}).get("analysisState")
    if not remembered:
        return ""
    from serin.api.v1alpha2 import convert, validation
    from serin.control.memory import Memory
    from serin.core.budget import budget
    from serin.core.words import one_in

    try:
        loaded = validation.load(experiment)
        core, definitions = Memory.from_json(remembered).core, convert.definitions(loaded)
    except SerinError:
        return ""  # what is wrong with it is said elsewhere
    if core is None or core.ended or definitions is None or not core.mismatch:
        return ""
    plan = convert.plan(loaded, definitions)
    needed = budget(plan).mismatch
    nats = {v: found.log_against for v, found in core.mismatch.items() if v not in core.rolled_back}
    odd = [f"{plan.name(v)} gets another share (by accident: {one_in(n)})" for v, n in nats.items() if n >= needed]
    if odd:
        return f"{', '.join(odd)}; nobody is promoted while that is so"
    return f"requests arrive in the shares asked for (an alarm needs {one_in(needed)})" if nats else ""
