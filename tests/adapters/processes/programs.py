"""Small real programs for Pods to run. Each is the text of a `python -c`."""

SERVER = """
import http.server, os, signal, sys, threading, time
say = lambda *words: print(*words, flush=True)
time.sleep(float(os.environ.get("START", 0)))
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/slow":
            time.sleep(float(os.environ.get("SLOW", 2)))
        code = 503 if self.path == "/ready" and os.path.exists(os.environ.get("SICK", "/no")) else 200
        text = os.environ.get("VERSION", "v1").encode()
        self.send_response(code); self.send_header("content-length", str(len(text))); self.end_headers()
        self.wfile.write(text)
    def log_message(self, *words): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = False
host = os.environ.get("HOST") or os.environ["POD_IP"]
server = Server((host, int(os.environ.get("PORT", 8501))), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
say("serving on", host)
server.serve_forever()
server.server_close()
say("ended in order")
"""

CRASH = "import sys; print('loading'); sys.exit('ValueError: no such model')"

STUBBORN = """
import os, signal, socket, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
listening = socket.create_server((os.environ["POD_IP"], 8501))
time.sleep(600)
"""
