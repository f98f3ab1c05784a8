"""The real commands against the simulator: an account's whole life, and a kill at every request of it."""

import base64
import http.client
import json
import re
import unittest
import urllib.parse

from tests.account.account import Account, records
from tests.harness.owner import NUMBERS

# What differs between two accounts that hold the same.
PASSING = ("date_created", "date_updated", "uri", "url", "links", "subresource_uris", "date_fired")
# By which a resource is known, in this order.
NAMES = ("domain_name", "unique_name", "username", "phone_number", "friendly_name")
SID = re.compile(r"\b[A-Z]{2}[0-9a-f]{32}\b")
# Each office has a port of its own.
PORT = re.compile(r"127\.0\.0\.1:\d+")


def contents(simulator):
    """All resources without what differs from run to run: dates, and SIDs, which become names."""
    found = records(simulator)
    names = {simulator.account: "<account>"}
    for record in found:
        fields = record["fields"]
        name = next((fields[key] for key in NAMES if fields.get(key)), record["kind"])
        names.setdefault(record["sid"], f"<{record['kind']} {name}>")
    lines = []
    for record in found:
        fields = {key: value for key, value in record["fields"].items() if key not in PASSING}
        text = f"{record['kind']} in {record['parent']}: {json.dumps(fields, sort_keys=True)}"
        text = SID.sub(lambda sid: names.get(sid[0], sid[0]), text)
        lines.append(PORT.sub("127.0.0.1:PORT", text))
    return sorted(lines)


def strip_dates(found):
    """Resources with their SIDs, without the dates of changes."""
    def stripped(record):
        fields = {key: value for key, value in record["fields"].items() if key != "date_updated"}
        return json.dumps({**record, "fields": fields}, sort_keys=True)
    return sorted(stripped(record) for record in found)


class FirstRun(Account):
    def test_one_command_makes_two_environments_and_a_second_one_writes_nothing(self):
        first = self.office.setup()
        self.assertGreater(first.requests[1], 20)
        self.assert_passwords(self.office)
        before = strip_dates(records(self.simulator))
        second = self.office.setup()
        self.assertEqual(second.requests[1], 0)
        self.assertIn("nothing to change", second.out)
        self.assertEqual(strip_dates(records(self.simulator)), before)
        plan = self.office.run("plan")
        self.assertEqual(plan.code, 0, str(plan))
        print(f"\nfirst run {first.requests[0]} reads {first.requests[1]} writes; "
              f"second {second.requests[0]} reads 0 writes")

    def test_a_changed_url_is_two_writes_and_the_plan_says_so(self):
        self.office.setup()
        self.office.write(stage_url="https://new.example.com")
        plan = self.office.run("plan")
        self.assertEqual(plan.code, 2, str(plan))
        self.assertIn("https://new.example.com/twilio/outgoing", plan.out)
        machine = json.loads(self.office.run("plan", "--json").out)
        self.assertEqual({change["environment"] for change in machine["changes"]}, {"stage"})
        said = self.office.done("apply", "--yes")
        self.assertEqual(said.requests[1], 2, str(said))
        self.assertEqual(self.office.run("plan").code, 0)
        print(f"\nchange of one URL {said.requests[0]} reads {said.requests[1]} writes")

    def test_numbers_are_called_in_an_emergency_with_their_registered_address(self):
        self.office.setup()
        numbers = [r["fields"] for r in records(self.simulator) if r["kind"] == "number"]
        self.assertEqual({n["emergency_address_status"] for n in numbers}, {"registered"})
        domains = {r["fields"]["domain_name"]: r["fields"] for r in records(self.simulator) if r["kind"] == "domain"}
        caller = next(n["sid"] for n in numbers if n["phone_number"] == NUMBERS[0])
        self.assertEqual(domains["office-prod.sip.twilio.com"]["emergency_caller_sid"], caller)

    def test_no_secret_is_shown_with_every_request_traced(self):
        said = self.office.done("setup", "--yes", "--no-prove", "--trace")
        secrets = self.office.state("secrets.json")
        hidden = [self.simulator.token, secrets["webhook"]["password"], secrets["api_key"]["secret"]]
        hidden += [e["lan_password"] for e in secrets["extensions"].values()]
        hidden += [password for user in self.office.users().values() for password in user["trunk_passwords"].values()]
        for secret in hidden:
            self.assertNotIn(secret, said.out + said.err)
        self.assertIn("Password=***", said.err)


