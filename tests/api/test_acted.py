"""Fields that the home does not act on are named, each of them, and no other."""

from __future__ import annotations

import pytest

from serin.api import check, manifest
from serin.api.acted import SHAPES, unacted
from serin.ports import DEPLOYMENT, NAMESPACE, VIRTUAL_SERVICE

DEPLOYMENT_OF_A_CLUSTER = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: fashionmnist-v1
  labels: {app: fashionmnist}
  annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}"}
  creationTimestamp: null
spec:
  replicas: 2
  minReadySeconds: 1
  progressDeadlineSeconds: 60
  revisionHistoryLimit: 3
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 25%, maxUnavailable: 0}}
  selector:
    matchLabels: {app: fashionmnist, version: v1}
    matchExpressions: []
  template:
    metadata: {labels: {app: fashionmnist, version: v1}, annotations: {a: b}}
    spec:
      restartPolicy: Always
      dnsPolicy: ClusterFirst
      terminationGracePeriodSeconds: 5
      containers:
      - name: model
        image: fashionmnist:v1
        command: [serve]
        args: ["--port", "8501"]
        workingDir: /srv
        resources: {limits: {cpu: 1}}
        ports:
        - {name: http, containerPort: 8501, protocol: TCP}
        - {containerPort: 8500, protocol: UDP, hostPort: 1}
        env:
        - {name: A, value: "1"}
        - {name: B, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: C, valueFrom: {configMapKeyRef: {name: c, key: k, optional: true}}}
        - {name: D, valueFrom: {secretKeyRef: {name: s, key: k}}}
        envFrom: [{configMapRef: {name: c}}, {secretRef: {name: s}}]
        readinessProbe: {httpGet: {path: /, port: http, httpHeaders: [{name: a, value: b}]}, periodSeconds: 1}
        livenessProbe: {tcpSocket: {port: 8501}, terminationGracePeriodSeconds: 1}
        startupProbe: {exec: {command: ["true"]}, failureThreshold: 30}
      - name: logs
        image: logs
      initContainers: [{name: fetch, image: fetch}]
status: {replicas: 2}
"""


def test_what_is_not_acted_on_is_named_with_its_place() -> None:
    (found,) = manifest.parse(DEPLOYMENT_OF_A_CLUSTER, "f.yaml")
    containers = "spec.template.spec.containers"
    nothing = "is not acted on here"
    assert check.admit(found) == [
        f"f.yaml:12: spec.revisionHistoryLimit: {nothing}",
        f"f.yaml:16: spec.selector.matchExpressions: {nothing}",
        f"f.yaml:21: spec.template.spec.dnsPolicy: {nothing}",
        f"f.yaml:29: {containers}[0].resources: {nothing}",
        f"f.yaml:32: {containers}[0].ports[1].protocol: {nothing}",
        f"f.yaml:32: {containers}[0].ports[1].hostPort: {nothing}",
        f"f.yaml:37: {containers}[0].env[3].valueFrom.secretKeyRef: {nothing}",
        f"f.yaml:38: {containers}[0].envFrom[1].secretRef: {nothing}",
        f"f.yaml:40: {containers}[0].livenessProbe.terminationGracePeriodSeconds: {nothing}",
        f"f.yaml:42: {containers}[1]: only the first container of a Pod is run here",
        "f.yaml:44: spec.template.spec.initContainers: only the first of the containers of a Pod is run here, nothing "
        "before it",
    ]


ROUTING = {
    "VirtualService": """\
spec:
  hosts: [a, "*"]
  gateways: [mesh, g]
  exportTo: ["."]
  tcp: []
  http:
  - name: main
    match:
    - {uri: {prefix: /}, headers: {a: {}}, withoutHeaders: {b: {exact: c}}, sourceLabels: {a: b}}
    route:
    - {destination: {host: a, subset: s, port: {number: 80}}, weight: 100, headers: {request: {set: {a: b}}}}
    timeout: 1s
    retries: {attempts: 1, perTryTimeout: 1s, retryRemoteLocalities: true}
    fault: {delay: {fixedDelay: 1s, percentage: {value: 0.5}}, abort: {httpStatus: 500, grpcStatus: "14"}}
    mirror: {host: a}
    mirrorPercentage: {value: 10.0}
  - delegate: {name: other}
