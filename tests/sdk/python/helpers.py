"""Waiting on events, and what a refused call must look like through the SDK."""

from __future__ import annotations

import time
from typing import Any, Callable, TypeVar

import pytest
from svix.api.errors.http_error import HttpError
from svix.api.errors.http_validation_error import HTTPValidationError

from receiver import DEADLINE_S

T = TypeVar("T")


def eventually(look: Callable[[], T], what: str) -> T:
    """Asks again until `look` gives something true, or fails after the deadline."""
    end = time.monotonic() + DEADLINE_S
    pause_s = 0.02
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"never happened: {what}"
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, 0.5)


def refused(status: int, call: Callable[..., Any], *args: Any) -> Any:
    """The SDK's error of a call that must answer `status`; its body must have the documented shape."""
    with pytest.raises((HttpError, HTTPValidationError)) as caught:
        call(*args)
    error = caught.value
    assert error.status_code == status, f"{error.status_code}: {error}"
    if status == 422:
        assert isinstance(error, HTTPValidationError) and error.detail
        assert all(item.msg and item.type and isinstance(item.loc, list) for item in error.detail)
    else:
        assert isinstance(error, HttpError) and error.code and error.detail
    return error
