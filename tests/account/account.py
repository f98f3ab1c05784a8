"""What most tests of an account begin with: a simulator of Twilio and an office of its own."""

import os
import unittest

from tests.account.validate import Report
from tests.harness.owner import NUMBERS, Office
from tests.harness.simulator import Recorded


def records(simulator):
    """Every resource of the account, as JSON."""
    return simulator.control("GET", "rest/records")


class Fresh(unittest.TestCase):
    """A fresh simulator and a fresh office for each test."""

    def setUp(self):
        module = type(self).__module__.rpartition(".test_")[2]
        self.simulator = Recorded(f"{module}-{self._testMethodName[5:50]}", numbers=NUMBERS)
        self.addCleanup(self.simulator.stop)
        self.office = Office(self.simulator)
        self.addCleanup(self.office.remove)


class Account(Fresh):
    """What is asked of Twilio in each test is judged by Twilio's OpenAPI files."""

    def tearDown(self):
        requests = self.simulator.control("GET", "requests")
        self.assertEqual(requests["unknown_parameters"], [], "Twilio would have ignored these without a word")
        if requests["log"]:
            report = Report().read(self.simulator.recording)
            self.assertEqual(report.violations, [], f"\n{report}")

    def fresh(self, name, *options):
        """Another simulator and office beside the test's own; addresses are registered at once."""
        simulator = Recorded(name, "--switch", "registration_reads=0", *options, numbers=NUMBERS)
        # The same requests as in the runs that are validated, a hundred times.
        self.addCleanup(os.remove, simulator.recording)
        self.addCleanup(simulator.stop)
        office = Office(simulator)
        self.addCleanup(office.remove)
        return simulator, office

    def assert_passwords(self, office, environments=("prod", "stage")):
        """Twilio has the password of every extension and of the box in every environment, and no other."""
        have = sorted(r["ha1"] for r in records(office.simulator) if r["kind"] == "credential")
        self.assertEqual(have, sorted(office.ha1(name, e) for e in environments for name in office.users()))
