"""From the experiment as people write it to the core's own words, and to the counters that have to be read.

What is not here is control's: where the versions live, routing, `match`, `manualOverride`, `cleanup` and the remote
analytics service do not change what is decided, only what is done.
"""

from __future__ import annotations

from serin.api import durations
from serin.api.v1alpha2 import defaults, quantiles
from serin.api.v1alpha2.types import Analysis, Criterion, Experiment, ServiceKind
from serin.core import model
from serin.errors import InvalidInput
from serin.metrics.definitions import REQUEST_COUNT, Counter, Definitions, Direction, Ratio, define
from serin.metrics.promql import counter_query
from serin.ports import CounterQuery, ReadRequest

_WHERE_SCRAPED = frozenset({"job", "reporter"})
_REQUESTS = "istio_requests_total"


def definitions(experiment: Experiment) -> Definitions | None:
    """The metric definitions in `spec.metrics`; None when they have to be read from the ConfigMap."""
    given = experiment.spec.metrics
    if given is None:
        return None
    return define(
        [Counter(**counter.model_dump()) for counter in given.counter_metrics],
        [Ratio(**ratio.model_dump()) for ratio in given.ratio_metrics],
    )


def plan(experiment: Experiment, known: Definitions) -> model.Plan:
    """The core's plan. Raises InvalidInput for a metric that is not known (see `validation.metric_problems`)."""
    spec = experiment.spec
    return model.Plan(
        baseline=spec.service.baseline,
        candidates=tuple(spec.service.candidates),
        criteria=tuple(_criterion(i, criterion, known) for i, criterion in enumerate(spec.criteria)),
        requests=REQUEST_COUNT,
        interval=durations.seconds(spec.duration.interval),
        iterations=spec.duration.max_iterations,
        strategy=spec.traffic_control.strategy,
        max_increment=spec.traffic_control.max_increment,
        percentage=spec.traffic_control.percentage,
        on_termination=spec.traffic_control.on_termination,
        partial=bool(spec.traffic_control.match and spec.traffic_control.match.http),
        analysis=_analysis(spec.analysis),
    )


def _analysis(given: Analysis) -> model.Analysis:
    return model.Analysis(
        mode=given.mode,
        false_promotion=given.false_promotion,
        false_rollback=given.false_rollback,
        burst=given.burst,
        history=durations.seconds(given.history),
        warmup=durations.seconds(given.warmup),
        min_duration=durations.seconds(given.min_duration),
        progress_deadline=durations.seconds(given.progress_deadline),
        on_inconclusive=given.on_inconclusive,
        early_stop=given.early_stop,
        exposure_budget=given.exposure_budget,
    )


def _criterion(index: int, given: Criterion, known: Definitions) -> model.Criterion:
    limit, metric = given.threshold, _find(given.metric, known)
    if given.quantile is not None and (pair := _within(given, metric, known)) is not None:
        return _quantile(index, given, metric, pair)
    return model.Criterion(
        id=str(index),
        metric=given.metric,
        measure=measure(metric, known, is_reward=given.is_reward),
        limit=None if limit is None else model.Limit(limit.type, limit.value, limit.cutoff_traffic_on_violation),
        is_reward=given.is_reward,
        quantile=given.quantile,
        margin=given.margin,
        delay=durations.seconds(given.delay),
    )


def _quantile(
    index: int, given: Criterion, metric: Counter | Ratio, pair: tuple[CounterQuery, CounterQuery]
) -> model.Criterion:
    """`p99 at most 500 ms` as `at least 99 % within 500 ms`."""
    limit = given.threshold
    assert limit is not None
    within, every = pair
    return model.Criterion(
        id=str(index),
        metric=given.metric,
        measure=model.Measure(model.MeasureKind.RATE, within.name, every.name, False, metric.units or ""),
        limit=model.Limit(limit.type, given.quantile or 0.0, limit.cutoff_traffic_on_violation),
        quantile=given.quantile,
        within=limit.value,
    )


