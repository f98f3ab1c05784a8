"""A router's life: the gateway between a LAN and a line outside whose addresses, cables and interfaces come and go."""

import signal
import socket
import sys
import time
import unittest

from tests.harness.capture import Capture
from tests.harness.certificates import make_ca
from tests.harness.kamailio import DOMAIN, PSTN_NUMBER
from tests.harness.lab import GATEWAY_LAN, GATEWAY_WAN, PSTN_WAN, Office
from tests.harness.network import run
from tests.harness.wait import wait_until

HANDSET = "10.77.0.11"
NEW_WAN = "10.78.0.9"
TONE_OF_101 = 440
TONE_OF_PSTN = 600
OUTAGE = 10  # seconds


def show(text):
    """For whoever reads the run's output."""
    print(f"  {text}", file=sys.stderr, flush=True)


def rtp(capture, source, destination):
    """When RTP passed from one address to another, in seconds since 1970."""
    return [d.time for d in capture.datagrams()
            if d.source == source and d.destination == destination and len(d.payload) > 12 and d.payload[0] >> 6 == 2
            and d.payload[1] & 0x7F == 0]


def longest_gap(times):
    """Milliseconds of the longest silence between two packets."""
    return max((round(1000 * (b - a)) for a, b in zip(times, times[1:])), default=None)


