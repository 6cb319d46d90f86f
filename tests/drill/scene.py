"""The drill's machines: a network namespace each, on one bridge, with what runs there. All of it lies in the namespaces that
`run` made for itself, and ends with them."""

import hashlib
import os
import secrets
import shutil
import signal
import subprocess
import time

CONTRACT = "10000000000001"
PIN = "k7m2x9"
# Where the directory is: whoever is PostgreSQL's primary has this address.
DIRECTORY = "10.88.0.20"
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"


def sh(*words, check=True, **more):
    """Runs a command, quietly unless it fails."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, **more)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def until(what, is_so, patience=60):
    """Waits until something is so, and says for how many seconds."""
    begun = time.monotonic()
    while time.monotonic() - begun < patience:
        try:
            if is_so():
                return round(time.monotonic() - begun, 1)
        except (OSError, RuntimeError):
            pass
        time.sleep(0.1)
    raise RuntimeError(f"never came true: {what}")


class Host:
    """A machine: a namespace with one link to the bridge."""

    def __init__(self, name, address, folder):
        self.name, self.address, self.folder, self.running = name, address, folder, {}
        os.makedirs(folder, exist_ok=True)
        self.link = f"to-{name}"
        sh("ip", "netns", "add", name)
        sh("ip", "link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", name)
        sh("ip", "link", "set", self.link, "master", "switch", "up")
        for words in (["link", "set", "lo", "up"], ["link", "set", "eth0", "up"], ["addr", "add", f"{address}/24", "dev", "eth0"]):
            sh("ip", "-n", name, *words)

    def words(self, *words, user=None):
        inside = ["nsenter", f"--net=/run/netns/{self.name}"]
        if user:
            inside += ["setpriv", "--reuid", user, "--regid", user, "--init-groups"]
        return [*inside, *map(str, words)]

    def sh(self, *words, user=None, **more):
        return sh(*self.words(*words, user=user), **more)

    def start(self, what, *words, user=None, **more):
        with open(f"{self.folder}/{what}.out", "ab") as out:
            self.running[what] = subprocess.Popen(
                self.words(*words, user=user), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, **more
            )

    def kill(self, what):
        """kill -9, with all that it has started."""
        process = self.running.pop(what)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def cut(self):
        """Pulls the cable."""
        sh("ip", "link", "set", self.link, "down")

    def heal(self):
        sh("ip", "link", "set", self.link, "up")

    def cut_from(self, *others):
        """Loses every packet to and from others."""
        addresses = ", ".join(others)
        rules = f"""table ip drill {{
            chain in {{ type filter hook input priority 0; ip saddr {{ {addresses} }} drop; }}
            chain out {{ type filter hook output priority 0; ip daddr {{ {addresses} }} drop; }}
        }}"""
        self.sh("nft", "-f", "-", input=rules)

    def heal_from(self):
        self.sh("nft", "delete", "table", "ip", "drill")


class Gate(Host):
    """A gateway. Its folder, with its logs, is a small disk of its own; its clock can be moved."""

    def __init__(self, name, address, scene, has_own_clock=False):
        folder = f"{scene.folder}/{name}"
        os.makedirs(folder)
        sh("mount", "-t", "tmpfs", "-o", "size=48m", name, folder)
        super().__init__(name, address, folder)
        self.scene, self.config, self.environment = scene, f"{folder}/sekisho.yaml", dict(os.environ)
        if has_own_clock:
            self.set_clock(0)
            self.environment |= {
                "LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": f"{folder}/clock", "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        shutil.copy(f"{scene.folder}/pki/issuer/ca.crl", f"{folder}/issuer.crl")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(configuration(scene.folder, folder))

    def begin(self):
        self.start("sekisho", self.scene.program, "serve", "--config", self.config, env=self.environment)
        return until(f"{self.name} is ready", self.is_ready)

    def is_ready(self):
        return self.ops("/readyz").startswith("ready")

    def ops(self, path):
        return self.sh("curl", "--silent", "--fail", "--max-time", "2", f"http://127.0.0.1:9090{path}")

    def sekisho(self, *words):
        return self.sh(self.scene.program, *words, "--config", self.config, env=self.environment)

    def set_clock(self, seconds):
        with open(f"{self.folder}/clock.new", "w", encoding="utf-8") as file:
            file.write(f"{seconds:+}\n")
        os.rename(f"{self.folder}/clock.new", f"{self.folder}/clock")

    def fill(self):
        with open(f"{self.folder}/ballast", "wb", buffering=0) as file:
            try:
                while file.write(bytes(65536)) == 65536:
                    pass
                while file.write(b"\0"):
                    pass
            except OSError:
                pass

    def clear(self):
        os.remove(f"{self.folder}/ballast")


class Redis(Host):
    """A Redis server and a sentinel."""

    def begin(self, primary):
        self.start("redis", "redis-server", self.configuration(primary), cwd=self.folder)

    def configuration(self, primary):
        file = f"{self.folder}/redis.conf"
        replicaof = [f"replicaof {primary} 6379"] if primary != self.address else []
        lines = [
            f"bind {self.address} 127.0.0.1", "port 6379", f"dir {self.folder}", "aclfile ../users.acl", "masteruser replication",
            "masterauth replication", "appendonly yes", "appendfsync everysec", "maxmemory-policy noeviction",
            "min-replicas-to-write 1", *replicaof,
        ]
        with open(file, "w", encoding="utf-8") as text:
            text.write("\n".join(lines) + "\n")
        return file

    def watch(self, primary):
        file = f"{self.folder}/sentinel.conf"
        lines = [
            f"bind {self.address} 127.0.0.1", "port 26379", f"dir {self.folder}", f"sentinel monitor state {primary} 6379 2",
            "sentinel auth-user state sentinel", "sentinel auth-pass state sentinel",
            "sentinel down-after-milliseconds state 5000", "sentinel failover-timeout state 30000",
        ]
        with open(file, "w", encoding="utf-8") as text:
            text.write("\n".join(lines) + "\n")
        self.start("sentinel", "redis-sentinel", file)

    def ask(self, *words):
        return self.sh("redis-cli", "-h", "127.0.0.1", "--user", "operator", "--pass", "operator", "--no-auth-warning", *words)

    def is_primary(self):
        return "role:master" in self.ask("info", "replication")


class Postgres(Host):
    """A PostgreSQL server, as primary or standby."""

    def __init__(self, name, address, folder):
        super().__init__(name, address, folder)
        self.data, self.tools = f"{folder}/data", sorted(os.listdir("/usr/lib/postgresql"))[-1]
        shutil.chown(folder, "postgres", "postgres")

    def pg(self, program, *words, **more):
        return self.sh(f"/usr/lib/postgresql/{self.tools}/bin/{program}", *words, user="postgres", cwd="/", **more)

    def make(self):
        self.pg("initdb", "-D", self.data, "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8")
        with open(f"{self.data}/pg_hba.conf", "a", encoding="utf-8") as file:
            file.write("host all all 10.88.0.0/24 scram-sha-256\nhost replication replication 10.88.0.0/24 trust\n")
        with open(f"{self.data}/postgresql.conf", "a", encoding="utf-8") as file:
            file.write(f"listen_addresses = '*'\nunix_socket_directories = '{self.folder}'\nsynchronous_standby_names = 'ANY 1 (db1, db2)'\n")

    def follow(self, primary):
        """Becomes a standby, from nothing."""
        shutil.rmtree(self.data, ignore_errors=True)
        source = f"host={primary.address} user=replication application_name={self.name}"
        self.pg("pg_basebackup", "-D", self.data, "-d", source, "-R", "-c", "fast")
        sh("sed", "-i", f"s,^unix_socket_directories.*,unix_socket_directories = '{self.folder}',", f"{self.data}/postgresql.conf")
        sh("rm", "-f", f"{self.data}/postgresql.auto.conf.old")

    def begin(self):
        self.start("postgres", f"/usr/lib/postgresql/{self.tools}/bin/postgres", "-D", self.data, user="postgres", cwd="/")
        until(f"{self.name} answers", lambda: self.sql("SELECT 1") == "1")

    def sql(self, statement, database="postgres"):
        words = ["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-U", "postgres", "-d", database, "-c", statement]
        return self.pg("psql", *words, timeout=30).strip()

    def take_address(self):
        """From now on the directory is here, and the neighbours are told."""
        self.sh("ip", "addr", "add", f"{DIRECTORY}/24", "dev", "eth0")
        self.sh("arping", "-q", "-c", "2", "-w", "1", "-U", "-I", "eth0", DIRECTORY, check=False)

    def give_address(self):
        self.sh("ip", "addr", "del", f"{DIRECTORY}/24", "dev", "eth0")

    def promote(self):
        self.pg("pg_ctl", "promote", "-w", "-D", self.data)
        self.require_standby(False)

    def require_standby(self, is_required):
        names = "ANY 1 (db1, db2)" if is_required else ""
        self.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
        self.sql("SELECT pg_reload_conf()")


class Scene:
    """Everything."""

    def __init__(self, folder, program):
        self.folder, self.program = folder, program
        sh("ip", "link", "add", "switch", "type", "bridge")
        sh("ip", "link", "set", "switch", "up")
        self.make_secrets()
        self.redis = [Redis(f"redis{n}", f"10.88.0.3{n}", f"{folder}/redis{n}") for n in (1, 2, 3)]
        self.databases = [Postgres(f"db{n}", f"10.88.0.2{n}", f"{folder}/db{n}") for n in (1, 2)]
        self.mail, self.application = Host("mail", "10.88.0.41", f"{folder}/mail"), Host("application", "10.88.0.42", f"{folder}/application")
        self.clients = Host("clients", "10.88.0.51", f"{folder}/clients")
        self.gates = [Gate(f"gate{n}", f"10.88.0.1{n}", self, has_own_clock=n == 3) for n in (1, 2, 3)]

    def make_secrets(self):
        os.makedirs(f"{self.folder}/secrets")
        pki = f"{self.folder}/pki"
        sh(self.program, "ca", "--dir", pki, "init")
        sh(self.program, "ca", "--dir", pki, "server", "www.mihonbank.example", "cert.mihonbank.example", "--name", "server")
        sh(self.program, "ca", "--dir", f"{pki}/issuer", "init", "--name", "Mihon Bank CA-G2")
        os.umask(0o077)
        for name, words in (("pepper", ["pepper"]), ("audit.key", ["audit", "key"])):
            with open(f"{self.folder}/secrets/{name}", "w", encoding="utf-8") as file:
                file.write(sh(self.program, *words))
        with open(f"{self.folder}/secrets/tickets", "wb") as file:
            file.write(secrets.token_bytes(32))
        for name in ("directory", "state"):
            with open(f"{self.folder}/secrets/{name}", "w", encoding="utf-8") as file:
                file.write(secrets.token_hex(16))
        os.umask(0o022)

    def secret(self, name):
        with open(f"{self.folder}/secrets/{name}", encoding="utf-8") as file:
            return file.read()

    def begin(self):
        """Starts the stores and all else but the gateways."""
        password = hashlib.sha256(self.secret("state").encode()).hexdigest()
        rights = "+evalsha +eval +get +set +hset +hmget +hdel +del +pexpire +hgetall +time +wait +role"
        with open(f"{self.folder}/users.acl", "w", encoding="utf-8") as file:
            file.write(f"""user default off
