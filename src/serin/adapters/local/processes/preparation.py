"""From a Pod object to what is started and probed for it, or the reason why it cannot be."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from serin.adapters.local.processes import commands, probe
from serin.adapters.local.processes.addresses import AddressInUse
from serin.adapters.local.processes.commands import CannotRun
from serin.adapters.local.processes.ground import Ground
from serin.adapters.local.processes.images import Image
from serin.adapters.local.processes.probe import Probe
from serin.adapters.local.processes.process import Program
from serin.errors import InvalidInput, NotFound, SerinError
from serin.ports import CONFIG_MAP, Object


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is started, and how it is looked at."""

    program: Program
    startup: Probe | None
    readiness: Probe | None
    liveness: Probe | None


async def prepare(pod: Object, ground: Ground, allot: Callable[[Sequence[int]], str]) -> Prepared:
    """What to run for the Pod, on the address that `allot` gives for its ports. Raises SerinError."""
    try:
        container = commands.container_of(pod)
        image = _image(container, ground)
        startup, liveness = (probe.parse(container, f"{kind}Probe") for kind in ("startup", "liveness"))
        readiness = probe.readiness(container)
        address = allot(probe.ports_of(container))
        maps = await _config_maps(pod, container, ground)
        env = commands.environment(pod, container, image, address, maps)
        command = commands.compose(container, image, env)
        words = commands.runnable(command, ground.inherited)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CannotRun(
            "InvalidPod", f"the Pod's container cannot be read ({type(error).__name__}: {error})"
        ) from error
    program = Program(words, {**ground.inherited, **env}, command.directory, pod["metadata"]["uid"])
    return Prepared(program, startup, readiness, liveness)


def _image(container: Object, ground: Ground) -> Image:
    name = str(container.get("image") or "")
    try:
        image = ground.images.find(name)
    except InvalidInput as error:
        raise CannotRun("ImagesFileInvalid", str(error)) from None
    if image is None:
        raise CannotRun("ImageUnknown", ground.images.unknown(name))
    return image


async def _config_maps(pod: Object, container: Object, ground: Ground) -> dict[str, dict[str, str]]:
    found = {}
    for name in commands.config_maps_of(container):
        with contextlib.suppress(NotFound):
            found[name] = (await ground.objects.get(CONFIG_MAP, pod["metadata"]["namespace"], name)).get("data") or {}
    return found


def refusal(error: SerinError | OSError) -> tuple[str, str]:
    """Reason and message of the Pod's status for what prevents its start."""
    match error:
        case CannotRun():
            return error.reason, str(error)
        case AddressInUse():
            return "PortInUse", str(error)
        case OSError():
            return "RunContainerError", f"cannot start a process: {error.strerror}"
    return "ContainerCreating", str(error)
