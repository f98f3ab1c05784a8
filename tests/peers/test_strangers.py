"""What strangers send: SIPVicious looks for extensions and passwords, radamsa makes noise of real messages."""

import os
import random
import re
import socket
import subprocess

import pyradamsa

from tests.harness.certificates import make_ca
from tests.harness.lab import GATEWAY_LAN, Office
from tests.harness.office import lan_password
from tests.harness.wait import wait_until

UNREACHABLE = "10.78.0.9:5061"
# Of one kind of message.
NOISES = int(os.environ.get("GATEWAY_NOISE", "3000"))
SEED = 20261129


class Strangers(Office):
    def setUp(self):
        super().setUp()
        ca_file = make_ca(self.folder, "unused", "unused.example", valid=False)
        self.gw = self.start_gateway(["101", "102"], ca_file, server=UNREACHABLE)
        self.one = self.start_handset("101", "10.77.0.11", 440)
        self.two = self.start_handset("102", "10.77.0.12", 600)
        self.one.wait_registered()
        self.two.wait_registered()
        self.stranger = self.network.host("stranger", lan="10.77.0.66")
        self.calls = 0

    def assert_serves(self):
        """Two phones talk to each other, and nothing is left of it."""
        self.calls += 1
        self.one.dial("102")
        self.two.wait_for("CALL_INCOMING", nth=self.calls)
        self.two.accept()
        self.one.wait_to_hear(600)
        self.two.wait_to_hear(440)
        self.one.hang_up()
        self.two.wait_for("CALL_CLOSED", nth=self.calls)
        self.gw.wait_quiet(60)

    def tool(self, *argv):
        done = subprocess.run(self.stranger.command(*argv), capture_output=True, text=True, timeout=300, cwd=self.folder,
                              env={**os.environ, "HOME": self.folder})
        return done.stdout + done.stderr

    def test_sipvicious_learns_no_extension_and_no_password_and_the_phones_go_on(self):
        words = os.path.join(self.folder, "words.txt")
        with open(words, "w") as file:
            file.write("\n".join(["1234", "admin", "101", *(f"guess{n}" for n in range(200)), lan_password("101")]))
        found = self.tool("svmap", "10.77.0.0/24")
        self.assertIn(GATEWAY_LAN, found, "an OPTIONS is answered")
        for method in ("REGISTER", "INVITE", "OPTIONS"):
            listed = self.tool("svwar", "--force", "-m", method, "-e", "90-120", f"udp://{GATEWAY_LAN}:5060")
            rows = re.findall(r"\|\s*(\d+)\s*\|\s*(\w+)", listed)
            # The same answer for every name tells nothing about any.
            self.assertEqual(len({kind for _, kind in rows}) <= 1 and len(rows) in (0, 31), True, f"{method}: {listed}")
        cracked = self.tool("svcrack", "-u", "101", "-d", words, f"udp://{GATEWAY_LAN}:5060")
        self.assertNotIn(lan_password("101"), cracked, "it is held up long before the last word")
        self.assert_serves()

    def corpus(self):
        """Messages as this office's phones write them."""
        at = "10.77.0.66:5060"
        sdp = (f"v=0\r\no=- 1 1 IN IP4 10.77.0.66\r\ns=-\r\nc=IN IP4 10.77.0.66\r\nt=0 0\r\nm=audio 30000 RTP/AVP 0 8 101\r\n"
               "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\n")
        heads = {"REGISTER": f"sip:{GATEWAY_LAN}", "INVITE": f"sip:102@{GATEWAY_LAN}", "OPTIONS": f"sip:{GATEWAY_LAN}",
                 "SUBSCRIBE": f"sip:101@{GATEWAY_LAN}", "MESSAGE": f"sip:101@{GATEWAY_LAN}"}
        for method, uri in heads.items():
            body = sdp if method == "INVITE" else ""
            extra = f"Content-Type: application/sdp\r\n" if body else ""
            yield (f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bKnoise;rport\r\nMax-Forwards: 70\r\n"
                   f"From: \"A phone\" <sip:101@{GATEWAY_LAN}>;tag=noise\r\nTo: <{uri}>\r\nCall-ID: noise@{at}\r\n"
                   f"CSeq: 1 {method}\r\nContact: <sip:101@{at}>;expires=60\r\nAllow: INVITE, ACK, BYE, CANCEL\r\n"
                   f"{extra}Content-Length: {len(body)}\r\n\r\n{body}").encode()

    def test_noise_that_radamsa_makes_of_real_messages_stops_nothing(self):
        radamsa = pyradamsa.Radamsa()
        chance = random.Random(SEED)
        udp = self.stranger.socket(socket.SOCK_DGRAM)
        udp.setblocking(False)
        for message in self.corpus():
            for n in range(NOISES):
                noise = radamsa.fuzz(message, seed=chance.randrange(1 << 30), max_mut=65000)
                udp.sendto(noise, (GATEWAY_LAN, 5060))
                if n % 50 == 0:
                    tcp = self.stranger.socket()
                    tcp.settimeout(5)
                    try:
                        tcp.connect((GATEWAY_LAN, 5060))
                        tcp.sendall(noise)
                    except OSError:
                        pass  # it may hang up on us as soon as it has seen enough
                    tcp.close()
            self.assertTrue(self.gw.program.running(), self.gw.program.log()[-2000:])
        self.assertNotIn("panicked", self.gw.program.log())
        wait_until(lambda: len(self.gw.status()["calls"]) == 0, "no call of the noise is left", 60)
        self.assert_serves()