user sekisho on #{password} ~sekisho:* resetchannels {rights}
user replication on >replication +psync +replconf +ping
user sentinel on >sentinel allchannels +multi +slaveof +ping +exec +subscribe +config|rewrite +role +publish +info +client|setname +client|kill +script|kill
user operator on >operator ~* &* +@all
""")
        for redis in self.redis:
            redis.begin(self.redis[0].address)
        until("two replicas", lambda: "connected_slaves:2" in self.redis[0].ask("info", "replication"))
        for redis in self.redis:
            redis.watch(self.redis[0].address)
        until("the sentinels know each other", lambda: all(
            "num-other-sentinels\n2" in redis.ask("-p", "26379", "sentinel", "master", "state") for redis in self.redis))

        one, other = self.databases
        one.make()
        one.begin()
        one.require_standby(False)
        one.sql(f"CREATE ROLE sekisho LOGIN PASSWORD '{self.secret('directory')}'")
        one.sql("CREATE ROLE replication LOGIN REPLICATION")
        one.sql("CREATE DATABASE sekisho OWNER sekisho")
        other.follow(one)
        other.begin()
        self.wait_for_standby(one)
        one.take_address()

        self.application.start("application", self.program, "demo", "--application-only", "--backend-listen", "0.0.0.0:8080")
        self.start_mail()

    def start_mail(self):
        here = os.path.dirname(os.path.abspath(__file__))
        self.mail.start("mail", "/usr/bin/python3", f"{here}/mail.py", self.mail.address, f"{self.mail.folder}/mails")

    def primary(self):
        """The database that has the directory's address."""
        return next(db for db in self.databases if f"{DIRECTORY}/" in sh("ip", "-n", db.name, "addr", "show", "eth0"))

    def redis_primary(self):
        """The Redis that the sentinels name."""
        for redis in self.redis:
            try:
                named = redis.ask("-p", "26379", "sentinel", "get-master-addr-by-name", "state").split()[0]
                return next(redis for redis in self.redis if redis.address == named)
            except (RuntimeError, IndexError):
                pass
        raise RuntimeError("no sentinel answers")

    def wait_for_standby(self, primary):
        """Until the standby has everything; from then on nothing is done that it doesn't have."""
        # A sender whose standby was cut off calls itself streaming for a minute.
        heard = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND reply_time > now() - interval '2 s'"
        until("a standby", lambda: primary.sql(heard) == "1")
        primary.require_standby(True)
        until("a synchronous standby", lambda: primary.sql("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'quorum'") == "1")

    def fail_over(self, old, new, fence):
        """What the handbook says: the old primary can't be reached any more, the standby is promoted, and has the address."""
        fence(old)
        new.promote()
        new.take_address()

    def rebuild(self, old, new):
        """The old primary becomes a standby."""
        if "postgres" in old.running:
            old.kill("postgres")
        old.follow(new)
        old.begin()
        self.wait_for_standby(new)


