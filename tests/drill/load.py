"""The drill's people: what browsers, applications and bank staff do all day, and what they see of it.

A process of its own in the clients' namespace. Each operation is one JSON line on stdout: what it was, when it began, how
long it took, how it ended, and how many gateways it needed. It ends with its standard input.
"""

import base64
import hashlib
import http.client
import json
import random
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse

WWW, CERT = "www.mihonbank.example", "cert.mihonbank.example"
CONTRACT = "10000000000001"
# How long a client waits for a connection, and for an answer.
CONNECT, ANSWER = 2, 10

told = threading.Lock()
over = threading.Event()
scene = None


def tell(kind, **fields):
    with told:
        print(json.dumps({"kind": kind, **fields}), flush=True)


class Trouble(Exception):
    """No answer: in one word."""


def word(error):
    if isinstance(error, (TimeoutError, socket.timeout)):
        return "timeout"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, OSError) and error.errno in (101, 113):
        return "unreachable"
    if isinstance(error, (ConnectionError, ssl.SSLError, http.client.HTTPException)):
        return "cut"
    return type(error).__name__


class Person:
    """A browser: one connection for each host, and cookies."""

    def __init__(self, gate, certificate=None):
        self.gate, self.cookies, self.connections = gate, {}, {}
        self.tls = ssl.create_default_context(cafile=scene["ca"])
        if certificate:
            self.tls.load_cert_chain(*certificate)

    def send(self, method, host, path, form=None, body=None, kind=None):
        """Sends a request and returns status, headers and body; Trouble if there is no answer."""
        try:
            connection = self.connections.get(host) or self.connect(host)
            headers = {"Host": host, "Accept": "text/html,application/json;q=0.9"}
            cookies = "; ".join(f"{name}={value}" for (of, name), value in self.cookies.items() if of == host)
            if cookies:
                headers["Cookie"] = cookies
            if form is not None:
                body, kind = urllib.parse.urlencode(form), "application/x-www-form-urlencoded"
                headers["Origin"] = f"https://{host}"
            if kind:
                headers["Content-Type"] = kind
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Trouble(word(error)) from error
        for line in response.headers.get_all("set-cookie") or []:
            name, value = line.split(";")[0].split("=", 1)
            if "Max-Age=0" in line:
                self.cookies.pop((host, name), None)
            else:
                self.cookies[host, name] = value
        if response.headers.get("connection", "").lower() == "close":
            self.close()
        return response.status, response.headers, text

    def connect(self, host):
        plain = socket.create_connection((scene["gates"][self.gate]["address"], 443), timeout=CONNECT)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # One deadline for all of the handshake.
        plain.settimeout(ANSWER)
        connection = http.client.HTTPConnection(host)
        connection.sock = self.tls.wrap_socket(plain, server_hostname=host)
        # It must not connect anew by itself.
        connection.auto_open = 0
        self.connections[host] = connection
        return connection

    def post(self, path, page, fields):
        """Sends a form of the portal from the page that it is on."""
        token = re.search(r'name="token"\s+value="([^"]*)"', page)
        if not token:
            raise Trouble("no form")
        return self.send("POST", WWW, path, form={"token": token[1], **fields})

    def close(self):
        for connection in self.connections.values():
            connection.close()
        self.connections = {}


def good(status, wanted, what):
    if status != wanted:
        raise Refused(f"{what} {status}")


class Refused(Exception):
    """An answer that isn't the one that was hoped for."""


def perform(kind, work, first, again=True, **more):
    """Does something at one gateway, and where there is no answer at the next. What came of it, or None."""
    began, start = time.time(), time.monotonic()
    gates = len(scene["gates"]) if again else 1
    done, tries = None, 0
    for turn in range(gates):
        tries, gate = turn + 1, (first + turn) % len(scene["gates"])
        try:
            done = work(gate)
            outcome = "ok"
            break
        except Trouble as trouble:
            outcome = str(trouble)
        except Refused as refused:
            outcome = str(refused)
            break
    tell(kind, at=began, took=round(time.monotonic() - start, 3), outcome=outcome, tries=tries, gate=gate, **more)
    return done


def every(seconds):
    """Turns, so many seconds apart, that don't wait for each other after a long one."""
    while not over.is_set():
        begun = time.monotonic()
        yield
        over.wait(max(0, seconds * random.uniform(0.8, 1.2) - (time.monotonic() - begun)))


def certificate(name):
    return f"{scene['clients']}/{name}.pem", f"{scene['clients']}/{name}.key"


