"""`server-alerts`: a server goes down and comes back, and the team reads of it."""

from __future__ import annotations

import base64
import json
from typing import Any, Callable

from conftest import Receiver, wait_until


def texts(slack: Receiver) -> list[str]:
    return [request.json()["text"] for request in slack.requests]


def start(serve: Any, slack: Receiver, shop: str) -> Any:
    return serve("server-alerts", SLACK_URL=slack.url, SHOP_URL=shop, ALERTMANAGER_PASSWORD="pw")


def test_the_team_reads_that_a_server_is_down_and_that_it_is_back(serve: Any, receivers: Callable[[], Receiver], monkeypatch: Any) -> None:
    slack, shop = receivers(), receivers()
    example = quick(monkeypatch)
    server = start(example(serve), slack, shop.url + "/health")
    shop.wait(1)
    shop.answers.extend([500] * 6)
    wait_until(lambda: any("is down" in text for text in texts(slack)), "the alert")
    wait_until(lambda: any("is back" in text for text in texts(slack)), "the all-clear")
    assert sum("is down" in text for text in texts(slack)) == 1
    assert "shop" in texts(slack)[0]
    assert {attempt["status"] for attempt in server.attempts("alerts")} == {0}


def quick(monkeypatch: Any) -> Callable[[Any], Any]:
    """The example as it is, but for how often it looks."""
    import os
    import shutil
    import tempfile
    from pathlib import Path

    folder = Path(tempfile.mkdtemp())
    shutil.copytree(Path(os.environ["EXAMPLES_FOLDER"]) / "server-alerts", folder / "server-alerts")
    hooks = folder / "server-alerts" / "hooks.yaml"
    text = hooks.read_text()
    assert "every: 30s" in text
    hooks.write_text(text.replace("every: 30s", "every: 1s"))
    monkeypatch.setenv("EXAMPLES_FOLDER", str(folder))
    return lambda serve: serve


def test_each_critical_alert_is_told_once_in_a_while(serve: Any, receivers: Callable[[], Receiver]) -> None:
    slack, shop = receivers(), receivers()
    server = start(serve, slack, shop.url)

    def alert(fingerprint: str, severity: str = "critical", status: str = "firing") -> dict[str, Any]:
        return {"status": status, "fingerprint": fingerprint, "labels": {"instance": f"db-{fingerprint}", "severity": severity},
                "annotations": {"summary": "disk full"}}

    alerts = [alert("1"), alert("2", "info"), alert("3", status="resolved"), alert("4")]
    body = json.dumps({"version": "4", "alerts": alerts}).encode()
    password = base64.b64encode(b"alertmanager:pw").decode()
    for _ in range(2):
        assert server.post("alertmanager", body, {"authorization": f"Basic {password}"}) < 300
    wait_until(lambda: len(slack.requests) >= 2, "both alerts")
    assert sorted(texts(slack)) == ["db-1: disk full", "db-4: disk full"]
    assert server.post("alertmanager", body, {"authorization": "Basic eDp5"}) == 401
