"""pjsip, the stack of many softphones, as a handset: it closes connections that say nothing, insists on SRTP, and moves."""

import importlib.util
import subprocess
import unittest

from tests.harness.certificates import make_ca
from tests.harness.lab import GATEWAY_LAN, Office
from tests.harness.network import run
from tests.harness.office import lan_password
from tests.harness.pjsip import Pjsip
from tests.harness.wait import wait_until

UNREACHABLE = "10.78.0.9:5061"


@unittest.skipUnless(importlib.util.find_spec("pjsua2"), "pjsua2-python has no wheel for this Python")
class PjsipHandsets(Office):
    def start_lan(self, extensions):
        """A gateway whose trunk goes nowhere: the LAN never waits for it."""
        ca_file = make_ca(self.folder, "unused", "unused.example", valid=False)
        return self.start_gateway(extensions, ca_file, server=UNREACHABLE)

    def start_pjsip(self, extension, address, frequency, **options):
        host = self.network.host(f"h{extension}", lan=address)
        phone = self.started(Pjsip(host, self.folder, extension, GATEWAY_LAN, lan_password(extension), frequency, **options))
        phone.host = host
        phone.wait_registered()
        return phone

    def test_a_call_by_tcp_of_a_phone_that_registered_by_udp_outlives_its_idle_connection(self):
        gw = self.start_lan(["101", "102"])
        still = self.start_pjsip("101", "10.77.0.11", 440)
        closes = self.start_pjsip("102", "10.77.0.12", 600)

        def connections():
            done = subprocess.run(closes.host.command("cat", "/proc/net/tcp"), capture_output=True, text=True)
            return [line for line in done.stdout.splitlines()[1:] if line.split()[2].endswith(":13C4") and line.split()[3] == "01"]
        # pjsip does so with a message that is too large for UDP.
        closes.do("dial", number="101", by="tcp")
        still.wait_for("EARLY")
        self.assertEqual(len(connections()), 1)
        still.do("answer", call=0)
        closes.wait_for("CONFIRMED")
        # It closes a connection after 33 s without a request.
        wait_until(lambda: not connections(), "pjsip closes its idle connection", 50)
        still.wait_to_hear(600)
        closes.wait_to_hear(440)
        still.do("hang_up", call=0)
        closes.wait_for("ENDED")
        still.do("dial", number="102")
        closes.wait_for("EARLY", 1)
        closes.do("answer", call=1)
        still.wait_to_hear(600, 1)
        still.do("hang_up", call=1)
        gw.wait_quiet()

    def test_a_phone_that_insists_on_srtp_calls_and_is_called(self):
        gw = self.start_lan(["101", "102"])
        plain = self.start_pjsip("101", "10.77.0.11", 440)
        secure = self.start_pjsip("102", "10.77.0.12", 600, srtp="must")
        for turn, (caller, called, number) in enumerate([(plain, secure, "102"), (secure, plain, "101")]):
            caller.do("dial", number=number)
            called.wait_for("EARLY", turn)
            called.do("answer", call=turn)
            caller.wait_for("CONFIRMED", turn)
            plain.wait_to_hear(600, turn)
            secure.wait_to_hear(440, turn)
            caller.do("hang_up", call=turn)
            called.wait_for("ENDED", turn)
        gw.wait_quiet()

    def test_a_transfer_while_the_consultation_rings_connects_the_two_others(self):
        gw = self.start_lan(["101", "102", "103"])
        middle = self.start_pjsip("101", "10.77.0.11", 440)
        first = self.start_pjsip("102", "10.77.0.12", 600)
        last = self.start_pjsip("103", "10.77.0.13", 880, codec="PCMA")
        first.do("dial", number="101")
        middle.wait_for("EARLY")
        middle.do("answer", call=0)
        first.wait_for("CONFIRMED")
        middle.do("hold", call=0)
        middle.do("dial", number="103")
        last.wait_for("EARLY")
        middle.do("transfer", call=0, to=1)
        last.do("answer", call=0)
        last.wait_for("CONFIRMED")
        last.wait_to_hear(600)
        first.wait_to_hear(880)
        first.do("hang_up", call=0)
        gw.wait_quiet()

    def test_a_phone_that_gets_another_address_keeps_its_call_and_rings_there(self):
        gw = self.start_lan(["101", "102"])
        still = self.start_pjsip("101", "10.77.0.11", 440)
        moves = self.start_pjsip("102", "10.77.0.12", 600)
        moves.do("dial", number="101")
        still.wait_for("EARLY")
        still.do("answer", call=0)
        moves.wait_for("CONFIRMED")
        still.wait_to_hear(600)
        run("ip", "-n", moves.host.namespace, "address", "del", "10.77.0.12/24", "dev", "lan")
        run("ip", "-n", moves.host.namespace, "address", "add", "10.77.0.32/24", "dev", "lan")
        moves.do("moved")
        wait_until(lambda: any("10.77.0.32" in h["contact"] for h in gw.handsets("102")), "it registers from there", 20)
        still.wait_to_hear(600, seconds=4.0, within=30)
        moves.wait_to_hear(440, seconds=4.0, within=30)
        still.do("hang_up", call=0)
        moves.wait_for("ENDED")
        gw.wait_quiet()
