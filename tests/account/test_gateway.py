"""What the gateway itself asks of Twilio: `gateway setup` against the simulator, validated against Twilio's OpenAPI."""

import os
import subprocess
import tempfile
import unittest

from tests.account.validate import Report
from tests.harness.office import write_config
from tests.harness.paths import BINARY, TARGET
from tests.harness.simulator import Recorded
from tests.harness.wait import LIMIT

DOMAIN = "account.sip.twilio.com"


class Setup(unittest.TestCase):
    def test_setup_asks_by_the_book_and_finds_nothing_to_do_when_it_is_done(self):
        simulator = Recorded("gateway_setup")
        self.addCleanup(simulator.stop)
        folder = tempfile.TemporaryDirectory(prefix="setup-", dir=TARGET)
        self.addCleanup(folder.cleanup)
        trunk, twilio = simulator.tables(DOMAIN)
        config = write_config(
            folder.name, "127.0.0.1", trunk, ["101", "102"], twilio=twilio, ring=["101"])

        def setup():
            done = subprocess.run([BINARY, "setup", "--yes", "--config", config], stdin=subprocess.DEVNULL,
                                  env={**os.environ, "TWILIO_AUTH_TOKEN": simulator.token}, capture_output=True,
                                  text=True, timeout=LIMIT)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            return simulator.control("GET", "requests")

        first = setup()
        second = setup()
        self.assertGreater(first["writes"], 0)
        self.assertEqual(second["writes"], first["writes"], "the second run writes nothing")
        self.assertEqual(second["unknown_parameters"], [])
        report = Report().read(simulator.recording)
        self.assertGreater(report.answers.total(), 0)
        self.assertEqual(report.violations, [], f"\n{report}")


if __name__ == "__main__":
    unittest.main()
