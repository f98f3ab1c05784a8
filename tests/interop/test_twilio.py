"""baresip as a handset behind the whole gateway: set-up, trunk, webhooks, with the Twilio simulator."""

import json
import threading
import unittest

from tests.harness.capture import Capture, tone_share
from tests.harness.gateway import Gateway
from tests.harness.lab import GATEWAY_LAN, Office
from tests.harness.office import NUMBER, write_config
from tests.harness.simulator import Simulator
from tests.harness.wait import wait_until

DOMAIN = "interop.sip.twilio.com"
CALLED = "+15035551212"
CALLER = "+15035550111"
WEBHOOK = "127.0.0.1:8080"
TONE_OF_101 = 440
TONE_OF_PSTN = 600


class AtTwilio(Office):
    def setUp(self):
        super().setUp()
        self.simulator = self.started(Simulator(self.gw_host, self.folder))
        trunk, twilio = self.simulator.tables(DOMAIN)
        self.config = write_config(
            self.folder, GATEWAY_LAN, trunk, ["101"], twilio=twilio,
            webhook={"public_url": f"http://{WEBHOOK}", "listen": WEBHOOK}, ring=["101"])
        self.simulator.set_up(self.config)
        self.gateway = self.started(Gateway(self.gw_host, self.folder, self.config))
        secret = self.gateway.command("handset", "101", "--json").stdout
        self.handset = self.start_handset("101", "10.77.0.11", TONE_OF_101, json.loads(secret)["password"])
        self.handset.wait_registered()
        self.gateway.wait_registered_at_trunk(["101"])

    def test_baresip_registers_calls_out_and_is_called_with_sound_both_ways(self):
        port = self.simulator.addresses["sip"].rsplit(":", 1)[1]
        trunk = self.started(Capture(self.gw_host, self.folder, "lo", f"udp or tcp port {port}"))
        lan = self.started(Capture(self.gw_host, self.folder, "lan"))
        party = {"tone_hz": TONE_OF_PSTN, "answer_after_ms": 300}
        self.simulator.control("POST", "pstn/party", {"number": CALLED, "party": party})

        self.handset.dial("5035551212")
        self.handset.wait_for("CALL_ESTABLISHED")
        self.handset.wait_to_hear(TONE_OF_PSTN)
        self.handset.hang_up()
        wait_until(lambda: self.simulator.journal("pstn_ended"), "the PSTN party's call ends")
        ended = self.simulator.journal("pstn_ended")[0]
        self.assertAlmostEqual(ended["heard"]["hertz"], TONE_OF_101, delta=3)
        self.assertGreater(ended["heard"]["purity"], 0.9)
        self.assertEqual(ended["heard"]["lost"], 0)
        self.gateway.wait_quiet()

        outcome = {}

        def call_in():
            outcome.update(self.simulator.control("POST", "pstn/call", {
                "from": CALLER, "to": NUMBER, "party": {"tone_hz": TONE_OF_PSTN, "hang_up_after_ms": 4000}}))
        caller = threading.Thread(target=call_in, daemon=True)
        caller.start()
        self.handset.wait_for("CALL_INCOMING")
        self.handset.accept()
        self.handset.wait_for("CALL_ESTABLISHED", nth=2)
        self.handset.wait_to_hear(TONE_OF_PSTN)
        caller.join(30)
        self.assertTrue(outcome["answered"], outcome)
        self.assertAlmostEqual(outcome["heard"]["hertz"], TONE_OF_101, delta=3)
        self.handset.wait_for("CALL_CLOSED", nth=2)
        self.gateway.wait_quiet()

        trunk.stop()
        lan.stop()
        self.assertEqual(self.simulator.control("GET", "violations"), [])
        self.assertEqual(trunk.holds(b"SIP/2.0"), 0)
        self.assertGreater(trunk.tshark("tls", [f"tcp.port=={port},tls"]), 0)
        outside = trunk.rtp_streams()
        self.assertGreaterEqual(len(outside), 4, "two directions of two calls")
        for payloads in outside.values():
            self.assertLess(max(tone_share(payloads, f) for f in (TONE_OF_101, TONE_OF_PSTN)), 0.1)
        for frequency in (TONE_OF_101, TONE_OF_PSTN):
            self.assertTrue(any(tone_share(p, frequency) > 0.9 for p in lan.rtp_streams().values()),
                            f"{frequency} Hz is to be heard on the LAN, or this test could not fail")


if __name__ == "__main__":
    unittest.main()
