"""`deploy-on-push`: GitHub's push runs a real process in a real checkout."""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
from pathlib import Path
from typing import Any

from conftest import Readme, wait_until

SECRET = "hush"


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    return subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def push(commit: str, ref: str = "refs/heads/main") -> bytes:
    return json.dumps({"ref": ref, "after": commit, "deleted": False, "repository": {"full_name": "acme/site"}}).encode()


def signed(body: bytes, delivery: str) -> dict[str, str]:
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return {"x-hub-signature-256": f"sha256={signature}", "x-github-event": "push", "x-github-delivery": delivery}


def test_a_push_to_the_main_branch_is_checked_out(serve: Any, tmp_path: Path) -> None:
    origin, checkout = tmp_path / "origin", tmp_path / "checkouts" / "acme" / "site"
    origin.mkdir()
    git(origin, "init", "--quiet", "--initial-branch=main")
    git(origin, "commit", "--quiet", "--allow-empty", "-m", "one")
    checkout.parent.mkdir(parents=True)
    git(tmp_path, "clone", "--quiet", str(origin), str(checkout))
    readme = Readme("deploy-on-push")
    server = serve("deploy-on-push", GITHUB_SECRET=SECRET, CHECKOUTS=str(tmp_path / "checkouts"))
    git(origin, "commit", "--quiet", "--allow-empty", "-m", "two")
    commit = git(origin, "rev-parse", "HEAD")

    branch = push(commit, "refs/heads/topic")
    assert server.post("deploy", branch, signed(branch, "d-1")) < 300
    body = push(commit)
    assert server.post("deploy", body, signed(body, "d-2")) < 300
    wait_until(lambda: git(checkout, "rev-parse", "HEAD") == commit, "the checkout")
    (attempt,) = wait_until(lambda: server.attempts("deploy"), "the attempt")
    assert attempt["status"] == 0
    assert f"acme/site is at {commit[:7]}" in attempt["response"]

    (messages,) = readme.commands("message", "list")
    message = json.loads(server.run(*messages, "--json"))["data"][0]["id"]
    (attempts,) = readme.commands("message", "attempts")
    shown = server.run(*(message if word == "MESSAGE" else word for word in attempts))
    assert "run-1 " in shown and f"acme/site is at {commit[:7]}" in shown, shown


def test_what_a_failed_command_says_is_kept(serve: Any, tmp_path: Path) -> None:
    server = serve("deploy-on-push", GITHUB_SECRET=SECRET, CHECKOUTS=str(tmp_path))
    body = push("; rm -rf / #")
    assert server.post("deploy", body, signed(body, "d-3")) < 300
    attempt = wait_until(lambda: server.attempts("deploy"), "the attempt")[0]
    assert attempt["status"] != 0
    assert "acme/site" in attempt["response"]
