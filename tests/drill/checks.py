"""What must never be lost, looked for when all is mended: every promise that somebody was given, held against what is there."""

import collections
import json
import time

import people
from scene import until

# So many tries there are in a row (lockout.attempts).
ATTEMPTS = 6


def operations(log):
    with open(log, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.endswith("\n")]


def losses(scene, done):
    """What was lost, and what was counted."""
    problems, facts = [], []
    until("every gateway is well", lambda: all(gate.ops("/readyz") == "ready\n" for gate in scene.gates), 120)
    probe = people.Probe(scene)
    for check in (suspensions, guesses, credentials, notices, audit):
        found, fact = check(scene, done, probe)
        problems += found
        facts.append(fact)
    return problems, facts


def rows(scene, statement):
    text = scene.primary().sql(statement, "sekisho")
    return [line.split("|") for line in text.splitlines()]


def acts(done, what):
    """Whom bank staff were told that it was done to, and whom it may have been done to all the same."""
    commands = [one for one in done if one["kind"] == "staff" and one["what"] == what]
    sure = {one["user"] for one in commands if one["outcome"] == "ok"}
    return sure, {one["user"] for one in commands} - sure


def suspensions(scene, done, probe):
    suspended, _ = acts(done, "suspend")
    lifted, perhaps = acts(done, "lift")
    there = {user for (user,) in rows(scene, "SELECT user_id FROM suspensions WHERE cause = 'staff'")}
    problems = [f"{user} isn't suspended any more" for user in suspended - lifted - perhaps - there]
    problems += [f"{user} is suspended again" for user in lifted & there]
    for user in sorted(suspended - lifted - perhaps)[::5]:
        answers = [probe.ask(gate=gate, user=user) for gate in range(3)]
        problems += [f"{user}, suspended, signs in at gate{gate + 1}: {answer}" for gate, answer in enumerate(answers) if answer not in (200, 403)]
    return problems, f"suspensions: {len(suspended)} made, {len(lifted)} lifted"


def guesses(scene, done, probe):
    problems, tries = [], collections.defaultdict(list)
    for one in done:
        if one["kind"] == "guess":
            tries[one["user"]].append(one)
    most = 0
    for user, all_of_them in tries.items():
        looked_at = sum(one["seen"] == [200] and not one["right"] for one in all_of_them)
        locked = any(one["seen"] == [403] for one in all_of_them)
        most = max(most, looked_at + locked)
        if looked_at + locked > ATTEMPTS:
            problems.append(f"{looked_at + locked} PINs of {user} were looked at")
        before = 0
        for one in all_of_them:
            if one["seen"] == [303] and before >= ATTEMPTS:
                problems.append(f"{user} signed in behind the last try")
            before += one["seen"] in ([200], [403])
        if locked:
            answers = [probe.ask(gate=gate, user=user) for gate in range(3)]
            problems += [f"{user}, locked out, signs in at gate{gate + 1}" for gate, answer in enumerate(answers) if answer == 303]
    made = rows(scene, "SELECT COALESCE(max(made), 0) FROM attempts")[0][0]
    if int(made) > ATTEMPTS:
        problems.append(f"{made} attempts are counted for somebody")
    lost = sum(one["outcome"] != "ok" for each in tries.values() for one in each)
    return problems, f"guesses: at {len(tries)} users, at most {most} PINs of one were looked at; {lost} tries had no answer, or 503"


