"""baresip as a handset or as the party behind the SIP domain, without a screen or a sound card.

It plays a tone from a wave file and writes what it hears into another one; we drive it by its `ctrl_tcp` module
(JSON in netstrings), which also reports its events.
"""

import glob
import json
import os
import threading

from tests.harness import tone
from tests.harness.program import Program
from tests.harness.wait import wait_until

MODULES = "/usr/lib/baresip/modules"
CONTROL_PORT = 4444

CONFIG = """\
module_path {modules}
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
module srtp.so
module stun.so
module_app account.so
module_app contact.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{control}
poll_method epoll
sip_listen {address}:5060
{ca}
audio_source aufile,plays.wav
audio_player aubridge,nobody
audio_alert aubridge,nobody
audio_path {folder}/no-ring-tones
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
snd_path .
rtp_ports 30000-30998
call_local_timeout 60
call_max_calls 4
"""


class Baresip:
    """One baresip with one account, on its own host."""

    def __init__(self, host, folder, name, address, account, frequency, cafile=None):
        self.folder = os.path.join(folder, name)
        os.makedirs(self.folder)
        plays = os.path.join(self.folder, "plays.wav")
        tone.write(plays, frequency)
        with open(os.path.join(self.folder, "config"), "w") as config:
            config.write(CONFIG.format(modules=MODULES, control=CONTROL_PORT, address=address,
                                       folder=self.folder, ca=f"sip_cafile {cafile}" if cafile else ""))
        with open(os.path.join(self.folder, "accounts"), "w") as accounts:
            accounts.write(account + "\n")
        open(os.path.join(self.folder, "contacts"), "w").close()
        self.host = host
        self.events = []
        self.old = []  # recordings of calls that are over
        self.answers = {}
        self.commands = 0
        self.program = Program(host, self.folder, name, "baresip", "-4", "-s", "-f", self.folder)
        self.control = self._connect(host)
        threading.Thread(target=self._read, daemon=True).start()

    def _connect(self, host):
        def connected():
            if not self.program.running():
                raise AssertionError(f"{self.program.name} ended:\n{self.program.log()[-2000:]}")
            control = host.socket()
            try:
                control.connect(("127.0.0.1", CONTROL_PORT))
                return control
            except ConnectionRefusedError:
                control.close()
                return None
        return wait_until(connected, f"{self.program.name} opens its control port (log: {self.program.log_path})")

    def _read(self):
        data = b""
        while True:
            try:
                more = self.control.recv(65536)
            except OSError:
                return
            if not more:
                return
            data += more
            while b":" in data:
                length, rest = data.split(b":", 1)
                if len(rest) <= int(length):
                    break
                message = json.loads(rest[:int(length)])
                data = rest[int(length) + 1:]
                if message.get("event"):
                    if message.get("type") == "CALL_CLOSED":
                        self.old = self._recordings()
                    self.events.append(message)
                else:
                    self.answers[message["token"]] = message.get("data", "")

    def _do(self, command, params=""):
        """Gives a command and waits for its answer."""
        self.commands += 1
        token = str(self.commands)
        text = json.dumps({"command": command, "params": params, "token": token})
        self.control.sendall(f"{len(text)}:{text},".encode())
        wait_until(lambda: token in self.answers, f"{self.program.name} answers to {command}")
        return self.answers.pop(token)

    def registered(self):
        """Whether its account is registered. (The event may come before our control connection.)"""
        return "OK" in self._do("reginfo")

    def wait_registered(self, seconds=10):
        wait_until(self.registered, f"{self.program.name} is registered (log: {self.program.log_path})", seconds)

    def seen(self, kind):
        """The events of one type so far."""
        return [e for e in self.events if e.get("type") == kind]

    def wait_for(self, kind, seconds=10, nth=1):
        """Waits for the nth event of a type, such as CALL_ESTABLISHED, CALL_CLOSED."""
        def there():
            found = self.seen(kind)
            return found[nth - 1] if len(found) >= nth else None
        return wait_until(there, f"{self.program.name} reports {kind} number {nth}, only saw "
                                 f"{[e.get('type') for e in self.events]} (log: {self.program.log_path})", seconds)

    def dial(self, target):
        self._do("dial", target)

    def accept(self):
        self._do("accept")

    def hang_up(self):
        self._do("hangup")

    def _recordings(self):
        return glob.glob(os.path.join(self.folder, "dump-*-dec.wav"))

    def heard(self):
        """The samples and rate of what it received in the present call."""
        files = [f for f in self._recordings() if f not in self.old]
        return tone.read(files[-1]) if files else ([], tone.RATE)

    def wait_to_hear(self, frequency, seconds=2.0, within=15):
        """Waits until it has heard `seconds` of a tone and nothing much beside it; the measured share of power."""
        def hears():
            samples, rate = self.heard()
            part = samples[-int(seconds * rate):]
            if len(part) < seconds * rate or tone.level(part) < -30:
                return None
            found = tone.share(part, rate, frequency)
            return found if found > 0.9 else None
        return wait_until(hears, f"{self.program.name} hears {frequency} Hz (files in {self.folder})", within)

    def stop(self):
        self.control.close()
        self.program.stop()
