"""Python's http.server: says what it understood of each request, on a line of its own and to whoever asked.

backend.py; prints `PORT`, then a line of JSON for each request. Ends with its input.
"""

import http.server
import json
import sys
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def read_body(self):
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def answer(self):
        understood = json.dumps({
            "id": self.headers.get("X-Request-ID"), "method": self.command, "target": self.path,
            "host": self.headers.get("Host"), "contract": self.headers.get("X-Contract-ID"),
            "user": self.headers.get("X-User-ID"), "body": self.read_body().decode("latin-1"),
        })
        sys.stdout.write(understood + "\n")
        sys.stdout.flush()
        self.send_response(200)
        self.send_header("Content-Length", str(len(understood)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(understood.encode())

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