def credentials(scene, done, probe):
    there = {
        fingerprint: (user, bool(acquired), bool(revoked or retired))
        for fingerprint, user, acquired, revoked, retired in rows(
            scene, "SELECT fingerprint, user_id, acquired_at, revoked_at, retired_at FROM credentials")
    }
    revoked, perhaps = acts(done, "revoke")
    received = {one["fingerprint"] for one in done if one["kind"] == "received"}
    acquired = {one["fingerprint"]: one["user"] for one in done if one["kind"] == "acquired"}
    problems = [f"credential {fingerprint[:12]} is unknown" for fingerprint in received - there.keys()]
    lives = collections.Counter(user for user, is_acquired, is_over in there.values() if is_acquired and not is_over)
    problems += [f"{user} has {count} live credentials" for user, count in lives.items() if count > 1]
    for fingerprint, user in acquired.items():
        _, is_acquired, is_over = there.get(fingerprint, (user, False, True))
        if user in perhaps:
            continue
        if not is_acquired or is_over != (user in revoked):
            problems.append(f"the credential of {user}: acquired {is_acquired}, over {is_over}, revoked {user in revoked}")
        wanted = 403 if user in revoked else 200
        answers = [probe.ask(gate=gate, certificate=user) for gate in range(3)]
        problems += [f"gate{gate + 1} answers {answer} to {user}, not {wanted}" for gate, answer in enumerate(answers) if answer != wanted]
    return problems, f"credentials: {len(acquired)} acquired, {len(received)} issued, {len(revoked)} revoked; each asked for at every gateway"


def notices(scene, done, _):
    waiting = "SELECT count(*) FROM notices WHERE state IN ('waiting', 'sending')"
    problems = []
    try:
        # A try that failed is made again a minute later, then after two; and what a fast clock wrote is due by that clock.
        due = int(rows(scene, "SELECT COALESCE(max(due_at), 0) FROM notices WHERE state = 'waiting'")[0][0]) - time.time()
        until("all mails are sent", lambda: rows(scene, waiting) == [["0"]], max(due, 0) + 300)
    except RuntimeError:
        problems.append(f"{rows(scene, waiting)[0][0]} mails are still waiting")
    with open(f"{scene.mail.folder}/mails", encoding="utf-8") as file:
        mails = collections.Counter(line.split("-")[1] for line in file)
    problems += [f"notice {number} arrived {count} times" for number, count in mails.items() if count > 1]
    states = dict(rows(scene, "SELECT number, state FROM notices"))
    problems += [f"notice {number} is said to be sent, and didn't arrive" for number, state in states.items() if state == "sent" and number not in mails]
    counts = collections.Counter(states.values())
    told = {user for (user,) in rows(scene, "SELECT DISTINCT user_id FROM notices WHERE kind = 'suspension'")}
    problems += [f"nobody was told of the suspension of {user}" for user in acts(done, "suspend")[0] - told]
    arrived = sum(state == "uncertain" and number in mails for number, state in states.items())
    return problems, f"mails: {sum(mails.values())} arrived; notices: {dict(counts)}, of the uncertain ones {arrived} had arrived"


def audit(scene, done, _):
    problems, records, doubts = [], collections.Counter(), 0
    for gate in scene.gates:
        # The last records are signed when it ends, or every five minutes.
        said = gate.sh(scene.program, "audit", "verify", "--strict", "--config", gate.config, check=False, env=gate.environment)
        if not said.rstrip().split("\n")[-2:] or "good." not in said:
            problems.append(f"the audit log of {gate.name}: {said.strip()}")
        with open(f"{gate.folder}/audit.log", encoding="utf-8") as file:
            for line in file:
                record = json.loads(line)
                records[record["kind"], record.get("user")] += 1
    wanted = collections.Counter()
    kinds = {"suspend": "suspended", "lift": "lifted", "permit": "permitted", "revoke": "revoked"}
    for one in done:
        if one["kind"] == "staff" and one["outcome"] == "ok":
            wanted[kinds[one["what"]], one["user"]] += 1
        elif one["kind"] == "sign_in" and one["outcome"] == "ok":
            wanted["sign_in", one["user"]] += 1
        elif one["kind"] in ("received", "acquired"):
            wanted[{"received": "credential_issued", "acquired": "credential_acquired"}[one["kind"]], one["user"]] += 1
    problems += [
        f"{kind} of {user}: {count} were done, and {records[kind, user]} are in the audit logs"
        for (kind, user), count in wanted.items() if records[kind, user] < count
    ]
    return problems, f"audit: {sum(records.values())} records, {sum(wanted.values())} held against what people were told"
