"""Python's ssl module: two connections, the second with the session of the first.

client.py CA CERTIFICATE KEY HOST PORT PATH; each connection prints `STATUS VERSION new|resumed` and the body.
"""

import http.client
import socket
import ssl
import sys

ca, certificate, key, host, port, path = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.load_cert_chain(certificate, key)
session = None
for _ in range(2):
    plain = socket.create_connection(("127.0.0.1", int(port)), timeout=20)
    connection = http.client.HTTPSConnection(host, int(port), context=context)
    connection.sock = tls = context.wrap_socket(plain, server_hostname=host, session=session)
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read().decode()
    print(response.status, tls.version(), "resumed" if tls.session_reused else "new")
    print(body.strip())
    session = tls.session
    connection.close()
