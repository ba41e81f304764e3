"""`server-alerts`: a server goes down and comes back, and the team reads of it."""

from __future__ import annotations

import base64
import datetime
import json
import os
import ssl
from pathlib import Path
from typing import Any, Callable

import trustme

from conftest import Receiver, wait_until


def texts(slack: Receiver) -> list[str]:
    return [request.json()["text"] for request in slack.requests]


def start(serve: Any, slack: Receiver, shop: str) -> Any:
    return serve("server-alerts", SLACK_URL=slack.url, SHOP_URL=shop, ALERTMANAGER_PASSWORD="pw")


def test_the_team_reads_that_a_server_is_down_and_that_it_is_back(
    serve_folder: Any, receivers: Callable[[], Receiver], tmp_path: Path
) -> None:
    slack, shop = receivers(), receivers()
    # The example as it is, but for how often it looks.
    text = (Path(os.environ["EXAMPLES_FOLDER"]) / "server-alerts" / "hooks.yaml").read_text()
    assert "every: 30s" in text
    (tmp_path / "hooks.yaml").write_text(text.replace("every: 30s", "every: 1s"))
    server = serve_folder(tmp_path, SLACK_URL=slack.url, SHOP_URL=shop.url + "/health", ALERTMANAGER_PASSWORD="pw")
    shop.wait(1)
    shop.answers.extend([500] * 6)
    wait_until(lambda: any("is down" in text for text in texts(slack)), "the alert")
    wait_until(lambda: any("is back" in text for text in texts(slack)), "the all-clear")
    assert sum("is down" in text for text in texts(slack)) == 1
    assert "shop" in texts(slack)[0]
    assert {attempt["status"] for attempt in server.attempts("alerts")} == {0}


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


def test_the_team_is_told_of_a_certificate_that_is_about_to_expire(
    serve_folder: Any, receivers: Callable[[], Receiver], tmp_path: Path
) -> None:
    slack, soon, later = receivers(), receivers(), receivers()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    for server, days in ((soon, 5), (later, 50)):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days, hours=1)
        authority.issue_cert("localhost", "127.0.0.1", not_after=end).configure_cert(context)
        server.server.socket = context.wrap_socket(server.server.socket, server_side=True)
    monitors = "\n".join(
        f"  {name}: {{certificate: \"127.0.0.1:{server.server.server_address[1]}\", every: 1s}}"
        for name, server in (("soon", soon), ("later", later))
    )
    (tmp_path / "hooks.yaml").write_text(f"""
monitors:
{monitors}
hooks:
  alerts:
    monitors: all
    do:
      - chat: {{slack: "{slack.url}", text: "{{{{ type }}}} {{{{ monitor }}}} {{{{ certificate.daysLeft }}}}"}}
""")
    serve_folder(tmp_path, BELLWIRE_CA_FILE=str(tmp_path / "ca.pem"))
    slack.wait(1)
    assert texts(slack) == ["certificate.expiring soon 5"]
