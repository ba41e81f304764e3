"""Fixtures: a Bellwire that serves an example, and the parts it acts upon.

`EXAMPLES_SERVER` names the program, `EXAMPLES_FOLDER` the folder of the examples.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

DEADLINE_S = 40.0
TOKEN = "a-token-of-more-than-32-characters-for-tests"


def wait_until(condition: Callable[[], Any], what: str, seconds: float = DEADLINE_S) -> Any:
    """Asks again and again until the answer is true, and returns it."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.02)
    return answer


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Received:
    """One request as it came; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """An HTTP server that keeps what it gets and answers by a script, then 200."""

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.answers: deque[int] = deque()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def take(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.requests.append(Received(self.command, self.path, headers, body))
                self.send_response(receiver.answers.popleft() if receiver.answers else 200)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            do_GET = do_POST = do_PUT = take

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def wait(self, count: int) -> list[Received]:
        wait_until(lambda: len(self.requests) >= count, f"{count} requests")
        return self.requests

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receivers() -> Iterator[Callable[[], Receiver]]:
    opened: list[Receiver] = []

    def open_one() -> Receiver:
        opened.append(Receiver())
        return opened[-1]

    yield open_one
    for receiver in opened:
        receiver.close()


@pytest.fixture
def receiver(receivers: Callable[[], Receiver]) -> Receiver:
    return receivers()


SERVE = ("serve", "--dev", "--hooks", "hooks.yaml")


class Readme:
    """What an example's README says to type."""

    def __init__(self, example: str) -> None:
        text = (Path(os.environ["EXAMPLES_FOLDER"]) / example / "README.md").read_text()
        self.lines = [line.strip() for line in text.splitlines() if line.startswith("    ")]

    def exported(self) -> set[str]:
        """The variables that are to be set."""
        exports = [line for line in self.lines if line.startswith("export ")]
        return {name for line in exports for name in re.findall(r"(\w+)=", line)}

    def commands(self, *begin: str) -> list[list[str]]:
        """The words behind `bellwire` of the lines that begin so."""
        lines = [shlex.split(line)[1:] for line in self.lines if line.startswith("bellwire ")]
        return [words for words in lines if words[: len(begin)] == list(begin)]


class Bellwire:
    """A server that serves a hooks file, in the file's folder. `words` are those that start it."""

    def __init__(self, folder: Path, data: Path, env: dict[str, str], log: Path, words: tuple[str, ...] = SERVE) -> None:
        self.words = words
        self.url = f"http://127.0.0.1:{free_port()}"
        self.folder, self.data, self.log = folder, data, log
        self.env = {**os.environ, "BELLWIRE_ADMIN_TOKEN": TOKEN, **env}
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [os.environ["EXAMPLES_SERVER"], *self.words, "--listen", self.url.removeprefix("http://"), "--data", str(self.data)],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=self.log.open("ab"),
            stderr=subprocess.STDOUT,
        )
        wait_until(self.is_ready, f"the server is ready; its log is\n{self.log.read_text()}")

    def kill(self) -> None:
        """As a machine that loses its power does."""
        self.process.kill()
        self.process.wait()

    def command(self, *words: str) -> subprocess.Popen[bytes]:
        """The command line, talking to this server; what it writes is read from its pipes."""
        return subprocess.Popen(
            [os.environ["EXAMPLES_SERVER"], *words],
            cwd=self.folder,
            env={**self.env, "BELLWIRE_URL": self.url, "BELLWIRE_TOKEN": TOKEN},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *words: str) -> str:
        """A command that must succeed; answers what it writes."""
        command = self.command(*words)
        written, said = command.communicate(timeout=DEADLINE_S)
        assert command.returncode == 0, (words, said)
        return written.decode()

    def is_ready(self) -> bool:
        assert self.process.poll() is None, f"the server ended:\n{self.log.read_text()}"
        try:
            return self.request("GET", "/api/v1/health/ready")[0] < 300
        except OSError:
            return False

    def request(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        request = urllib.request.Request(self.url + path, data=body, headers=headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read()

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """A call of the API, which must be a success."""
        headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
        status, answer = self.request(method, path, None if body is None else json.dumps(body).encode(), headers)
        assert status < 300, (method, path, status, answer)
        return json.loads(answer) if answer else None

    def post(self, source: str, body: bytes, headers: dict[str, str]) -> int:
        """Comes in at a source; answers the status."""
        headers = {"content-type": "application/json", **headers}
        return self.request("POST", f"/in/{source}", body, headers)[0]

    def app_of(self, source: str) -> str:
        return str(self.api("GET", f"/ingest/api/v1/source/{source}")["appId"])

    def attempts(self, source: str) -> list[dict[str, Any]]:
        """All attempts of the actions of a source."""
        app = self.app_of(source)
        endpoints = self.api("GET", f"/api/v1/app/{app}/endpoint")["data"]
        pages = [self.api("GET", f"/api/v1/app/{app}/attempt/endpoint/{endpoint['id']}")["data"] for endpoint in endpoints]
        return [attempt for page in pages for attempt in page]

    def stop(self) -> None:
        self.process.terminate()
        try:
            assert self.process.wait(DEADLINE_S) == 0, self.log.read_text()
        finally:
            self.process.kill()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Bellwire]]:
    """Serves an example from a copy of its folder, as its README says; `env` is what the README exports, and more."""
    running: list[Bellwire] = []

    def start(example: str, **env: str) -> Bellwire:
        folder = tmp_path / example
        shutil.copytree(Path(os.environ["EXAMPLES_FOLDER"]) / example, folder)
        readme = Readme(example)
        assert readme.exported() <= set(env), f"the README of {example} exports {readme.exported()}"
        (words,) = readme.commands("serve")
        running.append(Bellwire(folder, tmp_path / "data", env, tmp_path / "log", tuple(words)))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture
def serve_folder(tmp_path: Path) -> Iterator[Callable[..., Bellwire]]:
    """Serves the `hooks.yaml` of a folder."""
    running: list[Bellwire] = []

    def start(folder: Path, **env: str) -> Bellwire:
        running.append(Bellwire(folder, tmp_path / "data", env, tmp_path / "log"))
        return running[-1]

    yield start
    for server in running:
        server.stop()