""",
    "DestinationRule": """\
spec:
  host: a
  exportTo: ["*"]
  workloadSelector: {}
  trafficPolicy:
    tls: {mode: DISABLE}
    loadBalancer: {simple: ROUND_ROBIN, warmupDurationSecs: 5s}
    connectionPool:
      http: {http1MaxPendingRequests: 1, http2MaxRequests: 1}
      tcp: {connectTimeout: 1s, tcpKeepalive: {}}
    outlierDetection: {consecutive5xxErrors: 5, minHealthPercent: 5}
  subsets: [{name: s, labels: {a: b}, trafficPolicy: {portLevelSettings: []}}]
""",
    "Gateway": """\
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}
  - {port: {number: 443, name: https, protocol: HTTPS}, hosts: ["*"], tls: {mode: SIMPLE}}
""",
}
NOT_ACTED_ON = {
    "VirtualService": [
        "spec.exportTo",
        "spec.tcp",
        "spec.http[0].match[0].sourceLabels",
        "spec.http[0].retries.retryRemoteLocalities",
        "spec.http[0].fault.abort.grpcStatus",
        "spec.http[1].delegate",
    ],
    "DestinationRule": [
        "spec.exportTo",
        "spec.workloadSelector",
        "spec.trafficPolicy.tls",
        "spec.trafficPolicy.loadBalancer.warmupDurationSecs",
        "spec.trafficPolicy.connectionPool.tcp.tcpKeepalive",
        "spec.trafficPolicy.outlierDetection.minHealthPercent",
        "spec.subsets[0].trafficPolicy.portLevelSettings",
    ],
    "Gateway": ["spec.servers[1].port.protocol", "spec.servers[1].tls"],
}


@pytest.mark.parametrize("version", ["v1alpha3", "v1beta1", "v1"])
@pytest.mark.parametrize("kind", ROUTING)
def test_routing_objects_are_read_in_every_version_and_their_rest_is_named(kind: str, version: str) -> None:
    text = f"apiVersion: networking.istio.io/{version}\nkind: {kind}\nmetadata: {{name: a}}\n{ROUTING[kind]}"
    (found,) = manifest.parse(text, "f.yaml")
    assert check.problems(found.object) == []
    assert [doubt.path for doubt in check.warnings(found.object)] == NOT_ACTED_ON[kind]


def test_a_null_is_a_field_that_is_not_there() -> None:
    (found,) = manifest.parse(DEPLOYMENT_OF_A_CLUSTER, "f.yaml")
    found.object["spec"]["replicas"] = found.object["spec"]["template"]["spec"]["hostNetwork"] = None
    assert check.problems(found.object) == []
    assert "spec.template.spec.hostNetwork" not in unacted(found.object, DEPLOYMENT)


def test_a_namespace_needs_a_name_only() -> None:
    (found,) = manifest.parse("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n", "f.yaml")
    assert check.admit(found) == []
    assert unacted(found.object, NAMESPACE) == []


def test_several_ports_of_a_service_need_names() -> None:
    text = (
        "apiVersion: v1\nkind: Service\nmetadata: {name: s}\n"
        "spec: {type: NodePort, ports: [{port: 1, name: a}, {port: 2}]}"
    )
    (found,) = manifest.parse(text, "f.yaml")
    assert [str(problem) for problem in check.problems(found.object)] == [
        "spec.ports[1].name: is missing; with several ports each needs a name"
    ]
    assert [doubt.path for doubt in check.warnings(found.object)] == ["spec.type"]


def test_templates_that_need_prometheus_are_doubted() -> None:
    text = (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: iter8config-metrics}\ndata:\n  counter_metrics.yaml: |\n"
        "    - {name: iter8_request_count, query_template: sum(x) by ($version_labels)}\n"
    )
    assert check.admit(manifest.parse(text, "f.yaml")[0]) == [
        "f.yaml:4: data: counter metric 'iter8_request_count' cannot be read here: it sums something else than "
        "increase(…); without Prometheus only sum(increase(SELECTOR[$interval])) by ($version_labels) can be read"
    ]


def test_every_applicable_kind_has_a_shape() -> None:
    assert set(SHAPES) < set(check.APPLICABLE)
    assert VIRTUAL_SERVICE in SHAPES