def requests(name, first):
    """An application with a certificate and a connection that it keeps."""
    person = Person(first, certificate(name))

    def ask(gate):
        if person.gate != gate:
            person.close()
            person.gate = gate
        # A connection that was idle may have been closed: a client tries once more.
        if person.connections:
            try:
                return check(person.send("GET", CERT, "/banking/headers"))
            except Trouble as trouble:
                if str(trouble) != "cut":
                    raise
        return check(person.send("GET", CERT, "/banking/headers"))

    def check(answer):
        good(answer[0], 200, "certificate")
        return answer

    for _ in every(0.1):
        perform("request", ask, person.gate)


def handshakes(name, first):
    """A client that connects anew for each request."""

    def ask(gate):
        person = Person(gate, certificate(name))
        status = person.send("GET", CERT, "/banking/headers")[0]
        person.close()
        good(status, 200, "certificate")

    for _ in every(0.4):
        first = (first + 1) % len(scene["gates"])
        perform("handshake", ask, first)


def type_pin(person, user, pin):
    status, _, page = person.send("GET", WWW, "/sekisho/sign-in")
    good(status, 200, "page")
    fields = {"contract": CONTRACT, "user": user, "pin": pin, "to": "/banking/headers"}
    return person.post("/sekisho/sign-in", page, fields)


def sign_ins(users, first):
    """People who sign in by PIN, and look at the application."""

    def ask(gate):
        person = Person(gate)
        try:
            status, headers, _ = type_pin(person, user, scene["pin"])
            good(status, 303, "sign-in")
            status, _, _ = person.send("GET", WWW, "/banking/headers")
            good(status, 200, "first page")
        finally:
            person.close()
        return headers

    while not over.is_set():
        for user in users:
            first = (first + 1) % len(scene["gates"])
            perform("sign_in", ask, first, user=user)
            if over.wait(0.7):
                return


def sessions(user, first):
    """Somebody who has signed in, and works, each request at another gateway."""
    person = None

    def ask(gate):
        nonlocal person
        person.close()
        person.gate = gate
        status, _, _ = person.send("GET", WWW, "/banking/headers")
        if status == 303:
            person = None
            raise Refused("signed out")
        good(status, 200, "session")

    def begin(gate):
        nonlocal person
        new = Person(gate)
        good(type_pin(new, user, scene["pin"])[0], 303, "sign-in")
        person = new

    for _ in every(0.4):
        first = (first + 1) % len(scene["gates"])
        if person is None:
            perform("sign_in", begin, first, user=user)
        else:
            perform("session", ask, first)


def guesses(users):
    """Somebody who guesses PINs, one user after the other, at whichever gateway answers, until they are locked out."""
    for user in users:
        for turn in range(12):
            gate = random.randrange(len(scene["gates"]))
            # Right at last, which must not help any more, unless too few were looked at.
            is_last = turn == 11
            seen = []

            def ask(gate):
                person = Person(gate)
                try:
                    seen.append(type_pin(person, user, scene["pin"] if is_last else f"wrong{turn}")[0])
                finally:
                    person.close()
                if seen[-1] not in (200, 403) and not (is_last and seen[-1] == 303):
                    raise Refused(f"sign-in {seen[-1]}")

            # Nobody types it again for them: an answer that was lost is one try.
            perform("guess", ask, gate, again=False, user=user, right=is_last, seen=seen)
            over.wait(0.7)
            if over.is_set():
                return


def staff(gate, *words):
    """A command of bank staff on a gateway's machine. Its exit code and output."""
    command = ["nsenter", f"--net=/run/netns/{scene['gates'][gate]['name']}", scene["program"], *words]
    command += ["--config", scene["gates"][gate]["config"]]
    done = subprocess.run(command, capture_output=True, text=True, env=scene["gates"][gate]["environment"], timeout=60)
    return done.returncode, done.stdout + done.stderr


def command(what, user, words, gate):
    """A command that is typed until it is done, on one machine after the other."""
    while not over.is_set():
        began, start = time.time(), time.monotonic()
        code, said = staff(gate, *words, CONTRACT, user)
        tell("staff", at=began, took=round(time.monotonic() - start, 3), outcome="ok" if code == 0 else f"exit {code}",
             tries=1, gate=gate, what=what, user=user, said=said[-200:] if code else "")
        if code == 0:
            return True
        gate = (gate + 1) % len(scene["gates"])
        over.wait(1)
    return False


