#!/usr/bin/env python3
"""Bellwire beside adnanh/webhook (Debian's package `webhook`): one hook, one command, the same generator.

    cargo build --release
    python3 tests/peers/webhook.py                    # minutes; --seconds and --rounds make it shorter

A GitHub push, signed, runs a command that writes a line. Both programs verify the signature, look at `ref`, and run the
command once for each push. Measured are requests answered each second, the answer's latency at a fixed rate, memory, and
what is left of acknowledged pushes after `kill -9`. Needs Linux and the package `webhook`; writes below a temporary folder.
"""

import argparse
import hashlib
import hmac
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

SECRET = "a-secret-for-measuring-only"
HOST = "127.0.0.1"


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def wait_until(what, condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"{what}: not within {seconds} s")
        time.sleep(0.01)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


class Server:
    """A program with the hook `deploy`; `lines` are the commands that ran, by delivery id."""

    def __init__(self, folder, command):
        self.folder = folder
        folder.mkdir()
        self.done = folder / "done"
        self.done.touch()
        self.script = folder / "deploy.sh"
        self.script.write_text(f'#!/bin/sh\n{command}\nprintf "%s\\n" "$1" >> {self.done}\n')
        self.script.chmod(0o755)
        self.port = free_port()
        self.process = None
        self.configure()

    def start(self):
        log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(self.argv(), env={**os.environ, **self.env()}, stdout=log, stderr=log)
        wait_until(f"{self.name} listens", lambda: listens(self.port))

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    def lines(self):
        return self.done.read_text().split()

    def settle(self, seconds=120):
        """Waits until no further command has run for two seconds."""
        deadline, before = time.monotonic() + seconds, -1
        while time.monotonic() < deadline:
            now = len(self.lines())
            if now == before:
                return
            before = now
            time.sleep(2)


class Webhook(Server):
    name = "webhook"

    def configure(self):
        signed = {"type": "payload-hmac-sha256", "secret": SECRET,
                  "parameter": {"source": "header", "name": "X-Hub-Signature-256"}}
        main = {"type": "value", "value": "refs/heads/main", "parameter": {"source": "payload", "name": "ref"}}
        hook = {
            "id": "deploy",
            "execute-command": str(self.script),
            "pass-arguments-to-command": [{"source": "header", "name": "X-GitHub-Delivery"}],
            "trigger-rule": {"and": [{"match": signed}, {"match": main}]},
        }
        (self.folder / "hooks.json").write_text(json.dumps([hook]))

    def argv(self):
        return ["webhook", "-hooks", str(self.folder / "hooks.json"), "-ip", HOST, "-port", str(self.port)]

    def env(self):
        return {}

    def path(self):
        return "/hooks/deploy"


class Bellwire(Server):
    name = "bellwire"

    def configure(self):
        (self.folder / "hooks.yaml").write_text(
            "hooks:\n"
            "  deploy:\n"
            '    verify: {provider: github, secret: "${HOOK_SECRET}"}\n'
            '    when: ref == "refs/heads/main"\n'
            "    do:\n"
            f"      - run: {{argv: [{self.script}, \"{{{{ headers['x-github-delivery'] }}}}\"]}}\n"
        )

    def argv(self):
        return [str(OPTIONS.bellwire), "serve", "--listen", f"{HOST}:{self.port}", "--data", str(self.folder / "data"),
                "--hooks", str(self.folder / "hooks.yaml")]

    def env(self):
        return {"HOOK_SECRET": SECRET, "BELLWIRE_ADMIN_TOKEN": "a-token-of-more-than-32-characters-for-tests"}

    def path(self):
        return "/in/deploy"


def bench(server, scenario):
    """One run of `bellwire bench` against the server: its figures."""
    out = server.folder / f"{scenario}.json"
    subprocess.run(
        [str(OPTIONS.bellwire), "bench", "--scenario", scenario, "--hook-url", f"http://{HOST}:{server.port}{server.path()}",
         "--hook-secret", SECRET, "--pid", str(server.process.pid), "--seconds", str(OPTIONS.seconds), "--rounds", "1",
         "--warmup-seconds", "1", "--json", str(out)],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return json.loads(out.read_text())["scenarios"][0]["median"]


def push(server, number):
    body = json.dumps({"ref": "refs/heads/main", "number": number}).encode()
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    connection = http.client.HTTPConnection(HOST, server.port, timeout=10)
    connection.request("POST", server.path(), body, {
        "Content-Type": "application/json", "X-GitHub-Event": "push", "X-GitHub-Delivery": f"push-{number}",
        "X-Hub-Signature-256": f"sha256={signature}"})
    answer = connection.getresponse()
    answer.read()
    return 200 <= answer.status < 300


def survives(kind, folder):
    """Pushes, kills the program in the middle, starts it again: how many acknowledged pushes never ran, and ran twice."""
    server = kind(folder, "sleep 0.2")
    server.start()
    acknowledged, lock = [], threading.Lock()

    def send(numbers):
        for number in numbers:
            try:
                done = push(server, number)
            except OSError:
                return
            if done:
                with lock:
                    acknowledged.append(f"push-{number}")

    senders = [threading.Thread(target=send, args=(range(part, 2000, 8),)) for part in range(8)]
    for sender in senders:
        sender.start()
    wait_until("200 pushes acknowledged", lambda: len(acknowledged) >= 200)
    server.kill()
    for sender in senders:
        sender.join()
    server.start()
    server.settle()
    lines = server.lines()
    server.stop()
    missing = [one for one in acknowledged if one not in set(lines)]
    return {"acknowledged": len(acknowledged), "never_ran": len(missing), "ran_twice": len(lines) - len(set(lines))}


def measure(kind, folder):
    rounds = {"hook": [], f"hook-{OPTIONS.rate}": []}
    for number in range(OPTIONS.rounds):
        for scenario, figures in rounds.items():
            server = kind(folder / f"{kind.name}-{scenario}-{number}", ":")
            server.start()
            figures.append(bench(server, scenario))
            server.kill()
    median = lambda values: sorted(values)[len(values) // 2]
    full, steady = rounds["hook"], rounds[f"hook-{OPTIONS.rate}"]
    return {
        "answered_per_s": median([one["publishes_per_s"] for one in full]),
        "answer_p99_ms_at_full_speed": median([one["ack_ms"]["p99"] for one in full]),
        "peak_mib_at_full_speed": median([one["rss_peak_mib"] for one in full]),
        "answer_p50_ms": median([one["ack_ms"]["p50"] for one in steady]),
        "answer_p99_ms": median([one["ack_ms"]["p99"] for one in steady]),
        "idle_mib": median([one["rss_idle_mib"] for one in steady]),
        "peak_mib": median([one["rss_peak_mib"] for one in steady]),
        **survives(kind, folder / f"{kind.name}-killed"),
    }


def main():
    if shutil.which("webhook") is None:
        sys.exit("the program `webhook` is missing; Debian has it: apt-get install webhook")
    with tempfile.TemporaryDirectory() as folder:
        results = {kind.name: measure(kind, Path(folder)) for kind in (Webhook, Bellwire)}
    width = max(len(name) for name in results["webhook"])
    print(f"{'':{width}}  {'webhook':>12}  {'bellwire':>12}")
    for name in results["webhook"]:
        row = [results[kind.name][name] for kind in (Webhook, Bellwire)]
        print(f"{name:{width}}  " + "  ".join(f"{value:12.2f}" if isinstance(value, float) else f"{value:12}" for value in row))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bellwire", type=Path, default=Path("target/release/bellwire"))
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=int, default=100, help="pushes each second of the steady measurement")
    OPTIONS = parser.parse_args()
    main()
