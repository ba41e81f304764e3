"""The hooks file of a running server changes: all or nothing, and what is under way is undisturbed."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from conftest import Bellwire, Receiver, wait_until


def hooks(url: str, path: str, secret: str = "one") -> str:
    return f"""
hooks:
  orders:
    verify: {{bearer: {secret}}}
    do:
      - forward: {{url: "{url}{path}"}}
"""


def come_in(server: Bellwire, body: bytes, secret: str = "one") -> int:
    return server.post("orders", body, {"authorization": f"Bearer {secret}"})


def arrives(server: Bellwire, receiver: Receiver, path: str) -> None:
    """What comes in arrives there: asked until it does, as a look at the file takes its time."""

    def sent() -> bool:
        before = len(receiver.requests)
        assert come_in(server, b"{}") < 300
        return receiver.wait(before + 1)[-1].path == path

    wait_until(sent, f"a request to {path}")


def test_a_file_that_changes_is_read_again(serve_folder: Any, receiver: Receiver, tmp_path: Path) -> None:
    file = tmp_path / "hooks.yaml"
    file.write_text(hooks(receiver.url, "/one"))
    server = serve_folder(tmp_path)
    arrives(server, receiver, "/one")
    file.write_text(hooks(receiver.url, "/two"))
    arrives(server, receiver, "/two")


def test_a_signal_has_it_read_at_once_and_a_bad_one_changes_nothing(
    serve_folder: Any, receiver: Receiver, tmp_path: Path
) -> None:
    file = tmp_path / "hooks.yaml"
    file.write_text(hooks(receiver.url, "/one"))
    server = serve_folder(tmp_path)
    file.write_text(hooks(receiver.url, "/two").replace("forward", "foward"))
    os.kill(server.process.pid, signal.SIGHUP)
    wait_until(lambda: "foward" in server.log.read_text(), "the log says what is wrong")
    arrives(server, receiver, "/one")
    file.write_text(hooks(receiver.url, "/two"))
    os.kill(server.process.pid, signal.SIGHUP)
    arrives(server, receiver, "/two")


def test_a_folder_that_is_swapped_as_kubernetes_swaps_it_is_seen(
    serve_folder: Any, receiver: Receiver, tmp_path: Path
) -> None:
    # A mounted ConfigMap: hooks.yaml -> ..data/hooks.yaml, and ..data -> a folder that is replaced as a whole.
    mount = tmp_path / "mount"
    for version in ("one", "two"):
        (mount / f"..{version}").mkdir(parents=True)
        (mount / f"..{version}" / "hooks.yaml").write_text(hooks(receiver.url, f"/{version}"))
    (mount / "..data").symlink_to("..one")
    (mount / "hooks.yaml").symlink_to("..data/hooks.yaml")
    server = serve_folder(mount)
    arrives(server, receiver, "/one")
    (mount / "..tmp").symlink_to("..two")
    (mount / "..tmp").rename(mount / "..data")
    arrives(server, receiver, "/two")


def test_a_secret_in_a_file_is_read_again(serve_folder: Any, receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("one")
    (tmp_path / "hooks.yaml").write_text(hooks(receiver.url, "/one", '"${file:secret}"'))
    server = serve_folder(tmp_path)
    assert come_in(server, b"{}", "one") < 300
    (tmp_path / "secret").write_text("two")
    wait_until(lambda: come_in(server, b"{}", "two") < 300, "the new secret is taken")
    assert come_in(server, b"{}", "one") == 401


def test_what_waits_for_its_next_attempt_is_made_as_the_new_file_says(
    serve_folder: Any, receiver: Receiver, tmp_path: Path
) -> None:
    file = tmp_path / "hooks.yaml"
    retries = "\n        retry: [1s, 1s, 1s]\n"
    file.write_text(hooks(receiver.url, "/one").rstrip() + retries)
    receiver.answers.append(503)
    server = serve_folder(tmp_path)
    assert come_in(server, b"{}") < 300
    receiver.wait(1)
    file.write_text(hooks(receiver.url, "/two").rstrip() + retries)
    os.kill(server.process.pid, signal.SIGHUP)
    receiver.wait(2)
    assert [one.body for one in receiver.requests] == [b"{}", b"{}"]
    assert receiver.requests[0].path == "/one"
