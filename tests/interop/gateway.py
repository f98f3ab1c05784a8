"""The program under test: its config and secrets, and its life on a host of the network."""

import atexit
import json
import os
import shutil
import subprocess
import tempfile

from program import ROOT, Program, wait_until

BINARY = os.environ.get("GATEWAY", os.path.join(os.environ.get("CARGO_TARGET_DIR", f"{ROOT}/target"),
                                                "debug", "gateway"))
NUMBER = "+15035550100"


def lan_password(extension):
    """What a test's secrets.json holds for a handset."""
    return f"Lan-{extension}-kept-4-tests"


def trunk_password(extension):
    """What it holds for the trunk's registration."""
    return f"Trunk-{extension}-kept-4-tests"


def short_folder():
    """A folder whose path leaves room for a socket's name (108 bytes in all), gone when the tests end."""
    path = tempfile.mkdtemp(prefix="gwlab-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def write_config(folder, listen, trunk, extensions, *, twilio=None, webhook=None, ring=(), limits="", clock=None):
    """`gateway.toml` in `folder`. `listen` is where handsets register, `trunk` is a table of strings; every extension shows NUMBER outside."""
    account = twilio or {"account_sid": "AC" + "0" * 32}
    tables = {
        "site": {"name": "interop", "state_dir": f"{folder}/state", "run_dir": short_folder()},
        "twilio": account,
        "trunk": trunk,
        "lan": {"listen": [listen]},
        "media": {"ports": "20000-29999"},
        "webhook": webhook or {"public_url": "https://hooks.example", "listen": "127.0.0.1:8080"},
        "emergency": {"caller_id": NUMBER},
        **({"clock": clock} if clock else {}),
    }
    lines = []
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items()), ""]
    if limits:
        lines += ["[limits]", limits, ""]
    for extension in extensions:
        lines += ["[[extension]]", f'name = "{extension}"', f'caller_id = "{NUMBER}"', ""]
    if ring:
        lines += ["[[number]]", f'number = "{NUMBER}"', f"ring = {json.dumps(list(ring))}", ""]
    path = os.path.join(folder, "gateway.toml")
    with open(path, "w") as config:
        config.write("\n".join(lines))
    return path


def secrets(extensions):
    """`secrets.json` as `gateway setup` leaves it (src/store/secrets.rs), for tests without a Twilio account."""
    return json.dumps({"auth_token": "0" * 32,
                       "extensions": {e: {"lan_password": lan_password(e), "trunk_passwords": {"prod": trunk_password(e)}}
                                      for e in extensions}})


def write_secrets(folder, extensions):
    """Writes them into the state folder below `folder`."""
    state = os.path.join(folder, "state")
    os.makedirs(state, mode=0o700, exist_ok=True)
    path = os.path.join(state, "secrets.json")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(secrets(extensions))


class Gateway:
    """`gateway run` on a host."""

    def __init__(self, host, folder, config, prefix=()):
        self.host = host
        self.folder = folder
        self.config = config
        self.prefix = prefix  # of the command line, as `taskset -c 0`
        self.start()

    def start(self):
        self.program = Program(self.host, self.folder, "gateway", *self.prefix, BINARY, "run", "--log", "stderr",
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
        return run_command(self.host, *argv, "--config", self.config, check=check, env=env)

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


def run_command(host, *argv, check=True, env=None):
    """Runs the gateway binary with these arguments on a host."""
    done = subprocess.run(host.command(BINARY, *argv), capture_output=True, text=True, timeout=60,
                          env={**os.environ, **(env or {})})
    if check and done.returncode != 0:
        raise AssertionError(f"gateway {' '.join(argv)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


class Probe:
    """What a process has used, read from /proc: for benchmarks."""

    TICK = 1 / os.sysconf("SC_CLK_TCK")

    def __init__(self, pid):
        self.pid = pid

    def cpu(self):
        """Seconds of processor time so far, user and system."""
        with open(f"/proc/{self.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * self.TICK

    def rss(self):
        """Resident memory in bytes."""
        with open(f"/proc/{self.pid}/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))
