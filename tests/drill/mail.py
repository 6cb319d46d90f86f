"""The drill's mail server: takes every mail, and keeps one line of each on disk before it says so."""

import email
import os
import sys
import time

from aiosmtpd.controller import Controller


class Catcher:
    def __init__(self, file):
        self.file = open(file, "a", encoding="utf-8")

    async def handle_DATA(self, _server, _session, envelope):
        mail = email.message_from_bytes(envelope.content)
        self.file.write(f"{mail['Message-ID']}\t{','.join(envelope.rcpt_tos)}\n")
        self.file.flush()
        os.fsync(self.file.fileno())
        return "250 OK"


Controller(Catcher(sys.argv[2]), hostname=sys.argv[1], port=1025).start()
while True:
    time.sleep(3600)