class Environments(Account):
    def test_destroying_one_leaves_the_other_untouched_and_destroying_both_leaves_what_was_there(self):
        self.simulator.control("POST", "rest/litter", {"seed": 7})
        # The numbers' friendly name and so on are the account's own.
        before = strip_dates(records(self.simulator))
        self.office.write(hosted=True)
        self.office.asset("sounds/busy.txt", b"beep")
        self.office.setup()
        prod = [r for r in records(self.simulator) if "office-prod" in json.dumps(r["fields"])]
        refused = self.office.run("destroy", "--environment", "prod", "--yes", "prod")
        self.assertEqual(refused.code, 1, str(refused))
        self.office.done("destroy", "--environment", "stage", "--yes", "stage")
        self.assertEqual([r for r in records(self.simulator) if "office-prod" in json.dumps(r["fields"])], prod)
        self.assertFalse([r for r in records(self.simulator) if "office-stage" in json.dumps(r["fields"])])
        self.office.done("destroy", "--environment", "prod", "--prod", "--yes", "prod")
        self.assertEqual(strip_dates(records(self.simulator)), before)

    def test_prod_is_pointed_at_what_stage_runs_and_steps_back(self):
        self.office.setup()
        before = contents(self.simulator)
        self.office.done("promote", "stage", "prod", "--yes")
        domains = {r["fields"]["domain_name"]: r["fields"] for r in records(self.simulator) if r["kind"] == "domain"}
        self.assertEqual(domains["office-prod.sip.twilio.com"]["voice_url"], "https://stage.example.com/twilio/outgoing")
        self.assertIn("nothing to change", self.office.setup().out, "a promotion is no drift")
        self.office.done("promote", "--back", "prod", "--yes")
        self.assertEqual(contents(self.simulator), before)

    def test_an_apply_is_undone_to_what_was_there(self):
        self.office.write(stage=False, addresses=False)
        self.office.setup()
        before = contents(self.simulator)
        self.office.write(extensions=("101", "103"), stage_url="https://other.example.com")
        self.office.done("apply", "--yes")
        self.assertNotEqual(contents(self.simulator), before)
        self.office.done("undo", "--yes")
        self.assertEqual(contents(self.simulator), before)

    def test_a_rotated_password_is_twilios_at_once_and_others_keep_theirs(self):
        self.office.setup()
        old = {e: {n: self.office.ha1(n, e) for n in ("101", "102")} for e in ("prod", "stage")}
        self.office.done("extension", "rotate", "101", "--environment", "prod")
        self.assert_passwords(self.office)
        self.assertNotEqual(self.office.ha1("101", "prod"), old["prod"]["101"])
        self.assertEqual(self.office.ha1("101", "stage"), old["stage"]["101"])
        self.assertEqual(self.office.ha1("102", "prod"), old["prod"]["102"])


class Watch(Account):
    """What tells an owner that the account is not what the config says."""

    def stranger_changes(self, collection, sid, **fields):
        """Somebody else changes a resource, with the account's token."""
        connection = http.client.HTTPConnection(self.simulator.addresses["rest"].removeprefix("http://"), timeout=20)
        credentials = base64.b64encode(f"{self.simulator.account}:{self.simulator.token}".encode()).decode()
        headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/x-www-form-urlencoded"}
        path = f"/2010-04-01/Accounts/{self.simulator.account}/{collection}/{sid}.json"
        connection.request("POST" if fields else "DELETE", path, urllib.parse.urlencode(fields), headers)
        answer = connection.getresponse()
        self.assertIn(answer.status, (200, 204), answer.read())
        connection.close()

    def sid_of(self, kind, text):
        return next(r["sid"] for r in records(self.simulator) if r["kind"] == kind and text in json.dumps(r["fields"]))

    def test_the_running_service_finds_what_somebody_changed_at_twilio(self):
        self.office.write(stage=False)
        self.office.setup()
        self.office.serve(self.addCleanup)
        calm = json.loads(self.office.done("status", "--drift", "--json").out)
        self.assertEqual(calm["drift"]["changes"], 0, calm["drift"])
        app = self.sid_of("application", "gateway-office-prod")
        self.stranger_changes("Applications", app, VoiceUrl="https://elsewhere.example.com/")
        said = self.office.done("status", "--drift")
        self.assertIn("TwiML app gateway-office-prod", said.out)
        self.assertIn("account.drift", self.office.log())

    def test_a_check_says_what_breaks_and_how_to_mend_it(self):
        self.office.write(stage=False)
        self.office.setup()
        self.office.serve(self.addCleanup)
        well = self.office.run("check", "--account", "--json")
        self.assertEqual([f for f in json.loads(well.out) if f["severity"] == "error"], [], str(well))
        self.assertEqual(well.code, 0, str(well))
        domain, list_sid = self.sid_of("domain", "office-prod"), self.sid_of("credential_list", "office-prod")
        self.stranger_changes(f"SIP/Domains/{domain}/Auth/Registrations/CredentialListMappings", list_sid)
        broken = self.office.run("check", "--account")
        self.assertEqual(broken.code, 1, str(broken))
        self.assertIn("registrations", broken.out)
        self.office.done("apply", "--yes")
        self.assertEqual(self.office.run("check", "--account").code, 0)


class Kill(Account):
    def run_of(self, office, *arguments):
        """How many requests a command makes."""
        seen = len(office.simulator.control("GET", "requests")["log"])
        office.done(*arguments)
        return len(office.simulator.control("GET", "requests")["log"]) - seen

    def test_a_set_up_that_is_killed_at_any_request_is_taken_up_to_the_same_end(self):
        command = ("setup", "--yes", "--no-prove")
        simulator, office = self.fresh("kill-never")
        requests = self.run_of(office, *command)
        expected = contents(simulator)
        killed = 0
        for at in range(requests):
            for kind in ("torn_before", "no_answer"):
                with self.subTest(at=at, kind=kind):
                    simulator, office = self.fresh(f"kill-{at}-{kind}")
                    killed += office.killed(at, kind, *command) == -9
                    office.setup()
                    self.assertEqual(contents(simulator), expected)
                    self.assert_passwords(office)
                    self.assertEqual(office.run("plan").code, 0)
                    self.assertEqual(simulator.control("GET", "requests")["unknown_parameters"], [])
                    simulator.stop()
        self.assertGreater(killed, requests, "most of the runs were killed, not ended")
        print(f"\nkilled {killed} times, at each of {requests} requests")


if __name__ == "__main__":
    unittest.main()
