"""The service on loopback with one extension, for the proofs and measurements of cross/."""

import re
import shutil
import tempfile
import time

from tests.harness.network import Local
from tests.harness.office import write_config, write_secrets
from tests.harness.program import Program


class Service:
    """`gateway run`, of `command` (perhaps behind an emulator); a context that ends it."""

    def __init__(self, command, port=0):
        self.command, self.port = command, port

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="gateway-")
        config = write_config(self.folder, f"127.0.0.1:{self.port}",
                              {"domain": "office.sip.twilio.com", "servers": ["127.0.0.1:9"]}, ["101"],
                              webhook={"public_url": "https://office.example.com", "listen": "127.0.0.1:0"})
        write_secrets(self.folder, ["101"])
        self.began = time.monotonic()
        self.program = Program(Local(), self.folder, "gateway", *self.command, "run", "--log", "stderr",
                               "--config", config)
        return self

    def __exit__(self, *_):
        self.program.stop()
        shutil.rmtree(self.folder)

    def address(self, seconds=60):
        """Where handsets are served, when the system chose the port."""
        while time.monotonic() < self.began + seconds and self.program.running():
            found = re.search(r"lan.listening (\S+):(\d+)", self.program.log())
            if found:
                return found[1], int(found[2])
            time.sleep(0.01)
        raise AssertionError(f"the gateway does not listen:\n{self.program.log()}")
