"""The program under test on a host of the network: the service, and any other command of it."""

import json
import os
import subprocess

from tests.harness.paths import BINARY
from tests.harness.program import Program
from tests.harness.wait import wait_until


class Gateway:
    """`gateway run` on a host."""

    def __init__(self, host, folder, config, prefix=(), binary=BINARY):
        self.host = host
        self.folder = folder
        self.config = config
        self.prefix = prefix  # of the command line, as `taskset -c 0`
        self.binary = binary
        self.start()

    def start(self):
        self.program = Program(self.host, self.folder, "gateway", *self.prefix, self.binary, "run", "--log", "stderr",
                               "--config", self.config)
        wait_until(self._answers, f"the gateway answers `status` (log: {self.program.log_path})", 15)

    def _answers(self):
        if not self.program.running():
            raise AssertionError(f"gateway run ended with {self.program.process.returncode}:"
                                 f"\n{self.program.log()[-3000:]}")
        done = self.command("status", "--json", check=False)
        return done.returncode == 0

    def command(self, *argv, check=True, env=None):
        """Runs `gateway ARGV --config FILE` to its end."""
        return run_command(self.host, *argv, "--config", self.config, check=check, env=env, binary=self.binary)

    def status(self):
        """`gateway status --json`."""
        return json.loads(self.command("status", "--json").stdout)

    def handsets(self, extension):
        """The bindings of an extension on the LAN."""
        return next(e for e in self.status()["extensions"] if e["name"] == extension)["handsets"]

    def wait_registered_at_trunk(self, extensions, seconds=20):
        """Waits until these extensions are registered at the SIP domain."""
        def all_registered():
            states = {e["name"]: e["registration"]["state"] for e in self.status()["extensions"]}
            return all(states[e] == "registered" for e in extensions)
        wait_until(all_registered, f"{len(extensions)} extensions register at the SIP domain "
                                   f"(log: {self.program.log_path})", seconds)

    def wait_quiet(self, seconds=10):
        """Waits until no call is left."""
        wait_until(lambda: not self.status()["calls"], f"no call is left (log: {self.program.log_path})", seconds)

    def stop(self):
        self.program.stop()


def run_command(host, *argv, check=True, env=None, binary=BINARY):
    """Runs the gateway binary with these arguments on a host."""
    done = subprocess.run(host.command(binary, *argv), capture_output=True, text=True, timeout=60,
                          env={**os.environ, **(env or {})})
    if check and done.returncode != 0:
        raise AssertionError(f"gateway {' '.join(argv)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done