def suspensions(users):
    """Bank staff suspend users, and lift every third."""
    for number, user in enumerate(users):
        gate = number % len(scene["gates"])
        if command("suspend", user, ("user", "suspend"), gate) and number % 3 == 2:
            command("lift", user, ("user", "lift"), (gate + 1) % 3)
        if over.wait(2):
            return


def acquisitions(users):
    """Users are permitted a certificate, get it with the helper, and use it; every third loses it again."""
    for number, user in enumerate(users):
        if not command("permit", user, ("credential", "permit"), number % 3):
            return
        pc = {}
        for turn in range(60):
            if perform("acquire", lambda gate: acquire(gate, user, pc), (number + turn) % 3, user=user) or over.wait(1):
                break
        if number % 3 == 2 and not over.is_set():
            command("revoke", user, ("credential", "revoke"), (number + 1) % 3)
        if over.wait(2):
            return


def acquire(gate, user, pc):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    person = Person(gate)
    try:
        if "certificate" not in pc:
            status, _, page = person.send("GET", WWW, "/sekisho/acquisition")
            good(status, 200, "page")
            fields = {"contract": CONTRACT, "user": user, "pin": scene["pin"]}
            good(person.post("/sekisho/acquisition", page, fields)[0], 303, "acquisition")
            status, _, page = person.send("GET", WWW, "/sekisho/acquisition/certificate?done=again")
            good(status, 200, "page")
            status, _, page = person.post("/sekisho/acquisition/code", page, {})
            good(status, 200, "code")
            key = ec.generate_private_key(ec.SECP256R1())
            request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
            asked = {
                "code": re.search(r'data-code="([^"]*)"', page)[1],
                "request": base64.b64encode(request.public_bytes(serialization.Encoding.DER)).decode(),
            }
            status, _, answer = person.send("POST", WWW, "/sekisho/helper/certificate", body=json.dumps(asked), kind="application/json")
            good(status, 200, "certificate")
            chain = json.loads(answer)["chain"]
            der = x509.load_pem_x509_certificate(chain.encode()).public_bytes(serialization.Encoding.DER)
            pc.update(key=key, certificate=der, chain=chain)
            tell("received", user=user, fingerprint=hashlib.sha256(der).hexdigest())
        fingerprint = hashlib.sha256(pc["certificate"]).hexdigest()
        proof = pc["key"].sign(f"sekisho proof of possession\n{fingerprint}\n".encode(), ec.ECDSA(hashes.SHA256()))
        asked = {name: base64.b64encode(value).decode() for name, value in (("certificate", pc["certificate"]), ("signature", proof))}
        status, _, _ = person.send("POST", WWW, "/sekisho/helper/proof", body=json.dumps(asked), kind="application/json")
        if status == 403:
            # Another one has taken its place.
            del pc["certificate"]
        good(status, 200, "proof")
    finally:
        person.close()
    pem, key = certificate(user)
    with open(key, "wb") as file:
        file.write(pc["key"].private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    with open(pem, "w", encoding="utf-8") as file:
        file.write(pc["chain"])
    tell("acquired", user=user, fingerprint=fingerprint)
    return fingerprint


def probe(asked):
    """One question for the checks at the end: what a gateway answers to a certificate's holder, or to a PIN."""
    try:
        if "certificate" in asked:
            person = Person(asked["gate"], certificate(asked["certificate"]))
            return person.send("GET", CERT, "/banking/headers")[0]
        return type_pin(Person(asked["gate"]), asked["user"], scene["pin"])[0]
    except (Trouble, Refused) as trouble:
        return str(trouble)


def main():
    global scene
    with open(sys.argv[1], encoding="utf-8") as file:
        scene = json.load(file)
    if sys.argv[2:] == ["probe"]:
        for line in sys.stdin:
            print(json.dumps(probe(json.loads(line))), flush=True)
        return
    users = scene["users"]
    threads = [(requests, name, number % 3) for number, name in enumerate(users["certificate"])]
    threads += [(handshakes, name, number) for number, name in enumerate(users["certificate"][:2])]
    threads += [(sign_ins, users["sign_in"][number::2], number) for number in range(2)]
    threads += [(sessions, name, number) for number, name in enumerate(users["session"])]
    threads += [(guesses, users["guess"]), (suspensions, users["suspend"]), (acquisitions, users["acquire"])]
    threads = [threading.Thread(target=work, args=rest) for work, *rest in threads]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()


main()
