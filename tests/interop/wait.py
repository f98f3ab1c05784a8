"""Waiting for what is to come, and no longer than is good."""

import time


class TookTooLong(AssertionError):
    """A condition did not become true within its bound."""


def wait_until(condition, what, seconds=10):
    """Polls until `condition()` is true; its value. Raises `TookTooLong` after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TookTooLong(f"not within {seconds} s: {what}")
        time.sleep(0.02)
