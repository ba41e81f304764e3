"""`customer-sync`: Shopify's customers, late and twice, become rows of a real PostgreSQL: the newest of each."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import random
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Iterator

import psycopg
import pytest

from conftest import free_port, wait_until

SECRET = "hush"


def program(name: str) -> str:
    found = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)]
    return found[0] if found else shutil.which(name) or pytest.fail(f"PostgreSQL's program `{name}` is missing")


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """A PostgreSQL of the test's own: loopback, a free port, a temporary folder. It refuses to run as root."""
    user = ["runuser", "-u", "nobody", "--"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        data, port = f"{folder}/data", free_port()
        subprocess.run([*user, program("initdb"), "-D", data, "-U", "shop", "--auth=trust", "-N"],
                       check=True, stdout=subprocess.DEVNULL, cwd=folder)
        server = subprocess.Popen([*user, program("postgres"), "-D", data, "-p", str(port), "-k", folder,
                                   "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"],
                                  stderr=subprocess.DEVNULL, cwd=folder)
        url = f"postgres://shop@127.0.0.1:{port}/postgres"

        def answers() -> bool:
            try:
                psycopg.connect(url).close()
                return True
            except psycopg.OperationalError:
                return False

        try:
            wait_until(answers, "PostgreSQL answers")
            yield url
        finally:
            server.terminate()
            server.wait(30)


@pytest.fixture
def table(database: str) -> Iterator[psycopg.Connection[Any]]:
    schema = (Path(os.environ["EXAMPLES_FOLDER"]) / "customer-sync" / "schema.sql").read_text()
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS customers")
        connection.execute(schema)
        yield connection


def customer(number: int, version: int) -> tuple[bytes, dict[str, str]]:
    updated = f"2026-11-02T09:{version:02d}:00+01:00"
    body = json.dumps({"id": number, "email": f"v{version}@example.org", "orders_count": version, "updated_at": updated}).encode()
    digest = base64.b64encode(hmac.new(SECRET.encode(), body, hashlib.sha256).digest()).decode()
    return body, {"x-shopify-hmac-sha256": digest, "x-shopify-topic": "customers/update", "x-shopify-event-id": f"{number}-{version}"}


def test_the_newest_state_of_each_customer_stays(serve: Any, database: str, table: psycopg.Connection[Any]) -> None:
    server = serve("customer-sync", SHOPIFY_SECRET=SECRET, DATABASE_URL=database)
    events = [(number, version) for number in range(1, 6) for version in range(10) for _ in range(2)]
    random.Random(3).shuffle(events)
    for number, version in events:
        body, headers = customer(number, version)
        assert server.post("customers", body, headers) < 300

    def rows() -> list[Any]:
        return table.execute("SELECT id, email, orders FROM customers ORDER BY id").fetchall()

    newest = [(number, "v9@example.org", 9) for number in range(1, 6)]
    wait_until(lambda: rows() == newest, f"the newest of each")


def test_a_value_is_a_value_whatever_is_in_it(serve: Any, database: str, table: psycopg.Connection[Any]) -> None:
    server = serve("customer-sync", SHOPIFY_SECRET=SECRET, DATABASE_URL=database)
    hostile = "x'); DROP TABLE customers; --"
    body = json.dumps({"id": 77, "email": hostile, "orders_count": 1, "updated_at": "2026-11-02T09:00:00Z"}).encode()
    digest = base64.b64encode(hmac.new(SECRET.encode(), body, hashlib.sha256).digest()).decode()
    headers = {"x-shopify-hmac-sha256": digest, "x-shopify-topic": "customers/create", "x-shopify-event-id": "77"}
    assert server.post("customers", body, headers) < 300
    wait_until(lambda: table.execute("SELECT email FROM customers WHERE id = 77").fetchone() == (hostile,), "the row")
