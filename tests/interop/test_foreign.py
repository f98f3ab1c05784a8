"""The foreign programs among themselves, without the gateway: if these fail, the environment is broken, not we."""

from tests.harness.baresip import Baresip
from tests.harness.capture import Capture, tone_share
from tests.harness.kamailio import DOMAIN, PSTN_NUMBER, Kamailio
from tests.harness.lab import Lab
from tests.harness.wait import wait_until


class ForeignPrograms(Lab):
    def test_baresip_calls_baresip_through_kamailio_with_tls_and_srtp_both_ways(self):
        office = self.network.host("office", wan="10.78.0.1")
        domain = self.network.host("domain", wan="10.78.0.2")
        pstn = self.network.host("pstn", wan="10.78.0.3")
        capture = self.started(Capture(office, self.folder, "wan"))
        kamailio = self.started(Kamailio(domain, self.folder, {"101": "secret-101"}, pstn.wan))
        party = self.started(Baresip(
            pstn, self.folder, "pstn", pstn.wan,
            f"<sip:{PSTN_NUMBER}@{DOMAIN}>;regint=0;outbound=\"sip:{domain.wan};transport=udp\";"
            "mediaenc=srtp-mand;audio_codecs=PCMU/8000/1;answermode=auto", 600))
        phone = self.started(Baresip(
            office, self.folder, "phone", office.wan,
            f"<sip:101@{DOMAIN};transport=tls>;auth_user=101;auth_pass=secret-101;regint=600;"
            f"outbound=\"sip:{domain.wan}:5061;transport=tls\";mediaenc=srtp-mand;audio_codecs=PCMU/8000/1", 440))
        phone.wait_registered()

        phone.dial(f"sip:{PSTN_NUMBER}@{DOMAIN}")
        phone.wait_for("CALL_ESTABLISHED")
        party.wait_to_hear(440)
        phone.wait_to_hear(600)
        phone.hang_up()
        party.wait_for("CALL_CLOSED")

        party.dial("sip:101@" + DOMAIN)
        phone.wait_for("CALL_INCOMING")
        phone.accept()
        phone.wait_for("CALL_ESTABLISHED", nth=2)
        phone.wait_to_hear(600)
        party.hang_up()
        phone.wait_for("CALL_CLOSED", nth=2)
        wait_until(lambda: "PASS loose-routed BYE" in kamailio.log(), "the BYE is loose-routed")

        capture.stop()
        self.assertEqual(capture.holds(b"SIP/2.0"), 0)
        streams = capture.rtp_streams()
        self.assertGreater(len(streams), 0)
        for payloads in streams.values():
            self.assertLess(max(tone_share(payloads, 440), tone_share(payloads, 600)), 0.1)
