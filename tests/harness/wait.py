"""Waiting for a condition, and no longer than its bound."""

import time

# Seconds that a start, or any one request, may take.
LIMIT = 20


def wait_until(condition, what, seconds=LIMIT):
    """Polls until `condition()` is true; its value. Raises an AssertionError after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)
