"""pjsip as a handset on a host of its own, without a sound card: see [`pjsip_phone`] for the program."""

import json
import os
import sys

from tests.harness import tone
from tests.harness.program import Program
from tests.harness.wait import wait_until

CONTROL_PORT = 4446
PHONE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pjsip_phone.py")


class Pjsip:
    """One pjsip phone: `transport` is udp or tcp, `srtp` is no or must, `codec` is PCMU or PCMA."""

    def __init__(self, host, folder, extension, gateway, password, frequency, *, transport="udp", srtp="no", codec="PCMU"):
        self.folder = os.path.join(folder, f"pjsip-{extension}")
        os.makedirs(self.folder)
        setup = {"extension": extension, "gateway": gateway, "password": password, "frequency": frequency,
                 "folder": self.folder, "transport": transport, "srtp": srtp, "codec": codec, "control": CONTROL_PORT}
        self.program = Program(host, self.folder, f"pjsip-{extension}", sys.executable, PHONE, json.dumps(setup))
        self.control = self._connect(host).makefile("rw")

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

    def do(self, what, **more):
        """Gives a command; the state after it: whether it is registered, and each call's state and last status code."""
        self.control.write(json.dumps({"do": what, **more}) + "\n")
        self.control.flush()
        answer = json.loads(self.control.readline())
        if "error" in answer:
            raise AssertionError(f"{self.program.name} cannot {what}: {answer['error']}")
        return answer

    def wait_registered(self, seconds=10):
        wait_until(lambda: self.do("state")["registered"],
                   f"{self.program.name} is registered (log: {self.program.log_path})", seconds)

    def wait_for(self, state, call=0, seconds=10):
        """Waits until a call is in a state of pjsip: EARLY, CONFIRMED; or ENDED."""
        def there():
            calls = self.do("state")["calls"]
            return len(calls) > call and calls[call][0] == state
        wait_until(there, f"call {call} of {self.program.name} is {state} "
                          f"(log: {self.program.log_path})", seconds)

    def wait_to_hear(self, frequency, call=0, seconds=2.0, within=15):
        """Waits until a call has heard `seconds` of a tone and nothing much beside it."""
        def hears():
            part = tone.growing(os.path.join(self.folder, f"heard-{call}.wav"))[-int(seconds * tone.RATE):]
            if len(part) < seconds * tone.RATE or tone.level(part) < -30:
                return False
            return tone.share(part, tone.RATE, frequency) > 0.9
        wait_until(hears, f"call {call} of {self.program.name} hears {frequency} Hz (files in {self.folder})", within)

    def stop(self):
        self.control.close()
        self.program.stop()