class OnARouter(Office):
    def ip(self, *arguments):
        """`ip` on the gateway's host."""
        run("ip", "-n", self.gw_host.namespace, *arguments)

    def logged(self, gateway, text, seconds=10, nth=1):
        wait_until(lambda: gateway.program.log().count(text) >= nth,
                   f"the gateway logs {text!r} {nth} times (log: {gateway.program.log_path})", seconds)

    def start_call(self):
        """The whole office, with sound in both directions."""
        self.kamailio = self.start_kamailio(["101"])
        self.pstn = self.start_pstn(TONE_OF_PSTN)
        self.gateway = self.start_gateway(["101"], self.kamailio.ca_file)
        self.handset = self.start_handset("101", HANDSET, TONE_OF_101)
        self.handset.wait_registered()
        self.gateway.wait_registered_at_trunk(["101"])
        self.inside = self.started(Capture(self.gw_host, self.folder, "lan", "udp"))
        self.handset.dial(PSTN_NUMBER)
        self.handset.wait_for("CALL_ESTABLISHED")
        self.wait_for_sound()

    def wait_for_sound(self):
        self.pstn.wait_to_hear(TONE_OF_101, seconds=1.0)
        self.handset.wait_to_hear(TONE_OF_PSTN, seconds=1.0)

    def test_a_call_goes_on_at_another_address_and_over_reloads_and_a_stop_tells_everybody(self):
        self.start_call()
        outside = self.started(Capture(self.pstn.host, self.folder, "wan", "udp"))
        # Nothing happens to a call when the configuration is read again.
        self.gateway.command("reload")
        self.gateway.program.process.send_signal(signal.SIGHUP)
        self.logged(self.gateway, "the new configuration is in force", nth=2)

        began, changed = time.monotonic(), time.time()
        self.ip("address", "del", f"{GATEWAY_WAN}/24", "dev", "wan")
        self.ip("address", "add", f"{NEW_WAN}/24", "dev", "wan")
        wait_until(lambda: f"REGISTER 101 from tls:{NEW_WAN}" in self.kamailio.log(),
                   "101 registers from the new address", 10)
        registered = time.monotonic() - began
        self.logged(self.gateway, "call.repaired", 10)
        repaired = time.monotonic() - began
        time.sleep(1)  # of sound at the new address, for the captures
        self.wait_for_sound()
        # Their BYE finds us only if our Contact is the new one: kamailio may not open connections.
        self.pstn.hang_up()
        self.handset.wait_for("CALL_CLOSED")
        self.gateway.wait_quiet()
        self.inside.stop()
        outside.stop()
        # What still left with the old address does not count: on the internet it would not come back, or get through.
        towards_pstn = round(1000 * (rtp(outside, NEW_WAN, PSTN_WAN)[0] - changed))
        towards_handset = longest_gap(rtp(self.inside, GATEWAY_LAN, HANDSET))
        show(f"another address: registered after {registered:.1f} s, call repaired after {repaired:.1f} s; "
             f"gap {towards_pstn} ms towards the far end, {towards_handset} ms towards the handset")
        self.assertLess(registered, 5)
        self.assertLess(towards_pstn, 5000)
        self.assertLess(towards_handset, 5000)

        # The service stops: who talks is told, who registered is taken out.
        self.handset.dial(PSTN_NUMBER)
        self.handset.wait_for("CALL_ESTABLISHED", nth=2)
        self.gateway.program.process.send_signal(signal.SIGTERM)
        self.handset.wait_for("CALL_CLOSED", nth=2)
        self.pstn.wait_for("CALL_CLOSED", nth=2)
        self.assertEqual(self.gateway.program.wait(5), 0)
        self.assertRegex(self.kamailio.log(), rf"REGISTER 101 from tls:{NEW_WAN}:\d+ expires 0")

    def test_a_call_outlives_a_cable_that_is_out_for_ten_seconds(self):
        self.start_call()
        outside = self.started(Capture(self.pstn.host, self.folder, "wan", "udp"))
        time.sleep(0.5)
        self.ip("link", "set", "wan", "down")
        time.sleep(OUTAGE)
        self.ip("link", "set", "wan", "up")
        time.sleep(1)  # of sound
        began = time.monotonic()
        self.handset.hang_up()
        self.pstn.wait_for("CALL_CLOSED", 8)
        ended = time.monotonic() - began
        self.handset.dial(PSTN_NUMBER)
        self.handset.wait_for("CALL_ESTABLISHED", nth=2)
        self.handset.hang_up()
        outside.stop()
        self.inside.stop()
        towards_pstn = longest_gap(rtp(outside, GATEWAY_WAN, PSTN_WAN))
        towards_handset = longest_gap(rtp(self.inside, GATEWAY_LAN, HANDSET))
        show(f"{OUTAGE} s without the cable: a hang-up arrives after {ended:.1f} s; "
             f"longest gap {towards_pstn} ms towards the far end, {towards_handset} ms towards the handset")
        for gap in (towards_pstn, towards_handset):
            self.assertLess(gap, 1000 * OUTAGE + 3000)

    def test_handsets_are_answered_when_their_interface_comes_late_or_comes_back(self):
        phone = self.network.host("phone", lan=HANDSET)
        self.ip("address", "del", f"{GATEWAY_LAN}/24", "dev", "lan")
        # Nobody is at the server's address: the trunk waits, the LAN does not.
        ca_file = make_ca(self.folder, "domain", DOMAIN, valid=False)
        gateway = self.start_gateway(["101"], ca_file)
        self.logged(gateway, "lan.waiting")
        self.ip("address", "add", f"{GATEWAY_LAN}/24", "dev", "lan")
        late = self.seconds_until_answered(phone)

        mac = self.mac()
        run("ip", "-n", self.gw_host.namespace, "link", "del", "lan")
        self.logged(gateway, "no interface has this address any more")
        run("ip", "-n", f"{self.network.name}-switch", "link", "add", "lan-gw", "type", "veth",
            "peer", "name", "lan", "netns", self.gw_host.namespace)
        run("ip", "-n", f"{self.network.name}-switch", "link", "set", "lan-gw", "master", "lan", "up")
        self.ip("link", "set", "lan", "address", mac)
        self.ip("address", "add", f"{GATEWAY_LAN}/24", "dev", "lan")
        self.ip("link", "set", "lan", "up")
        back = self.seconds_until_answered(phone)
        show(f"a LAN interface that comes late is answered on after {late:.1f} s, one that comes back after {back:.1f} s")
        self.logged(gateway, "an interface has this address; its handsets are answered", nth=2)

    def test_auto_waits_for_a_private_address_and_takes_whatever_comes_later(self):
        phone = self.network.host("phone", lan=HANDSET)
        for address, interface in ((GATEWAY_LAN, "lan"), (GATEWAY_WAN, "wan")):
            self.ip("address", "del", f"{address}/24", "dev", interface)
        ca_file = make_ca(self.folder, "domain", DOMAIN, valid=False)
        gateway = self.start_gateway(["101"], ca_file, listen="auto")
        self.logged(gateway, "lan.waiting")
        status = gateway.status()["lan"]
        self.assertEqual(status["listening"], [])
        self.assertRegex(status["waiting"][0], "finds no private address on this host")
        self.assertIn(status["waiting"][0], gateway.command("status").stdout)
        self.ip("address", "add", f"{GATEWAY_LAN}/24", "dev", "lan")
        late = self.seconds_until_answered(phone)
        self.ip("address", "add", f"{GATEWAY_WAN}/24", "dev", "wan")
        self.logged(gateway, f"lan.listening {GATEWAY_WAN}:5060")
        status = gateway.status()["lan"]
        self.assertEqual(status["listening"], [f"{GATEWAY_LAN}:5060", f"{GATEWAY_WAN}:5060"])
        self.assertEqual(status["waiting"], [])
        # What the interfaces did is nothing that a restart is needed for.
        gateway.command("reload")
        self.logged(gateway, "the new configuration is in force")
        self.assertNotIn("needs a restart", gateway.program.log())
        show(f"auto, and the first private address comes late: answered on after {late:.1f} s")

    def mac(self):
        with_mac = run("ip", "-n", self.gw_host.namespace, "-o", "link", "show", "lan")
        return with_mac.split("link/ether ")[1].split()[0]

    def seconds_until_answered(self, phone):
        """Asks by OPTIONS from a handset's place until there is an answer."""
        began = time.monotonic()
        asking = phone.socket(socket.SOCK_DGRAM)
        asking.bind((HANDSET, 0))
        asking.settimeout(0.2)
        port = asking.getsockname()[1]
        request = (f"OPTIONS sip:{GATEWAY_LAN} SIP/2.0\r\nVia: SIP/2.0/UDP {HANDSET}:{port};branch=z9hG4bKx;rport\r\n"
                   f"From: <sip:101@{GATEWAY_LAN}>;tag=1\r\nTo: <sip:{GATEWAY_LAN}>\r\nCall-ID: x\r\n"
                   "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n").encode()

        def answered():
            try:
                asking.sendto(request, (GATEWAY_LAN, 5060))
                return asking.recv(2048).startswith(b"SIP/2.0 200")
            except OSError:  # no answer yet, or a host that says that nobody listens
                return False
        try:
            wait_until(answered, "the gateway answers OPTIONS", 10)
        finally:
            asking.close()
        return time.monotonic() - began


if __name__ == "__main__":
    unittest.main()
