"""The gateway at a SIP domain that was not written here: kamailio, TLS, digest, SRTP, Record-Route."""

import unittest

from tests.harness.capture import Capture, tone_share
from tests.harness.certificates import make_ca
from tests.harness.kamailio import DOMAIN, PSTN_NUMBER
from tests.harness.lab import Office
from tests.harness.program import fresh_folder
from tests.harness.wait import wait_until

HANDSET = "10.77.0.11"
TONE_OF_101 = 440
TONE_OF_PSTN = 600


class AtKamailio(Office):
    def test_calls_go_out_and_come_in_over_the_one_tls_flow_and_the_trunk_shows_no_plaintext(self):
        kamailio = self.start_kamailio(["101"])
        pstn = self.start_pstn(TONE_OF_PSTN)
        trunk = self.started(Capture(self.gw_host, self.folder, "wan"))
        lan = self.started(Capture(self.gw_host, self.folder, "lan"))
        gateway = self.start_gateway(["101"], kamailio.ca_file)
        handset = self.start_handset("101", HANDSET, TONE_OF_101)
        handset.wait_registered()
        gateway.wait_registered_at_trunk(["101"])
        self.assertIn("CHALLENGE REGISTER from sip:101@", kamailio.log())

        # Out, and the handset hangs up.
        handset.dial(PSTN_NUMBER)
        handset.wait_for("CALL_ESTABLISHED")
        pstn.wait_to_hear(TONE_OF_101)
        handset.wait_to_hear(TONE_OF_PSTN)
        handset.hang_up()
        pstn.wait_for("CALL_CLOSED")
        gateway.wait_quiet()
        self.assertIn(f"OUT call from 101 to {PSTN_NUMBER}", kamailio.log())

        # Out, and the far end hangs up.
        handset.dial(PSTN_NUMBER)
        handset.wait_for("CALL_ESTABLISHED", nth=2)
        handset.wait_to_hear(TONE_OF_PSTN)
        pstn.hang_up()
        handset.wait_for("CALL_CLOSED", nth=2)
        gateway.wait_quiet()

        # In, on the connection that registered: kamailio may not open another.
        pstn.dial(f"sip:101@{DOMAIN}")
        handset.wait_for("CALL_INCOMING", nth=1)
        handset.accept()
        handset.wait_for("CALL_ESTABLISHED", nth=3)
        handset.wait_to_hear(TONE_OF_PSTN)
        pstn.wait_to_hear(TONE_OF_101)
        pstn.hang_up()
        handset.wait_for("CALL_CLOSED", nth=3)
        gateway.wait_quiet()
        for method in ("ACK", "BYE"):
            self.assertIn(f"PASS loose-routed {method}", kamailio.log())

        trunk.stop()
        lan.stop()
        self.check_captures(trunk, lan)

    def check_captures(self, trunk, lan):
        """Outside: TLS to the SIP port, SRTP, nothing else. Inside the same questions find SIP and tones."""
        self.assertEqual(trunk.holds(b"SIP/2.0"), 0)
        self.assertGreater(lan.holds(b"SIP/2.0"), 0)
        self.assertEqual(trunk.tshark("sip"), 0)
        self.assertGreater(trunk.tshark("tls.record.content_type == 23 && tcp.port == 5061"), 0)
        self.assertEqual(trunk.tshark("tcp && !(tcp.port == 5061)"), 0)
        self.assertEqual(trunk.tshark("tls.handshake.type == 1", ["tcp.port==5061,tls"]), 1, "one connection")

        inside, outside = lan.rtp_streams(), trunk.rtp_streams()
        self.assertGreaterEqual(len(outside), 6, "two directions of three calls")
        for payloads in outside.values():
            self.assertGreater(len(payloads), 50)
            self.assertTrue(all(len(p) in (170, 164) for p in payloads), "160 octets of PCMU and an SRTP tag")
            self.assertLess(max(tone_share(payloads, f) for f in (TONE_OF_101, TONE_OF_PSTN)), 0.1)
        for frequency in (TONE_OF_101, TONE_OF_PSTN):
            self.assertTrue(any(tone_share(payloads, frequency) > 0.9 for payloads in inside.values()),
                            f"{frequency} Hz is to be heard on the LAN, or this test could not fail")

    def test_the_flow_comes_back_after_the_domain_was_away(self):
        kamailio = self.start_kamailio(["101"])
        pstn = self.start_pstn(TONE_OF_PSTN)
        gateway = self.start_gateway(["101"], kamailio.ca_file)
        handset = self.start_handset("101", HANDSET, TONE_OF_101)
        handset.wait_registered()
        gateway.wait_registered_at_trunk(["101"])
        kamailio.stop()
        wait_until(lambda: gateway.status()["trunk"]["state"] != "up", "the gateway sees that the flow is gone")

        handset.dial(PSTN_NUMBER)
        handset.wait_for("CALL_CLOSED", 5)

        kamailio.start()
        gateway.wait_registered_at_trunk(["101"], 60)
        handset.dial(PSTN_NUMBER)
        handset.wait_for("CALL_ESTABLISHED")
        handset.wait_to_hear(TONE_OF_PSTN)
        handset.hang_up()
        pstn.wait_for("CALL_CLOSED")

    def test_a_server_whose_certificate_is_from_another_ca_gets_no_registration(self):
        kamailio = self.start_kamailio(["101"])
        stranger = make_ca(fresh_folder("stranger"), "stranger", DOMAIN, valid=False)
        gateway = self.start_gateway(["101"], stranger)
        handset = self.start_handset("101", HANDSET, TONE_OF_101)
        handset.wait_registered()
        reason = wait_until(lambda: gateway.status()["trunk"]["reason"], "the status tells why the flow is not up")
        self.assertRegex(reason.lower(), "certificate|issuer")
        self.assertNotIn("REGISTER", kamailio.log())


if __name__ == "__main__":
    unittest.main()
