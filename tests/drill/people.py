"""Who is there: contracts, users, certificates; and the load that they make."""

import contextlib
import json
import os
import subprocess

from scene import CONTRACT, PIN, until

# How many of each. Whoever guesses, is suspended or gets a certificate is used up.
USERS = {"certificate": 6, "sign_in": 12, "session": 2, "guess": 150, "suspend": 600, "acquire": 600}
# Certificates that end soon, so that administrators have to be told.
ENDING = 12


def names():
    return {kind: [f"{kind.replace('_', '')}{number:03}" for number in range(count)] for kind, count in USERS.items()}


def enrol(scene):
    """Fills the directory: by the commands, and PINs that are nobody's temporary one any more."""
    gate, folder = scene.gates[0], scene.folder
    rows = ["contract,contract_name,user,role,mail,language,pin"]
    for number in (1, 2):
        rows.append(f"{CONTRACT},見本商事株式会社,admin{number},administrator,admin{number}@mihon-shoji.example,ja,{PIN}")
    for kind, users in names().items():
        mail = kind == "acquire"
        # Hashing takes its time: one PIN is hashed, and everybody has that hash.
        rows += [f"{CONTRACT},見本商事株式会社,{user},user,{user + '@mihon-shoji.example' if mail else ''},ja," for user in users]
    rows += [f"{CONTRACT},見本商事株式会社,ending{number:03},user,,ja," for number in range(2 * ENDING)]
    with open(f"{folder}/users.csv", "w", encoding="utf-8") as file:
        file.write("\n".join(rows) + "\n")
    gate.sekisho("import", f"{folder}/users.csv")
    scene.primary().sql(
        "UPDATE users SET pin_hash = (SELECT pin_hash FROM users WHERE user_id = 'admin1'), pin_temporary_until = NULL", "sekisho")
    pki = f"{folder}/pki"
    for user in names()["certificate"]:
        scene.gates[0].sh(scene.program, "ca", "--dir", pki, "client", "--contract", CONTRACT, "--user", user, "--password", "drill")
    for number in range(2 * ENDING):
        days = 20 if number % 2 else 5
        scene.gates[0].sh(scene.program, "ca", "--dir", pki, "client", "--contract", CONTRACT, "--user", f"ending{number:03}",
                          "--days", days, "--password", "drill")
    gate.sekisho("credential", "add", *(f"{pki}/clients/{user}.pem" for user in names()["certificate"]))
    ends(scene, range(ENDING))


def ends(scene, numbers):
    """Registers certificates that end soon."""
    scene.gates[1].sekisho("credential", "add", *(f"{scene.folder}/pki/clients/ending{number:03}.pem" for number in numbers))


def plan(scene):
    """What the load has to know."""
    file = f"{scene.folder}/load.json"
    gates = [
        {"name": gate.name, "address": gate.address, "config": gate.config, "environment": gate.environment} for gate in scene.gates
    ]
    with open(file, "w", encoding="utf-8") as text:
        json.dump({"gates": gates, "ca": f"{scene.folder}/pki/ca.pem", "clients": f"{scene.folder}/pki/clients", "pin": PIN,
                   "program": scene.program, "users": names()}, text)
    return file


def words(scene, *more):
    here = os.path.dirname(os.path.abspath(__file__))
    return scene.clients.words("/usr/bin/python3", f"{here}/load.py", plan(scene), *more)


@contextlib.contextmanager
def load(scene, log):
    """Load for as long as this lasts; each operation is a line of the file."""
    with open(log, "wb") as out, open(f"{scene.clients.folder}/load.out", "wb") as errors:
        process = subprocess.Popen(words(scene), stdin=subprocess.PIPE, stdout=out, stderr=errors)
        try:
            until("operations", lambda: os.path.getsize(log) > 0)
            yield
        finally:
            process.stdin.close()
            process.wait(120)


class Probe:
    """Asks gateways single questions from the clients' namespace."""

    def __init__(self, scene):
        self.process = subprocess.Popen(words(scene, "probe"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())
