"""linphone as a handset on a host of its own, without a sound card: its console program, driven by lines.

It plays a tone from a wave file and writes what it hears into another one."""

import os
import re
import subprocess

from tests.harness import tone
from tests.harness.network import run
from tests.harness.program import Program
from tests.harness.wait import wait_until

CONFIG = """\
[sip]
sip_port=5060
sip_tcp_port=5060
sip_tls_port=0
guess_hostname=1
default_proxy=0
register_only_when_network_is_up=0
media_encryption=none

[rtp]
audio_rtp_port=31000

[net]
mtu=1300

[auth_info_0]
username={extension}
passwd={password}
domain={gateway}

[proxy_0]
reg_proxy=<sip:{gateway};transport={transport}>
reg_identity=sip:{extension}@{gateway}
reg_expires=300
reg_sendregister=1
publish=0
"""


class Linphone:
    """One linphone phone; `transport` is udp or tcp."""

    def __init__(self, host, folder, extension, gateway, password, frequency, transport="udp"):
        self.folder = os.path.join(folder, f"linphone-{extension}")
        os.makedirs(os.path.join(self.folder, ".local/share/linphone"))  # for its database
        config = os.path.join(self.folder, "linphonerc")
        with open(config, "w") as file:
            file.write(CONFIG.format(extension=extension, gateway=gateway, password=password, transport=transport))
        tone.write(os.path.join(self.folder, "plays.wav"), frequency)
        self.log = os.path.join(self.folder, "states.log")
        open(self.log, "w").close()
        self.hears = os.path.join(self.folder, "hears.wav")
        # It takes a host without a way to anywhere for one without a network.
        run("ip", "-n", host.namespace, "route", "add", "default", "via", gateway)
        self.program = Program(host, self.folder, f"linphone-{extension}", "linphonec", "-c", config, "-d", "5", "-l", self.log,
                               env={"HOME": self.folder, "TERM": "dumb"}, stdin=subprocess.PIPE)
        for line in ("soundcard use files", "play plays.wav", "record hears.wav"):
            self.do(line)

    def do(self, line):
        """Gives one command of its console."""
        self.program.process.stdin.write(f"{line}\n".encode())
        self.program.process.stdin.flush()

    def wait_for(self, state, seconds=15, nth=1):
        """Waits until its log names a state for the nth time, such as LinphoneCallStreamsRunning."""
        def there():
            with open(self.log, errors="replace") as log:
                return len(re.findall(rf"to \[?{state}\b", log.read())) >= nth
        wait_until(there, f"{self.program.name} is in {state} for time {nth} (log: {self.log})", seconds)

    def wait_registered(self, seconds=15):
        self.wait_for("LinphoneRegistrationOk", seconds)

    def dial(self, number):
        self.do(f"call {number}")

    def accept(self):
        self.do("answer")

    def hang_up(self):
        self.do("terminate")

    def wait_to_hear(self, frequency, seconds=2.0, within=15):
        """Waits until it has heard `seconds` of a tone and nothing much beside it."""
        def hears():
            part = tone.growing(self.hears)[-int(seconds * tone.RATE):]
            if len(part) < seconds * tone.RATE or tone.level(part) < -30:
                return False
            return tone.share(part, tone.RATE, frequency) > 0.9
        wait_until(hears, f"{self.program.name} hears {frequency} Hz (files in {self.folder})", within)

    def stop(self):
        self.program.process.stdin.close()
        self.program.stop()
