"""The account's commands with prism between them and the simulator: a second reader of Twilio's OpenAPI files."""

import re

from tests.account.account import Fresh
from tests.harness.program import fresh_folder
from tests.peers.prism import Prisms


class Prism(Fresh):
    def test_set_up_change_and_removal_are_requests_and_answers_by_the_book(self):
        prisms = Prisms(fresh_folder("Prism"), self.simulator)
        self.addCleanup(prisms.stop)
        self.office.asset("sounds/hello.wav", b"RIFF")
        self.office.write(hosted=True)
        with open(self.office.config) as file:
            text = file.read()
        with open(self.office.config, "w") as file:
            file.write(re.sub(r'(?m)^api = ".*"$', f'api = "{prisms.address}"', text))
        self.office.setup()
        self.assertEqual(self.office.setup().requests[1], 0, "the second run writes nothing")
        self.office.done("destroy", "--environment", "stage", "--yes", "stage")
        self.assertEqual(prisms.refused, [], "\n".join(prisms.refused))
        self.assertGreater(prisms.passed, 40)
