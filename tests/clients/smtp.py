"""A mail server for the tests: takes mails, writes each as a line of JSON, and fails as it is told.

smtp.py MAILS FAULTS [CERTIFICATE KEY [implicit]]

FAULTS is a file that is read anew for every command: lines such as `RCPT 450 busy` (an answer), `DATA cut` (the
connection is cut before the mail is taken), `DATA lost` (it is cut after that) and `DATA wait` (the answer waits until that line
is gone).
"""

import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

mails, faults = sys.argv[1:3]


def fault(command):
    with open(faults, encoding="utf-8") as lines:
        for line in lines:
            if line.split(" ", 1)[0] == command:
                return line.strip().split(" ", 1)[1]
    return None


class Handler:
    def told(self, server, command):
        what = fault(command)
        if what == "cut":
            server.transport.abort()
        return None if what in (None, "lost", "wait") else what

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        what = self.told(server, "EHLO")
        return [what] if what else responses

    async def handle_MAIL(self, server, session, envelope, address, options):
        what = self.told(server, "MAIL")
        if what:
            return what
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        what = self.told(server, "RCPT")
        if what:
            return what
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        what = self.told(server, "DATA")
        if what:
            return what
        mail = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "text": envelope.content.decode("utf-8"),
            "tls": server.transport.get_extra_info("sslcontext") is not None,
            "user": session.auth_data,
        }
        with open(mails, "a", encoding="utf-8") as out:
            out.write(json.dumps(mail) + "\n")
        if fault("DATA") == "lost":
            server.transport.abort()
        while fault("DATA") == "wait":
            await asyncio.sleep(0.01)
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    good = data.login == b"sekisho" and data.password == b"kanarienvogel"
    return AuthResult(success=good, auth_data="sekisho" if good else None)


settings = {}
context = None
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    settings = {"authenticator": authenticate, "auth_required": True}
    if len(sys.argv) == 5:
        settings |= {"tls_context": context, "require_starttls": True}
        context = None
    else:
        settings |= {"auth_require_tls": False}


async def serve():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(Handler(), hostname="localhost", loop=loop, **settings), "127.0.0.1", 0, ssl=context
    )
    print("port", server.sockets[0].getsockname()[1], flush=True)
    print("ready", flush=True)
    # Until whoever started it is gone.
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(serve())
