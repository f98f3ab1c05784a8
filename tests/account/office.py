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

from simulator import LIMIT, TARGET
from wait import wait_until as wait_within

BINARY = os.path.join(TARGET, "debug", "gateway")
NUMBERS = ("+15035550100", "+15035550101")
# How a digest at Twilio begins (twilio.md 4.1).
REALM = "sip.twilio.com"

ADDRESS = """
[[address]]
name = "shop"
customer = "Example Shop"
street = "1 Main St"
city = "Portland"
region = "OR"
postal_code = "97205"
country = "US"
"""


def free_port():
    """A port of loopback that nobody has right now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_until(condition, what):
    """Polls until `condition()` is true; its value."""
    return wait_within(condition, what, LIMIT)


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
              addresses=True, more="", is_url_told=False):
        """Writes the config anew; with `is_url_told` without a public URL, for the tunnel tells it."""
        public_url = "" if is_url_told else f'public_url = "http://127.0.0.1:{self.webhook}"'
        s = self.simulator.addresses
        text = f"""
[site]
name = "office"
state_dir = "{self.folder}/state"
run_dir = "{self.folder}/run"
[twilio]
account_sid = "{s['account_sid']}"
api = "{s['rest']}"
[trunk]
domain = "office-prod.sip.twilio.com"
servers = ["{s['sip']}"]
server_name = "office-prod.sip.twilio.com"
ca_file = "{s['ca_file']}"
[lan]
listen = ["127.0.0.1:{self.lan}"]
[webhook]
{public_url}
listen = "127.0.0.1:{self.webhook}"
fallback_url = "https://fallback.example.com/sorry"
[emergency]
caller_id = "{NUMBERS[0]}"
[dialing]
manage = true
[spend]
monthly = 50
[access]
networks = ["127.0.0.0/8"]
{more}
"""
        if hosted:
            text += f"[hosted]\nassets = \"{self.folder}/assets\"\n"
        if stage:
            text += f"""
[environment.stage]
domain = "office-stage.sip.twilio.com"
public_url = "{stage_url}"
"""
        for name in extensions:
            text += f'[[extension]]\nname = "{name}"\n'
        address = 'address = "shop"' if addresses else ""
        text += f'[[number]]\nnumber = "{NUMBERS[0]}"\nring = ["101"]\n{address}\n'
        if stage:
            text += f'[[number]]\nnumber = "{NUMBERS[1]}"\nring = ["101"]\nenvironment = "stage"\n{address}\n'
        with open(self.config, "w") as file:
            file.write(text + (ADDRESS if addresses else ""))

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

    def ha1(self, extension, environment):
        """What Twilio keeps of an extension's password (twilio.md 2.5)."""
        password = self.state("secrets.json")["extensions"][extension]["trunk_passwords"][environment]
        return hashlib.md5(f"{extension}:{REALM}:{password}".encode()).hexdigest()

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)
