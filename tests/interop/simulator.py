"""Our own Twilio (tests/twilio) on the gateway's host: it listens on loopback there."""

import http.client
import json
import os

import control
from gateway import BINARY, NUMBER, run_command
from program import Program, wait_until

SIMULATOR = os.path.join(os.path.dirname(BINARY), "twilio-simulator")


class Simulator:
    """`twilio-simulator`; `addresses` is the line that it prints."""

    def __init__(self, host, folder, *options):
        self.host = host
        self.program = Program(host, folder, "simulator", SIMULATOR, "--verbose", "--number", NUMBER,
                               "--ca-file", os.path.join(folder, "simulator-ca.pem"), *options)
        line = wait_until(self._first_line, f"the simulator prints its addresses (log: {self.program.log_path})")
        self.addresses = json.loads(line)

    def _first_line(self):
        return next((line for line in self.program.log().splitlines() if line.startswith("{")), None)

    def control(self, method, path, body=None):
        """Asks the control API (tests/twilio/src/control.rs)."""
        address, port = self.addresses["control"].removeprefix("http://").rsplit(":", 1)
        connection = http.client.HTTPConnection(address, int(port), timeout=90)
        connection.sock = self.host.socket()
        connection.sock.settimeout(90)
        connection.sock.connect((address, int(port)))
        return control.ask(connection, method, path, body)

    def set_up(self, config):
        """Has `gateway setup` make the account what the config says."""
        run_command(self.host, "setup", "--yes", "--config", config,
                    env={"TWILIO_AUTH_TOKEN": self.addresses["auth_token"]})

    def journal(self, event):
        """The entries of one kind so far."""
        return [e for e in self.control("GET", "journal?from=0") if e["event"] == event]

    def stop(self):
        self.program.stop()
