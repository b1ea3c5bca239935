"""The Istio router: takes, sets and releases a VirtualService and its DestinationRule through the `Objects` port.

The order is always: new subsets into the DestinationRule, seen applied, the VirtualService, seen applied, old subsets
out. A proxy that learned of the route first would have nowhere to send its requests.
Every write is conditional on the resourceVersion that was read; a conflict starts the call again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from serin.control.routing import istio_rules as desired
from serin.control.routing import remembered, renaming
from serin.control.routing.router import Routing, RoutingRulesError, Rules, Split
from serin.core.model import BASELINE
from serin.errors import AlreadyExists, Conflict, NotFound
from serin.ports import DESTINATION_RULE, VIRTUAL_SERVICE, Clock, DataPlane, Kind, Object, Objects

T = TypeVar("T")

ATTEMPTS = 5
"""How often a call starts again after a conflict before it gives up for this turn."""

APPLIED_WITHIN = 10.0
"""Seconds until the proxies must have taken over a rule; after that the turn says so and tries again."""


class IstioRouter:
    """`Router` over VirtualService and DestinationRule objects."""

    def __init__(self, objects: Objects, data_plane: DataPlane, clock: Clock) -> None:
        self._objects = objects
        self._data_plane = data_plane
        self._clock = clock
        self._written: dict[tuple[str, str, str], str] = {}

    def wrote(self, rule: Object) -> bool:
        """Whether this very version of a rule is what was written here last: no news to whoever has had it written."""
        return self._written.get(_place(rule)) == _version(rule)

    async def take(self, routing: Routing) -> Rules:
        """Adopt the stable pair or create one; afterwards everything goes to the baseline by our route."""
        return await self._without_conflict(lambda: self._take(routing))

    async def set(self, routing: Routing, split: Split, interrupted: Callable[[], bool] | None = None) -> Rules:
        """Route by `split`; a rule that is somebody else's is an error, one that is changed or gone is put right."""
        return await self._without_conflict(lambda: self._set(routing, split, interrupted))

    async def holds(self, routing: Routing) -> bool:
        """Whether any of the rules carries this experiment's mark."""
        label = {desired.ROUTER_LABEL: routing.router_id}
        for kind in (VIRTUAL_SERVICE, DESTINATION_RULE):
            if any(
                desired.owner(o) == routing.experiment for o in await self._objects.list(kind, routing.namespace, label)
            ):
                return True
        return False

    async def release(self, routing: Routing, split: Split) -> Rules | None:
        """Leave the pair stable with `split`; None when it is gone or belongs to somebody else now."""
        rules = await self._without_conflict(lambda: self._release(routing, split))
        if rules is not None:
            for rule in filter(None, (rules.virtual_service, rules.destination_rule)):
                self._written.pop(_place(rule), None)
        return rules

    async def remove(self, routing: Routing) -> None:
        """Delete the pair that the experiment created: the VirtualService first, so that no route lacks its subset."""
        for kind in (VIRTUAL_SERVICE, DESTINATION_RULE):
            found = await self._find(kind, routing)
            if found is not None and found["metadata"]["name"] == desired.rules_name(routing.router_id):
                self._written.pop(_place(found), None)
                try:
                    await self._objects.delete(kind, routing.namespace, found["metadata"]["name"])
                except NotFound:
                    continue

    async def _take(self, routing: Routing) -> Rules:
        virtual_service, rule = await self._usable_pair(routing)
        if (
            virtual_service
            and desired.owner(virtual_service) == routing.experiment
            and (not rule or desired.owner(rule))
        ):
            return Rules(virtual_service, rule, desired.created_by_experiment(virtual_service))
        if virtual_service is not None and rule is not None:
            virtual_service, rule = await self._out_of_the_way(routing, virtual_service, rule)
        return await self._write(routing, {v.version: 100 * (v.version == BASELINE) for v in routing.destinations},
                                 virtual_service, rule)  # fmt: skip

    async def _set(self, routing: Routing, split: Split, interrupted: Callable[[], bool] | None) -> Rules:
        virtual_service, rule = await self._usable_pair(routing)
        return await self._write(routing, split, virtual_service, rule, interrupted)

    async def _release(self, routing: Routing, split: Split) -> Rules | None:
        virtual_service = await self._find(VIRTUAL_SERVICE, routing)
        rule = await self._find(DESTINATION_RULE, routing) if routing.uses_subsets else None
        if virtual_service is None or desired.owner(virtual_service) not in ("", routing.experiment):
            return None
        created = desired.created_by_experiment(virtual_service)
        if desired.owner(virtual_service):
            if rule is None and routing.uses_subsets:
                lost = remembered.other(virtual_service)
                rule = await self._put_subsets(None, desired.progressing_destination_rule(lost, routing, ()))
            names = desired.released_subset_names(rule, routing)
            wanted = desired.released_virtual_service(virtual_service, routing, split, names)
            virtual_service = await self._put(VIRTUAL_SERVICE, virtual_service, wanted)
        await self._seen_applied(virtual_service)
        if rule is not None and desired.owner(rule) == routing.experiment:
            rule = await self._put(DESTINATION_RULE, rule, desired.released_destination_rule(rule, virtual_service))
        return Rules(virtual_service, rule, created)

    async def _write(
        self,
        routing: Routing,
        split: Split,
        virtual_service: Object | None,
        rule: Object | None,
        interrupted: Callable[[], bool] | None = None,
    ) -> Rules:
        """DestinationRule with all subsets, then the VirtualService, seen applied, then what nobody names goes."""
        if virtual_service is None:
            await self._refuse_rival(routing)
        before = (_version(virtual_service), _version(rule))
        theirs = virtual_service or remembered.other(rule)
        in_use = desired.subsets_in_use(theirs) if theirs else []
        basis = rule or remembered.other(virtual_service)
        wanted = desired.progressing_virtual_service(theirs, routing, split, basis)
        if routing.uses_subsets:
            subsets = desired.progressing_destination_rule(basis, routing, in_use, theirs)
            rule = await self._put_subsets(rule, subsets)
        virtual_service = await self._put(VIRTUAL_SERVICE, virtual_service, wanted)
        applied = await self._seen_applied(virtual_service, interrupted)
        if applied and rule is not None and routing.uses_subsets:
            keep = desired.subsets_in_use(virtual_service)
            rule = await self._put(DESTINATION_RULE, rule, desired.progressing_destination_rule(rule, routing, keep))
        written = before != (_version(virtual_service), _version(rule))
        return Rules(virtual_service, rule, desired.created_by_experiment(virtual_service), written, applied)

    async def _out_of_the_way(self, routing: Routing, virtual_service: Object, rule: Object) -> tuple[Object, Object]:
        """Give subsets in use other names where this experiment needs theirs for other pods."""
        renames = renaming.colliding_subsets(rule, virtual_service, routing)
        if renames:
            rule = await self._put_subsets(rule, renaming.with_copied_subsets(rule, renames))
            renamed = renaming.with_renamed_subsets(virtual_service, renames)
            virtual_service = await self._put(VIRTUAL_SERVICE, virtual_service, renamed)
            await self._seen_applied(virtual_service)
        return virtual_service, rule

    async def _usable_pair(self, routing: Routing) -> tuple[Object | None, Object | None]:
        """The pair by the router label, None for what is not there. Raises RoutingRulesError on any other state."""
        virtual_service = await self._find(VIRTUAL_SERVICE, routing)
        rule = await self._find(DESTINATION_RULE, routing) if routing.uses_subsets else None
        for obj in (virtual_service, rule):
            if obj is None or desired.owner(obj) == routing.experiment:
                continue
            where = f"{obj['kind']} {obj['metadata']['name']}"
            if desired.owner(obj):
                raise RoutingRulesError(f"{where} is in use by experiment {desired.owner(obj)}; waiting for its end")
            if desired.role(obj) != desired.STABLE:
                raise RoutingRulesError(
                    f"{where} has role '{desired.role(obj)}' and no experiment; label it "
                    f"{desired.ROLE_LABEL}={desired.STABLE} to have it used"
                )
        lost = virtual_service is not None and rule is None and routing.uses_subsets
        if lost and virtual_service is not None and not desired.owner(virtual_service):
            raise RoutingRulesError(
                f"VirtualService {virtual_service['metadata']['name']} has no DestinationRule beside it with the label "
                f"{desired.ROUTER_LABEL}={routing.router_id}; label or add one"
            )
        if virtual_service is None and rule is not None and not desired.owner(rule):
            raise RoutingRulesError(
                f"DestinationRule {rule['metadata']['name']} has no VirtualService beside it with the label "
                f"{desired.ROUTER_LABEL}={routing.router_id}; label or add one"
            )
        return virtual_service, rule

    async def _find(self, kind: Kind, routing: Routing) -> Object | None:
        found = await self._objects.list(kind, routing.namespace, {desired.ROUTER_LABEL: routing.router_id})
        found = [obj for obj in found if not obj["metadata"].get("deletionTimestamp")]
        if len(found) > 1:
            names = ", ".join(obj["metadata"]["name"] for obj in found)
            raise RoutingRulesError(
                f"{kind.plural} {names} all carry the label {desired.ROUTER_LABEL}={routing.router_id}; keep one"
            )
        return found[0] if found else None

    async def _refuse_rival(self, routing: Routing) -> None:
        """Two VirtualServices for one host through one gateway are read in no order that anybody promises."""
        hosts = {
            h for host in routing.hosts for h in (routing.service_hosts if host in routing.service_hosts else {host})
        }
        for other in await self._objects.list(VIRTUAL_SERVICE, routing.namespace):
            spec = other.get("spec", {})
            shared = hosts.intersection(spec.get("hosts") or ())
            through = set(routing.gateways).intersection(spec.get("gateways") or ["mesh"])
            label = (other["metadata"].get("labels") or {}).get(desired.ROUTER_LABEL)
            if shared and through:
                raise RoutingRulesError(
                    f"VirtualService {other['metadata']['name']} already routes {sorted(shared)[0]}"
                    + (
                        f" and has the router id {label}; set networking.id to it"
                        if label
                        else f"; label it and its DestinationRule {desired.ROUTER_LABEL}={routing.router_id} and "
                        f"{desired.ROLE_LABEL}={desired.STABLE} to have them used"
                    )
                )

    async def _put_subsets(self, before: Object | None, wanted: Object) -> Object:
        """A DestinationRule that a route is about to rest on: written, if it differs, and seen applied."""
        rule = await self._put(DESTINATION_RULE, before, wanted)
        if _version(rule) != _version(before):
            await self._seen_applied(rule)
        return rule

    async def _put(self, kind: Kind, before: Object | None, wanted: Object) -> Object:
        """Write what differs and nothing else."""
        if before is None:
            try:
                return self._noted(await self._objects.create(wanted))
            except AlreadyExists:
                name = wanted["metadata"]["name"]
                raise RoutingRulesError(
                    f"{kind.name} {name} is there but lacks the label {desired.ROUTER_LABEL}; label it or remove it"
                ) from None
        if _content(before) == _content(wanted):
            return before
        return self._noted(await self._objects.replace(wanted))

    def _noted(self, rule: Object) -> Object:
        """Remember a write before anybody can be told of it: nothing is awaited in between."""
        self._written[_place(rule)] = _version(rule) or ""
        return rule

    async def _seen_applied(self, rule: Object, interrupted: Callable[[], bool] | None = None) -> bool:
        """Wait until proxies route by this form of the rule.

        False when something else has to be seen to first; that somebody has changed the rule is a Conflict for those
        who cannot be interrupted.
        """
        deadline = self._clock.now() + APPLIED_WITHIN
        pause = 0.005
        while True:
            try:
                if await self._data_plane.applied(rule):
                    return True
            except Conflict:
                if interrupted is None:
                    raise
                return False
            if interrupted is not None and interrupted():
                return False
            if self._clock.now() >= deadline:
                raise RoutingRulesError(
                    f"the gateway has not taken over {rule['kind']} {rule['metadata']['name']} "
                    f"within {APPLIED_WITHIN:.0f} s; trying again"
                )
            await self._clock.sleep(pause)
            pause = min(pause * 2, 0.5)

    async def _without_conflict(self, call: Callable[[], Awaitable[T]]) -> T:
        for _ in range(ATTEMPTS - 1):
            try:
                return await call()
            except (Conflict, NotFound):
                await self._clock.sleep(0.01)
        try:
            return await call()
        except (Conflict, NotFound) as error:
            raise RoutingRulesError(f"the rules are being changed by somebody else ({error}); trying again") from error


def _place(rule: Object) -> tuple[str, str, str]:
    return rule["kind"], rule["metadata"].get("namespace", ""), rule["metadata"]["name"]


def _version(obj: Object | None) -> str | None:
    return obj["metadata"].get("resourceVersion") if obj else None


def _content(obj: Object) -> tuple[object, object, object]:
    metadata = obj["metadata"]
    return obj.get("spec"), metadata.get("labels") or {}, metadata.get("annotations") or {}
