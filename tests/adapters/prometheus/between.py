"""Certificates of an authority of the test's own, and a server between us and Prometheus that does what it is told."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request, urlopen

Deed = Callable[[BaseHTTPRequestHandler, bytes], None]
"""What is done with a request: its handler, and what Prometheus would have answered."""


@dataclass(frozen=True)
class Certificates:
    """`authority` has signed `certificate`, which is for 127.0.0.1."""

    authority: Path
    certificate: Path
    key: Path

    @property
    def web(self) -> str:
        """For Prometheus' `--web.config.file`."""
        return f"tls_server_config: {{cert_file: {self.certificate}, key_file: {self.key}}}\n"


def certificates(folder: Path, address: str = "IP:127.0.0.1") -> Certificates:
    """An authority and a certificate signed by it, by openssl."""
    folder.mkdir(parents=True, exist_ok=True)
    elliptic = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    name = ("-subj", "/CN=serin test authority")
    _openssl(folder, "req", "-x509", *elliptic, *name, "-keyout", "ca.key", "-out", "ca.pem")
    _openssl(folder, "req", *elliptic[:-2], "-subj", "/CN=prometheus", "-keyout", "key.pem", "-out", "request.pem")
    (folder / "names").write_text(f"subjectAltName={address}\n")
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
    _openssl(folder, "x509", "-req", "-in", "request.pem", *signed, "-out", "cert.pem")
    return Certificates(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")


def _openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=60)


class Between:
    """Takes requests for Prometheus; each of `deeds` is done once, in order, then requests are passed on.

    token      asked for as `Authorization: Bearer`
    pages      passed-on answers that are kept from being sent until `release` is set
    """

    def __init__(self, url: str, token: str | None = None, tls: Certificates | None = None) -> None:
        self.deeds: list[Deed] = []
        self.seen = 0
        self.release = threading.Event()
        between = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                between.seen += 1
                if token is not None and self.headers.get("Authorization") != f"Bearer {token}":
                    return reply(self, 401, b"who are you?")
                answer = urlopen(Request(url + self.path, data=body), timeout=20).read()
                deed = between.deeds.pop(0) if between.deeds else passed_on
                with contextlib.suppress(OSError):
                    deed(self, answer)
                return None

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.certificate, tls.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()

    def late(self, handler: BaseHTTPRequestHandler, answer: bytes) -> None:
        """Answer when it is released."""
        self.release.wait(30)
        passed_on(handler, answer)

    def drip(self, handler: BaseHTTPRequestHandler, answer: bytes) -> None:
        """Answer byte after byte, without end: no single wait is long."""
        handler.send_response(200)
        handler.end_headers()
        while not self.release.wait(0.05):
            handler.wfile.write(answer[:1])


def reply(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def passed_on(handler: BaseHTTPRequestHandler, answer: bytes) -> None:
    reply(handler, 200, answer)


def a_page(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    reply(handler, 200, b"<html>Please sign in</html>", Content_Type="text/html")


def a_fault(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    reply(handler, 500, b"oops")


def too_many(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    reply(handler, 429, b"", Retry_After="2")


def cut_json(handler: BaseHTTPRequestHandler, answer: bytes) -> None:
    """Half of the answer, as if it were the whole."""
    reply(handler, 200, answer[: len(answer) // 2])


def cut_connection(handler: BaseHTTPRequestHandler, answer: bytes) -> None:
    """Half of the answer, then nobody."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(answer)))
    handler.end_headers()
    handler.wfile.write(answer[: len(answer) // 2])
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True
