"""A router without a battery: its clock says 1970, or is a month ahead. libfaketime is the clock, chrony the NTP server."""

import glob
import json
import time
import unittest

from tests.harness.chrony import Chrony
from tests.harness.lab import Office
from tests.harness.wait import wait_until

HANDSETS = {"101": "10.77.0.11", "102": "10.77.0.12"}
TIME_WAN = "10.78.0.4"


def clock(fake):
    """What a command begins with whose wall clock is another one (see faketime(1)); its timers run on."""
    libraries = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    return ["env", f"LD_PRELOAD={libraries[0]}", f"FAKETIME={fake}", "DONT_FAKE_MONOTONIC=1", "TZ=UTC"]


class AtTheWrongTime(Office):
    def setUp(self):
        super().setUp()
        self.time_host = self.network.host("time", wan=TIME_WAN)

    def begin(self, fake, extensions):
        self.kamailio = self.start_kamailio(extensions)
        self.gateway = self.start_gateway(extensions, self.kamailio.ca_file, prefix=clock(fake),
                                          clock={"sntp": [TIME_WAN]})

    def test_in_1970_phones_are_served_and_the_trunk_waits_with_a_reason_until_a_time_server_answers(self):
        self.begin("@1970-01-01 00:01:00", list(HANDSETS))
        first = self.start_handset("101", HANDSETS["101"], 440)
        second = self.start_handset("102", HANDSETS["102"], 600, answer="auto")
        first.wait_registered()
        second.wait_registered()
        first.dial("102")
        first.wait_for("CALL_ESTABLISHED")
        first.wait_to_hear(600)
        first.hang_up()
        self.gateway.wait_quiet()

        status = wait_until(self.asked_in_vain, "the status says that nobody told the time")
        self.assertEqual(status["trunk"]["state"], "waiting")
        self.assertIn("clock says 1970-01-01", status["trunk"]["reason"])
        self.assertIn(f"waiting for the time from {TIME_WAN}", status["trunk"]["reason"])
        self.assertIsNone(status["clock"]["trusted"])
        self.assertNotIn("REGISTER", self.kamailio.log())
        self.assertEqual(self.gateway.program.log().count("trunk.waiting"), 1)

        self.started(Chrony(self.time_host, self.folder))
        self.gateway.wait_registered_at_trunk(HANDSETS, 20)
        now = self.gateway.status()["clock"]
        self.assertEqual(now["server"], TIME_WAN)
        self.assertAlmostEqual(now["trusted"], time.time(), delta=5)
        self.assertLess(now["system"], 86400)
        self.assertRegex(self.gateway.program.log(), f"notice clock.told {TIME_WAN}: it is 20")

        # What is known now is the floor of the next run.
        self.gateway.stop()
        with open(f"{self.folder}/state/time.json") as file:
            self.assertAlmostEqual(json.load(file), time.time(), delta=10)

    def asked_in_vain(self):
        status = self.gateway.status()
        return status if "refused" in (status["trunk"]["reason"] or "") else None

    def test_a_clock_that_is_ahead_is_put_right_when_the_certificate_looks_expired(self):
        self.started(Chrony(self.time_host, self.folder))
        self.begin("+30d", ["101"])
        self.gateway.wait_registered_at_trunk(["101"])
        log = self.gateway.program.log()
        self.assertIn("certificate expired", log)
        self.assertIn(f"clock.told {TIME_WAN}", log)
        self.assertAlmostEqual(self.gateway.status()["clock"]["trusted"], time.time(), delta=5)


if __name__ == "__main__":
    unittest.main()
