"""The gateway's commands as an owner types them, with an office of its own in a folder that goes away."""

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile

from tests.harness.office import tables, toml
from tests.harness.paths import BINARY
from tests.harness.wait import LIMIT, wait_until

NUMBERS = ("+15035550100", "+15035550101")
# How a digest at Twilio begins (TWILIO.md "Challenge").
REALM = "sip.twilio.com"

ADDRESS = {"name": "shop", "customer": "Example Shop", "street": "1 Main St", "city": "Portland", "region": "OR",
           "postal_code": "97205", "country": "US"}


def free_port():
    """A port of loopback that nobody has right now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Said:
    """How a command ended and what it printed."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def requests(self):
        """Reads and writes by the command's own count."""
        found = re.search(r"(\d+) reads?, (\d+) writes?", self.out)
        return (int(found[1]), int(found[2])) if found else None

    def __str__(self):
        return f"exit code {self.code}\n{self.out}\n{self.err}"


class Office:
    """A config and a state folder; two environments unless told otherwise."""

    def __init__(self, simulator):
        self.simulator = simulator
        self.folder = tempfile.mkdtemp(prefix="gateway-office-")
        self.config = os.path.join(self.folder, "gateway.toml")
        self.lan, self.webhook = free_port(), free_port()
        self.write()

    def write(self, stage=True, hosted=False, stage_url="https://stage.example.com", extensions=("101", "102"),
              addresses=True, tunnel=None, **more):
        """Writes the config anew. With `tunnel`, a table, it has no public URL, for the tunnel tells it; `more` are other
        tables."""
        trunk, twilio = self.simulator.tables("office-prod.sip.twilio.com")
        webhook = {} if tunnel else {"public_url": f"http://127.0.0.1:{self.webhook}"}
        lives = {"address": "shop"} if addresses else {}
        number = [{"number": NUMBERS[0], "ring": ["101"], **lives}]
        if stage:
            number.append({"number": NUMBERS[1], "ring": ["101"], "environment": "stage", **lives})
        found = tables(
            self.folder, f"127.0.0.1:{self.lan}", trunk, [{"name": name} for name in extensions], site="office",
            run_dir=f"{self.folder}/run", twilio=twilio, number=number,
            webhook={**webhook, "listen": f"127.0.0.1:{self.webhook}", "fallback_url": "https://fallback.example.com/sorry"},
            dialing={"manage": True}, spend={"monthly": 50}, access={"networks": ["127.0.0.0/8"]},
            tunnel=tunnel or {}, hosted={"assets": f"{self.folder}/assets"} if hosted else {}, **more)
        if stage:
            found["environment.stage"] = {"domain": "office-stage.sip.twilio.com", "public_url": stage_url}
        if addresses:
            found["address"] = [ADDRESS]
        with open(self.config, "w") as file:
            file.write(toml(found))

    def asset(self, path, content):
        """Puts a file into the folder of the hosted Service."""
        whole = os.path.join(self.folder, "assets", path)
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        with open(whole, "wb") as file:
            file.write(content)

    def start(self, *arguments):
        """Begins a command; a process of its own."""
        environment = {**os.environ, "TWILIO_AUTH_TOKEN": self.simulator.token, "NO_COLOR": "1"}
        return subprocess.Popen([BINARY, "--config", self.config, *arguments], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)

    def run(self, *arguments):
        """Runs a command to its end."""
        process = self.start(*arguments)
        try:
            out, err = process.communicate(timeout=3 * LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"gateway {' '.join(arguments)} does not end: {process.communicate()}") from None
        return Said(process.returncode, out, err)

    def done(self, *arguments):
        """Runs a command that must succeed."""
        said = self.run(*arguments)
        if said.code != 0:
            raise AssertionError(f"gateway {' '.join(arguments)}: {said}")
        return said

    def setup(self):
        """A set-up that asks nothing and proves nothing: no service runs here."""
        return self.done("setup", "--yes", "--no-prove")

    def killed(self, at, kind, *arguments):
        """Runs a command and kills it at its request number `at` (from 0): `torn_before` it has an effect, or when it
        had one and `no_answer` came."""
        seen = len(self.simulator.control("GET", "requests")["log"])
        self.simulator.control("POST", "rest/fault", {"kind": kind, "after": at, "count": 1})
        process = self.start(*arguments)
        wait_until(lambda: len(self.simulator.control("GET", "requests")["log"]) > seen + at or process.poll() is not None,
                   f"request {at} arrives")
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return process.returncode

    def serve(self, cleanup):
        """Starts the service; `cleanup` ends it after the test."""
        log = open(os.path.join(self.folder, "gateway.log"), "w")
        service = subprocess.Popen([BINARY, "--config", self.config, "run", "--log", "stderr"],
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()

        def end():
            service.terminate()
            service.wait(LIMIT)
        cleanup(end)
        wait_until(lambda: self.run("status").code == 0 or service.poll() is not None, "the service answers")

    def log(self):
        """What the service has logged."""
        with open(os.path.join(self.folder, "gateway.log")) as file:
            return file.read()

    def state(self, name):
        """A file of the state folder."""
        with open(os.path.join(self.folder, "state", name)) as file:
            return json.load(file)

    def users(self):
        """The secrets of each user that Twilio knows by name: the extensions, and the box itself."""
        secrets = self.state("secrets.json")
        return {**secrets["extensions"], **secrets.get("boxes", {})}

    def ha1(self, user, environment):
        """What Twilio keeps of a user's password (TWILIO.md "Credentials")."""
        password = self.users()[user]["trunk_passwords"][environment]
        return hashlib.md5(f"{user}:{REALM}:{password}".encode()).hexdigest()

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)
