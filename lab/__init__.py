"""A real cluster on one machine, without a container engine: to test against, and to play in.

A real API server with the Deployment controllers, a real istiod, a real Envoy as the ingress gateway and a real
Prometheus, in a network namespace of their own. What is not real, and what it stands for, is in `docs/lab.md`.

    with Lab("mine") as lab:
        lab.run(lab.kubectl, "apply", "-f", "modelv1.yaml")
        httpx2.get(lab.gateway, headers={"host": "fashionmnist.com"})

    lab             the composition root: `Lab`
    build           the programs, built once per machine; `toolchain`, `debian`, `modules` are where they come from
    claim           a lab's folder, and who owns it; what dead labs left behind
    namespace       the network namespace and the way into it
    part            one process of the lab: start, wait until ready, stop, freeze
    identities      the certificate, the tokens, the kubeconfigs
    control_plane   etcd, the API server, the controllers
    kinds           Istio's and the Gateway API's kinds in the API server
    node/           the kubelet's place: Pods as processes
    mesh            istiod and the gateway
    telemetry       the gateway's access log as Istio's metrics
    prometheus      what scrapes them
    __main__        `make lab`
"""

from lab.errors import CannotHaveLab, PartFailed
from lab.lab import Lab

__all__ = ["CannotHaveLab", "Lab", "PartFailed"]
