"""A gateway of one extension on loopback, for the proofs and measurements of this folder."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "interop"))
from gateway import lan_password, secrets, write_config, write_secrets  # noqa: E402, F401: for the scripts beside this file


class Office:
    """`gateway run`, of `command` (perhaps behind an emulator); a context that ends it."""

    def __init__(self, command, port=0):
        self.command, self.port = command, port

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="gateway-")
        config = write_config(self.folder, f"127.0.0.1:{self.port}",
                              {"domain": "office.sip.twilio.com", "servers": ["127.0.0.1:9"]}, ["101"],
                              webhook={"public_url": "https://office.example.com", "listen": "127.0.0.1:0"})
        write_secrets(self.folder, ["101"])
        with open(f"{self.folder}/log", "w") as log:
            self.began = time.monotonic()
            self.process = subprocess.Popen([*self.command, "run", "--log", "stderr", "--config", config], stderr=log)
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
