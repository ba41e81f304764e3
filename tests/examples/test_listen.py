"""`bellwire listen`: a machine that no provider can reach receives what comes in at a running server."""

from __future__ import annotations

import hashlib
import hmac
import subprocess
import threading
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from conftest import Bellwire, Receiver, wait_until

SECRET = "hush"
HOOKS = """
hooks:
  github:
    verify: {provider: github, secret: hush}
    do: []
"""


def signature(body: bytes) -> str:
    return "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()


def come_in(server: Bellwire, number: int) -> bytes:
    # Spaces and a number that no parser writes again as it was.
    body = b'{ "n": %d,  "amount": 1.10 }' % number
    headers = {"x-hub-signature-256": signature(body), "x-github-event": "push", "x-github-delivery": f"d-{number}"}
    assert server.post("github", body, headers) < 300
    return body


class Listener:
    """The command while it runs, and the lines it has written."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.lines: list[str] = []
        for pipe in (process.stdout, process.stderr):
            threading.Thread(target=self.read, args=(pipe,), daemon=True).start()

    def read(self, pipe: Any) -> None:
        for line in pipe:
            self.lines.append(line.decode())

    def wait(self, text: str) -> None:
        wait_until(lambda: any(text in line for line in self.lines), f"`{text}` in {self.lines}")

    def press(self) -> None:
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()


@pytest.fixture
def listen() -> Iterator[Callable[[subprocess.Popen[bytes]], Listener]]:
    begun: list[Listener] = []

    def begin(process: subprocess.Popen[bytes]) -> Listener:
        begun.append(Listener(process))
        return begun[-1]

    yield begin
    for listener in begun:
        listener.process.kill()
        listener.process.wait()


def test_requests_are_passed_on_as_they_came_and_nothing_is_missed(
    serve_folder: Any, receiver: Receiver, listen: Any, tmp_path: Path
) -> None:
    (tmp_path / "hooks.yaml").write_text(HOOKS)
    server = serve_folder(tmp_path)
    come_in(server, 0)
    listener = listen(server.command("listen", "--source", "github", "--forward", f"{receiver.url}/webhooks?dev=1"))
    listener.wait("is posted to")

    first = come_in(server, 1)
    (got,) = receiver.wait(1)
    assert (got.method, got.path, got.body) == ("POST", "/webhooks?dev=1", first)
    # The receiver can verify it with the secret that it shares with the provider.
    assert got.headers["x-hub-signature-256"] == signature(got.body)
    assert got.headers["x-github-delivery"] == "d-1"
    assert got.headers["content-type"] == "application/json"

    server.kill()
    server.start()
    expected = [first, *(come_in(server, number) for number in range(2, 30))]
    receiver.wait(len(expected))
    assert [one.body for one in receiver.requests] == expected

    listener.press()
    receiver.wait(len(expected) + 1)
    assert [one.body for one in receiver.requests] == [*expected, expected[-1]]


def test_a_program_that_is_not_there_is_said_and_the_last_one_can_be_posted_again(
    serve_folder: Any, receiver: Receiver, listen: Any, tmp_path: Path
) -> None:
    (tmp_path / "hooks.yaml").write_text(HOOKS)
    server = serve_folder(tmp_path)
    receiver.answers.append(500)
    listener = listen(server.command("listen", "--source", "github", "--forward", receiver.url))
    listener.wait("is posted to")
    listener.press()
    listener.wait("nothing has come in yet")
    body = come_in(server, 1)
    listener.wait("push  500")
    listener.press()
    listener.wait("push  200")
    assert [one.body for one in receiver.requests] == [body, body]


def test_a_source_that_does_not_exist_ends_the_command(serve_folder: Any, tmp_path: Path) -> None:
    (tmp_path / "hooks.yaml").write_text(HOOKS)
    ended = serve_folder(tmp_path).command("listen", "--source", "gitlab", "--forward", "http://127.0.0.1:9")
    _, said = ended.communicate(timeout=30)
    assert ended.returncode != 0
    assert b"gitlab" in said, said
