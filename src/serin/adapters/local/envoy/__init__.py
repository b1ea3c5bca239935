"""The gateway of the local home: routing objects in, a real Envoy's behaviour out.

    Service, Pod, Gateway, VirtualService, DestinationRule          Kubernetes-shaped objects
      -> workloads.py   which pods stand behind a destination, by workload
      -> routing.py     the routing model: listeners, hosts, routes with whole weights, clusters    (pure)
      -> config.py      Envoy's v3 JSON: bootstrap, LDS, RDS, CDS                                   (pure)
      -> proxy.py       one Envoy process, files replaced atomically, acknowledgements waited for
    translator.py       watches the objects and keeps the proxy at what they say
    dataplane.py        answers what the proxy really does: is it applied, is a workload idle

The semantics are Istio's. The fields acted on are those in the shapes of `serin.api`, which names all others.
Every request is counted once, when it ends, under its workload, as Istio's own telemetry does (`telemetry.py`).
"""
