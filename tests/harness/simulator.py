"""Our own Twilio (tests/twilio) as a program on a host of the network, or on this machine's loopback."""

import http.client
import json
import os

from tests.harness.gateway import run_command
from tests.harness.network import Local
from tests.harness.office import NUMBER
from tests.harness.paths import SIMULATOR, TARGET
from tests.harness.program import Program
from tests.harness.wait import wait_until

RECORDINGS = os.path.join(TARGET, "account")


class Simulator:
    """`twilio-simulator`; `addresses` is the line that it prints, `numbers` are the account's."""

    def __init__(self, host, folder, *options, name="simulator", numbers=(NUMBER,)):
        self.host = host
        self.program = Program(host, folder, name, SIMULATOR, "--verbose",
                               "--ca-file", os.path.join(folder, f"{name}-ca.pem"),
                               *(word for number in numbers for word in ("--number", number)), *options)
        line = wait_until(self._first_line, f"the simulator prints its addresses (log: {self.program.log_path})")
        self.addresses = json.loads(line)
        self.account = self.addresses["account_sid"]
        self.token = self.addresses["auth_token"]

    def _first_line(self):
        lines = self.program.log().splitlines(keepends=True)
        found = next((line for line in lines if line.startswith("{") and line.endswith("\n")), None)
        if not found and not self.program.running():
            raise AssertionError(f"the simulator ended:\n{self.program.log()}")
        return found

    def control(self, method, path, body=None):
        """Asks the control API (tests/twilio/src/control.rs)."""
        address, port = self.addresses["control"].removeprefix("http://").rsplit(":", 1)
        connection = http.client.HTTPConnection(address, int(port))
        connection.sock = self.host.socket()
        connection.sock.settimeout(90)
        connection.sock.connect((address, int(port)))
        connection.request(method, f"/control/{path}", json.dumps(body) if body is not None else None)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status != 200:
            raise AssertionError(f"{method} /control/{path}: {answer.status} {text!r}")
        return json.loads(text)

    def tables(self, domain):
        """The tables [trunk] and [twilio] of a gateway.toml that lead here."""
        at = self.addresses
        return ({"domain": domain, "servers": [at["sip"]], "server_name": domain, "ca_file": at["ca_file"]},
                {"account_sid": at["account_sid"], "api": at["rest"]})

    def set_up(self, config):
        """Has `gateway setup` make the account what the config says."""
        run_command(self.host, "setup", "--yes", "--config", config, env={"TWILIO_AUTH_TOKEN": self.token})

    def journal(self, event):
        """The entries of one kind so far."""
        return [e for e in self.control("GET", "journal?from=0") if e["event"] == event]

    def stop(self):
        self.program.stop()


class Recorded(Simulator):
    """A simulator on loopback; `recording` is the file of all REST traffic, for tests/account/validate.py."""

    def __init__(self, name, *options, numbers=(NUMBER,)):
        os.makedirs(RECORDINGS, exist_ok=True)
        self.recording = os.path.join(RECORDINGS, f"{name}.jsonl")
        super().__init__(Local(), RECORDINGS, "--record", self.recording, *options, name=name, numbers=numbers)