def _within(given: Criterion, metric: Counter | Ratio, known: Definitions) -> tuple[CounterQuery, CounterQuery] | None:
    """The two buckets that a quantile is judged by; None where it cannot be, see `quantiles.problems`."""
    counter = histogram_counter(metric, known)
    if counter is None or given.threshold is None or any(quantiles.problems("", given, counter)):
        return None
    return quantiles.buckets(counter, given.threshold.value)


def histogram_counter(metric: Counter | Ratio, known: Definitions) -> CounterQuery:
    """The counter by which a histogram is found: a ratio's numerator, or the counter itself."""
    return _query(metric if isinstance(metric, Counter) else known.counters[metric.numerator])


def _find(name: str, known: Definitions) -> Counter | Ratio:
    found = known.find(name)
    if found is None:
        raise InvalidInput(f"metric '{name}' is not defined; there are {', '.join(known.names)}")
    return found


def measure(metric: Counter | Ratio, known: Definitions, *, is_reward: bool) -> model.Measure:
    """A metric in the core's words. Without a preferred direction lower is better, but for a reward higher."""
    better = metric.preferred_direction or (Direction.HIGHER if is_reward else Direction.LOWER)
    lower, units = better is Direction.LOWER, metric.units or ""
    if isinstance(metric, Counter):
        return model.Measure(model.MeasureKind.COUNTER, metric.name, None, lower, units)
    kind = model.MeasureKind.RATE if metric.zero_to_one else model.MeasureKind.MEAN
    return model.Measure(kind, metric.numerator, _denominator(metric, known).name, lower, units)


def _denominator(ratio: Ratio, known: Definitions) -> CounterQuery:
    """The counter below the line: for a mean over requests the `_count` that belongs to its `_sum`.

    A proxy counts its own 503s as requests but leaves them out of the duration's histogram: dividing the histogram's
    sum by all requests would make a crashing version look fast.
    """
    above, below = (_query(known.counters[part]) for part in (ratio.numerator, ratio.denominator))
    if ratio.zero_to_one or above.metric is None or not above.metric.endswith("_sum") or below.metric != _REQUESTS:
        return below
    if _population(above) != _population(below):
        return below
    count = above.metric.removesuffix("_sum") + "_count"
    return CounterQuery(f"{above.name}:count", above.template.replace(above.metric, count), count, above.matchers)


def _population(query: CounterQuery) -> frozenset[tuple[str, str, str]]:
    """Which requests a counter is about; not where it was scraped."""
    return frozenset((m.label, m.op, m.value) for m in query.matchers if m.label not in _WHERE_SCRAPED)


def _query(counter: Counter) -> CounterQuery:
    return counter_query(counter.name, counter.query_template)


def counters(experiment: Experiment, known: Definitions) -> tuple[CounterQuery, ...]:
    """The counters that the plan's criteria are made of, the request count first, each once."""
    wanted = {REQUEST_COUNT: _query(known.counters[REQUEST_COUNT])}
    for criterion in experiment.spec.criteria:
        metric = _find(criterion.metric, known)
        pair = None if criterion.quantile is None else _within(criterion, metric, known)
        if pair is not None:
            queries = list(pair)
        elif isinstance(metric, Counter):
            queries = [_query(metric)]
        else:
            queries = [_query(known.counters[metric.numerator]), _denominator(metric, known)]
        wanted |= {query.name: query for query in queries}
    return tuple(wanted.values())


def version_labels(experiment: Experiment) -> dict[str, dict[str, str]]:
    """Version id to the values of the labels that its series carry."""
    label = (
        "destination_workload" if experiment.spec.service.kind is ServiceKind.DEPLOYMENT else "destination_service_name"
    )
    space = label.removesuffix("_name") + "_namespace"
    where = defaults.namespace(experiment)
    return {version: {label: name, space: where} for version, name in defaults.version_names(experiment).items()}


def read_request(experiment: Experiment, known: Definitions, since: float) -> ReadRequest:
    """What to ask the source of metrics at a reading."""
    return ReadRequest(counters(experiment, known), version_labels(experiment), since)
