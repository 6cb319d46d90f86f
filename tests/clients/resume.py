"""Python's ssl module, told by lines of input where to go and with which session.

resume.py CA CERTIFICATE KEY VERSION PATH; a line is `PORT HOST keep` or `PORT HOST offer`: without a session, whose own is
kept, or with the one that is kept. Each prints `STATUS VERSION new|resumed` and the body, on one line.
"""

import http.client
import socket
import ssl
import sys

ca, certificate, key, version, path = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.load_cert_chain(certificate, key)
context.minimum_version = context.maximum_version = {
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}[version]
kept = None
for line in sys.stdin:
    port, host, what = line.split()
    plain = socket.create_connection(("127.0.0.1", int(port)), timeout=20)
    connection = http.client.HTTPSConnection(host, int(port), context=context)
    offered = kept if what == "offer" else None
    connection.sock = tls = context.wrap_socket(plain, server_hostname=host, session=offered)
    connection.request("GET", path, headers={"Host": host, "Accept": "application/json"})
    response = connection.getresponse()
    body = response.read().decode().strip()
    print(response.status, tls.version(), "resumed" if tls.session_reused else "new", body, flush=True)
    if what == "keep":
        kept = tls.session
    connection.close()
