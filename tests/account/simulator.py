"""Our own Twilio (tests/twilio) as a program on loopback, with everything recorded that is asked of it."""

import http.client
import json
import os
import selectors
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
# Behind this folder: some files there have the same names.
sys.path.append(os.path.join(os.path.dirname(HERE), "interop"))
import control  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(HERE))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
BINARY = os.path.join(TARGET, "debug", "twilio-simulator")
RECORDINGS = os.path.join(TARGET, "account")
# How long a start and any one request may take.
LIMIT = 20


class Simulator:
    """A running simulator; `addresses` is the line that it prints, `recording` the file of its traffic."""

    def __init__(self, name, *options):
        os.makedirs(RECORDINGS, exist_ok=True)
        self.recording = os.path.join(RECORDINGS, f"{name}.jsonl")
        self.process = subprocess.Popen(
            [BINARY, "--record", self.recording, "--ca-file", os.path.join(RECORDINGS, f"{name}-ca.pem"), *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self.process.stdout, selectors.EVENT_READ)
                if not selector.select(LIMIT):
                    raise AssertionError(f"{BINARY} does not print its addresses")
            self.addresses = json.loads(self.process.stdout.readline())
        except BaseException:
            self.stop()
            raise
        self.account = self.addresses["account_sid"]
        self.token = self.addresses["auth_token"]

    def control(self, method, path, body=None):
        """Asks the control API (tests/twilio/src/control.rs)."""
        address = self.addresses["control"].removeprefix("http://")
        connection = http.client.HTTPConnection(address, timeout=LIMIT)
        return control.ask(connection, method, path, body)

    def stop(self):
        """Ends it."""
        self.process.terminate()
        try:
            self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
