"""A gateway of one extension on loopback, for the proofs and measurements of this folder."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time

LAN_PASSWORD = "Lan-101-kept-4-tests"

CONFIG = """
[site]
name = "office"
state_dir = "{folder}/state"
run_dir = "{folder}/run"
[twilio]
account_sid = "AC00000000000000000000000000000000"
[trunk]
domain = "office.sip.twilio.com"
servers = ["127.0.0.1:9"]
[lan]
listen = ["127.0.0.1:{port}"]
[webhook]
public_url = "https://office.example.com"
listen = "127.0.0.1:0"
[emergency]
caller_id = "+15035550100"
[[extension]]
name = "101"
caller_id = "+15035550100"
"""


class Office:
    """`gateway run`, of `command` (perhaps behind an emulator); a context that ends it."""

    def __init__(self, command, port=0):
        self.command, self.port = command, port

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="gateway-")
        os.mkdir(f"{self.folder}/state", 0o700)
        passwords = {"lan_password": LAN_PASSWORD, "trunk_passwords": {"prod": "Trunk-101-kept-4-tests"}}
        with open(f"{self.folder}/gateway.toml", "w") as file:
            file.write(CONFIG.format(folder=self.folder, port=self.port))
        with open(os.open(f"{self.folder}/state/secrets.json", os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            json.dump({"extensions": {"101": passwords}}, file)
        with open(f"{self.folder}/log", "w") as log:
            self.began = time.monotonic()
            self.process = subprocess.Popen([*self.command, "run", "--log", "stderr", "--config",
                                             f"{self.folder}/gateway.toml"], stderr=log)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder)

    def log(self):
        with open(f"{self.folder}/log") as log:
            return log.read()

    def address(self, seconds=60):
        """Where handsets are served, when the system chose the port."""
        while time.monotonic() < self.began + seconds and self.process.poll() is None:
            found = re.search(r"lan.listening (\S+):(\d+)", self.log())
            if found:
                return found[1], int(found[2])
            time.sleep(0.01)
        raise AssertionError(f"the gateway does not listen:\n{self.log()}")
