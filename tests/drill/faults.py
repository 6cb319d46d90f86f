"""The faults. Each gets the scene and `mark`, which it calls with "fault" just before it does harm, and with "mended" just after
an operator, or whoever starts processes anew, has put things right. What it returns is worth a note."""

import time

import people
from scene import DIRECTORY, until

# How long a fault lasts that somebody has to mend.
LASTS = 20
# How long an operator takes to decide that a database is gone.
DECIDES = 5


def gate_killed(scene, mark):
    """kill -9 of a gateway, which is started again ten seconds later"""
    gate = scene.gates[0]
    # Whoever starts looks at once whom to remind.
    people.ends(scene, range(people.ENDING, 2 * people.ENDING))
    mark("fault")
    gate.kill("sekisho")
    time.sleep(10)
    took = gate.begin()
    mark("mended")
    return f"ready {took} s after its start"


def gate_cut(scene, mark):
    """a gateway loses its network altogether"""
    gate = scene.gates[1]
    mark("fault")
    gate.cut()
    time.sleep(LASTS)
    gate.heal()
    mark("mended")


def gate_cut_from_redis(scene, mark):
    """one gateway doesn't reach Redis and its sentinels any more"""
    return lost_by(scene.gates[1:2], [redis.address for redis in scene.redis], mark)


def gate_cut_from_postgres(scene, mark):
    """one gateway doesn't reach PostgreSQL any more"""
    return lost_by(scene.gates[1:2], [DIRECTORY, *(db.address for db in scene.databases)], mark)


def gates_cut_from_each_other(scene, mark):
    """the gateways don't reach each other any more"""
    mark("fault")
    for gate in scene.gates:
        gate.cut_from(*(other.address for other in scene.gates if other is not gate))
    time.sleep(LASTS)
    for gate in scene.gates:
        gate.heal_from()
    mark("mended")


def lost_by(gates, addresses, mark):
    mark("fault")
    for gate in gates:
        gate.cut_from(*addresses)
    time.sleep(LASTS)
    for gate in gates:
        gate.heal_from()
    mark("mended")


def redis_killed(scene, mark):
    """kill -9 of Redis' primary, which is started again when the sentinels have another one"""
    old = scene.redis_primary()
    mark("fault")
    old.kill("redis")
    took = until("another primary", lambda: new_primary(scene, old))
    old.begin(scene.redis_primary().address)
    until("two replicas", lambda: "connected_slaves:2" in scene.redis_primary().ask("info", "replication"))
    mark("mended")
    return f"the sentinels had another primary after {took} s"


def redis_cut(scene, mark):
    """the machine of Redis' primary and one sentinel loses its network, and is back when there is another primary"""
    old = scene.redis_primary()
    mark("fault")
    old.cut()
    took = until("another primary", lambda: new_primary(scene, old))
    time.sleep(10)
    old.heal()
    until("two replicas", lambda: "connected_slaves:2" in scene.redis_primary().ask("info", "replication"))
    mark("mended")
    return f"the sentinels had another primary after {took} s"


def new_primary(scene, old):
    others = [redis for redis in scene.redis if redis is not old]
    named = others[0].ask("-p", "26379", "sentinel", "get-master-addr-by-name", "state").split()[0]
    return named != old.address and next(redis for redis in others if redis.address == named).is_primary()


def redis_gone(scene, mark):
    """no gateway reaches Redis any more"""
    return lost_by(scene.gates, [redis.address for redis in scene.redis], mark)


def postgres_killed(scene, mark):
    """kill -9 of PostgreSQL's primary; the standby is promoted five seconds later"""
    old = scene.primary()
    new = next(db for db in scene.databases if db is not old)
    mark("fault")
    old.kill("postgres")
    time.sleep(DECIDES)
    begun = time.monotonic()
    scene.fail_over(old, new, fence=lambda old: old.give_address())
    took = time.monotonic() - begun
    mark("mended")
    scene.rebuild(old, new)
    return f"promoted, with the address, in {took:.1f} s"


def postgres_cut(scene, mark):
    """the machine of PostgreSQL's primary loses its network; the standby is promoted five seconds later. The old primary comes
    back, and has to be kept out"""
    old = scene.primary()
    new = next(db for db in scene.databases if db is not old)
    mark("fault")
    old.cut()
    time.sleep(DECIDES)
    # Nobody can tell it anything. It can do no harm: what it has no standby for is answered to nobody.
    begun = time.monotonic()
    scene.fail_over(old, new, fence=lambda _: None)
    took = time.monotonic() - begun
    mark("mended")
    time.sleep(10)
    # Before it is connected again.
    old.give_address()
    old.heal()
    scene.rebuild(old, new)
    return f"promoted, with the address, in {took:.1f} s"


def postgres_gone(scene, mark):
    """no gateway reaches PostgreSQL any more, and nobody promotes anything"""
    return lost_by(scene.gates, [DIRECTORY, *(db.address for db in scene.databases)], mark)


def standby_cut(scene, mark):
    """PostgreSQL's standby loses its network; the primary goes on without it when an operator has said so"""
    primary = scene.primary()
    standby = next(db for db in scene.databases if db is not primary)
    mark("fault")
    standby.cut()
    time.sleep(LASTS)
    primary.require_standby(False)
    mark("mended")
    time.sleep(5)
    standby.heal()
    scene.wait_for_standby(primary)


def mail_killed(scene, mark):
    """kill -9 of the mail server"""
    mark("fault")
    scene.mail.kill("mail")
    time.sleep(LASTS)
    scene.start_mail()
    mark("mended")


def disk_full(scene, mark):
    """the disk of a gateway's logs and lists is full"""
    gate = scene.gates[2]
    mark("fault")
    gate.fill()
    time.sleep(LASTS)
    said = gate.ops("/readyz").strip()
    gate.clear()
    mark("mended")
    return f"/readyz said: {said}"


def clock_ahead(scene, mark):
    """the clock of one gateway's machine is ten minutes ahead"""
    return clock(scene, mark, 600)


def clock_behind(scene, mark):
    """the clock of one gateway's machine is ten minutes behind"""
    return clock(scene, mark, -600)


def clock(scene, mark, seconds):
    gate = scene.gates[2]
    mark("fault")
    gate.set_clock(seconds)
    time.sleep(2 * LASTS)
    gate.set_clock(0)
    mark("mended")


ALL = {
    function.__name__.replace("_", "-"): function
    for function in (
        gate_killed, gate_cut, gate_cut_from_redis, gate_cut_from_postgres, gates_cut_from_each_other, redis_killed, redis_cut,
        redis_gone, postgres_killed, postgres_cut, postgres_gone, standby_cut, mail_killed, disk_full, clock_ahead, clock_behind,
    )
}
