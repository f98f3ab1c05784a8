"""Handsets that were not written here: baresip and sipp at the LAN side of the gateway."""

import unittest

from tests.harness import sipp
from tests.harness.baresip import Baresip
from tests.harness.capture import Capture, tone_share
from tests.harness.certificates import make_ca
from tests.harness.lab import GATEWAY_LAN, Office
from tests.harness.office import lan_password
from tests.harness.sipp import Sipp, credentials
from tests.harness.wait import wait_until

UNREACHABLE = "10.78.0.9:5061"


class Handsets(Office):
    def start_lan(self, extensions, **options):
        """A gateway whose trunk goes nowhere: the LAN never waits for it."""
        ca_file = make_ca(self.folder, "unused", "unused.example", valid=False)
        return self.start_gateway(extensions, ca_file, server=UNREACHABLE, **options)

    def test_baresip_calls_baresip_with_sound_both_ways_while_the_trunk_is_down(self):
        gw = self.start_lan(["101", "102"])
        one = self.start_handset("101", "10.77.0.11", 440)
        two = self.start_handset("102", "10.77.0.12", 600)
        one.wait_registered()
        two.wait_registered()
        self.assertEqual(len(gw.handsets("101")), 1)
        one.dial("102")
        two.wait_for("CALL_INCOMING")
        two.accept()
        one.wait_for("CALL_ESTABLISHED")
        two.wait_to_hear(440)
        one.wait_to_hear(600)
        two.hang_up()
        one.wait_for("CALL_CLOSED")
        gw.wait_quiet()

    def test_a_wrong_password_is_refused_and_the_right_one_on_another_handset_is_not_locked_out(self):
        gw = self.start_lan(["101"])
        wrong = self.start_handset("101", "10.77.0.11", 440, password="not-the-password")
        # baresip tries again at once, a few times, until it is told to wait.
        wrong.program.wait_for_log("503 Service Unavailable")
        self.assertFalse(wrong.registered())
        self.assertEqual(gw.handsets("101"), [])
        self.assertIn("wrong password for extension 101", gw.program.log())

        host = self.network.host("right", lan="10.77.0.12")
        right = self.started(Baresip(
            host, self.folder, "right", host.lan,
            f"<sip:101@{GATEWAY_LAN}>;auth_user=101;auth_pass={lan_password('101')};regint=120", 440))
        right.wait_registered()
        self.assertEqual(len(gw.handsets("101")), 1)

    def test_without_a_password_a_call_is_challenged_but_an_emergency_call_is_let_through(self):
        kamailio = self.start_kamailio(["101"])
        gw = self.start_gateway(["101"], kamailio.ca_file)
        known = self.start_handset("101", "10.77.0.11", 440)
        known.wait_registered()
        gw.wait_registered_at_trunk(["101"])
        pstn = self.start_pstn(600)

        stranger = self.network.host("stranger", lan="10.77.0.66")
        call = self.started(Sipp(stranger, self.folder, "stranger", "uninvited", stranger.lan, "-m", 1,
                                 target=f"{GATEWAY_LAN}:5060", keys={"dialled": "5035551212"}))
        self.assertEqual(call.wait(30)["succeeded"], 1, "401 is the success of that scenario")
        self.assertEqual(pstn.seen("CALL_INCOMING"), [])

        sipp.write_tone(self.folder, 440)
        emergency = self.started(Sipp(stranger, self.folder, "emergency", "emergency", stranger.lan, "-m", 1,
                                      target=f"{GATEWAY_LAN}:5060", keys={"dialled": "933"}))
        self.assertEqual(emergency.wait(30)["succeeded"], 1)
        wait_until(lambda: "to 933" in kamailio.log(), "the emergency call leaves")

    def test_two_hundred_handsets_register_and_five_hundred_calls_do_not_fail(self):
        extensions = [str(1000 + n) for n in range(200)]
        callers, called = extensions[:100], extensions[100:]
        gw = self.start_lan(extensions, limits={"calls": 100})
        sipp.write_tone(self.folder, 440)
        from_host = self.network.host("callers", lan="10.77.0.21")
        to_host = self.network.host("called", lan="10.77.0.22")
        for host, names in ((from_host, callers), (to_host, called)):
            registrations = self.started(Sipp(
                host, self.folder, f"register-{names[0]}", "register", host.lan, "-m", 100, "-r", 50, "-l", 100,
                target=f"{GATEWAY_LAN}:5060", keys={"expires": "3600"},
                rows=[(e, credentials(e, lan_password(e))) for e in names]))
            self.assertEqual(registrations.wait(60)["succeeded"], 100)
        self.assertTrue(all(len(e["handsets"]) == 1 for e in gw.status()["extensions"]))

        capture = self.started(Capture(from_host, self.folder, "lan", "udp"))
        answers = self.started(Sipp(to_host, self.folder, "answer", "answer", to_host.lan, "-rtp_echo",
                                    "-mi", to_host.lan, "-m", 500))
        calls = self.started(Sipp(
            from_host, self.folder, "call", "call", from_host.lan, "-m", 500, "-r", 20, "-l", 60,
            "-mi", from_host.lan, target=f"{GATEWAY_LAN}:5060",
            rows=[(a, credentials(a, lan_password(a)), b) for a, b in zip(callers, called)]))
        counted = calls.wait(120)
        self.assertEqual((counted["succeeded"], counted["failed"]), (500, 0), counted)
        self.assertEqual(answers.wait(10)["succeeded"], 500)
        gw.wait_quiet()

        capture.stop()
        echoes = [p for (_, _, to, _), p in capture.rtp_streams().items() if to == from_host.lan]
        self.assertEqual(len(echoes), 500, "each call has an RTP stream back to the caller")
        self.assertTrue(all(len(p) >= 40 for p in echoes), f"the shortest has {min(map(len, echoes))} packets")
        self.assertTrue(all(tone_share(p, 440) > 0.9 for p in echoes), "what comes back is what was said")


if __name__ == "__main__":
    unittest.main()