def configuration(shared, own):
    """The gateways' sekisho.yaml: those of deploy/compose, but for TLS towards the stores."""
    return f"""listeners: [{{ bind: '0.0.0.0:443' }}]
hosts:
  www.mihonbank.example: {{ tls: {{ certificate: {shared}/pki/servers/server.pem, key: {shared}/pki/servers/server.key }}, client_certificate: none }}
  cert.mihonbank.example: {{ tls: {{ certificate: {shared}/pki/servers/server.pem, key: {shared}/pki/servers/server.key }}, client_certificate: required }}
resumption: {{ keys: state, secret_file: {shared}/secrets/tickets }}
trust:
  authorities: [{shared}/pki/ca.pem, {shared}/pki/issuer/ca.pem]
  registration: required
  crl: {{ sources: [{shared}/pki/ca.crl, {own}/issuer.crl] }}
issuer:
  certificate: {shared}/pki/issuer/ca.pem
  key: {shared}/pki/issuer/ca.key
  rate: {{ certificates: 600, per: 1m }}
  crl: {{ url: 'https://www.mihonbank.example/sekisho/crl', file: {own}/issuer.crl }}
sign_in:
  host: www.mihonbank.example
  certificate_host: cert.mihonbank.example
  pin: {{ pepper_file: {shared}/secrets/pepper }}
  # All clients of the drill have one address.
  lockout: {{ attempts: 6, per_source: {{ attempts: 1200, per: 1m }} }}
directory: {{ url: 'postgres://sekisho@{DIRECTORY}:5432/sekisho', password_file: {shared}/secrets/directory }}
state:
  url: redis+sentinel://sekisho@10.88.0.31:26379,10.88.0.32:26379,10.88.0.33:26379/state
  password_file: {shared}/secrets/state
  replicas: 1
audit: {{ file: {own}/audit.log, key_file: {shared}/secrets/audit.key }}
mail: {{ smtp: 'smtp://10.88.0.41:1025', insecure: true, from: Mihon Bank <no-reply@mihonbank.example> }}
routes:
  - {{ path: /banking, require: signed_in, rate: [each], upstream: banking }}
upstreams: {{ banking: {{ endpoints: ['10.88.0.42:8080'], health: {{ path: /banking/headers, every: 5s }} }} }}
rate_limits: {{ named: {{ each: {{ by: user, requests: 100, per: 1s, burst: 300, shared: true }} }} }}
access_log: {own}/access.log
ops: {{ bind: '127.0.0.1:9090' }}
"""
