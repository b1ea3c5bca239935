"""istiod, and the Envoy that it configures as the ingress gateway.

Envoy is the stock one: it lacks Istio's own filters and has no certificate here. So istiod is told to leave them out,
and telemetry comes from the access log (`telemetry`).
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import yaml

from lab.part import Program, answers

NAMESPACE, GATEWAY = "istio-system", "istio-ingressgateway"
ADDRESS = "10.244.0.2"
HTTP, ADMIN, DISCOVERY, DEBUG, METRICS = 80, 15000, 15010, 8080, 15014
ACCESS = {
    "upstream": "%UPSTREAM_HOST%",
    "cluster": "%UPSTREAM_CLUSTER_RAW%",
    "code": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "milliseconds": "%DURATION%",
}
"""One JSON object a request, at its end."""

_ISTIOD_ENV = {
    "POD_NAMESPACE": NAMESPACE,
    "POD_NAME": "istiod-lab",
    "PILOT_ENABLE_METADATA_EXCHANGE": "false",
    "PILOT_ENABLE_ALPN_FILTER": "false",
    "PILOT_ENABLE_STATUS": "false",
    "ENABLE_CA_SERVER": "false",
    "PILOT_CERT_PROVIDER": "none",
    "VALIDATION_WEBHOOK_CONFIG_NAME": "",
    "INJECTION_WEBHOOK_CONFIG_NAME": "",
}


def istiod(binary: Path, kubeconfig: Path, address: str, folder: Path, access_log: Path) -> Program:
    """istiod for the one cluster, with gateways' access logs as JSON into `access_log`."""
    mesh = folder / "mesh.yaml"
    mesh.write_text(
        yaml.safe_dump({
            "accessLogFile": str(access_log),
            "accessLogEncoding": "JSON",
            "accessLogFormat": json.dumps(ACCESS),
            "enablePrometheusMerge": False,
            "enableAutoMtls": False,
            "defaultProviders": {"metrics": [], "accessLogging": []},
            "trustDomain": "cluster.local",
            "rootNamespace": NAMESPACE,
        })
    )  # fmt: skip
    words = (
        binary, "discovery",
        "--kubeconfig", kubeconfig,
        "--meshConfig", mesh,
        "--networksConfig", "/dev/null",
        "--grpcAddr", f"127.0.0.1:{DISCOVERY}",
        "--httpAddr", f"{address}:{DEBUG}",
        "--httpsAddr", "", "--secureGRPCAddr", "", "--monitoringAddr", f"127.0.0.1:{METRICS}",
        "--domain", "cluster.local",
    )  # fmt: skip
    return Program("istiod", words, answers(f"http://{address}:{DEBUG}/ready"), _ISTIOD_ENV)


def gateway(binary: Path, address: str, folder: Path, concurrency: int) -> Program:
    """Envoy with the labels that a `Gateway`'s selector asks for, told by istiod."""
    bootstrap = folder / "gateway.json"
    bootstrap.write_text(json.dumps(_bootstrap(address)))
    words = (
        binary, "--config-path", bootstrap, "--disable-hot-restart", "--concurrency", str(concurrency),
        "--log-level", "warning", "--file-flush-interval-msec", "100",
        "--drain-time-s", "2", "--base-id", str(os.getpid() % 60_000),
    )  # fmt: skip
    return Program("gateway", words, answers(f"http://{address}:{ADMIN}/ready"))


def _bootstrap(address: str) -> dict[str, object]:
    discovery = {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}
    http2: dict[str, object] = {"explicit_http_config": {"http2_protocol_options": {}}}
    # Else Envoy finds an istiod that comes late only after half a minute.
    soon = {"retry_back_off": {"base_interval": "0.1s", "max_interval": "1s"}}
    istiod_at = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": DISCOVERY}}}
    return {
        "node": {
            "id": f"router~{ADDRESS}~{GATEWAY}-lab.{NAMESPACE}~{NAMESPACE}.svc.cluster.local",
            "cluster": f"{GATEWAY}.{NAMESPACE}",
            "metadata": {
                "NAMESPACE": NAMESPACE,
                "LABELS": {"istio": "ingressgateway", "app": GATEWAY},
                "WORKLOAD_NAME": GATEWAY,
                "CLUSTER_ID": "Kubernetes",
            },
        },
        "dynamic_resources": {
            "lds_config": discovery,
            "cds_config": discovery,
            "ads_config": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc", "retry_policy": soon}}],
            },
        },
        "static_resources": {
            "clusters": [
                {
                    "name": "xds-grpc",
                    "type": "STATIC",
                    "connect_timeout": "1s",
                    "typed_extension_protocol_options": {
                        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                            **http2,
                        }
                    },
                    "load_assignment": {
                        "cluster_name": "xds-grpc",
                        "endpoints": [{"lb_endpoints": [{"endpoint": istiod_at}]}],
                    },
                }
            ]
        },
        "admin": {"address": {"socket_address": {"address": address, "port_value": ADMIN}}},
    }
