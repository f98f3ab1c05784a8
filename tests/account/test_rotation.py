"""A password at Twilio is changed, and whoever does that is killed at each request of it: the office rings all the same."""

import hashlib
import itertools
import json
import os
import re
import socket
import ssl
import unittest

from tests.account.account import Account, records
from tests.harness.owner import REALM
from tests.harness.wait import LIMIT, wait_until

DOMAIN = "office-prod.sip.twilio.com"
# In turn, for Twilio takes five REGISTERs a second of each.
NAMES = tuple(str(101 + number) for number in range(8))
APPLY = ("apply", "--yes")
# Before a request has an effect, and when it had one that nobody hears of.
CUTS = ("torn_before", "no_answer")


def rotate(name="101"):
    return ("extension", "rotate", name)


def md5(*parts):
    return hashlib.md5(":".join(parts).encode()).hexdigest()


def register(simulator, user, password):
    """The status of a REGISTER of `user` at the simulator, by TLS, with its challenge answered."""
    host, port = simulator.addresses["sip"].rsplit(":", 1)
    tls = ssl.create_default_context(cafile=simulator.addresses["ca_file"])
    with socket.create_connection((host, int(port)), LIMIT) as plain, tls.wrap_socket(plain, server_hostname=DOMAIN) as flow:
        def ask(sequence, credentials=""):
            flow.sendall(
                f"REGISTER sip:{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:5999;rport;branch=z9hG4bK{user}{sequence}\r\n"
                f"Max-Forwards: 70\r\nFrom: <sip:{user}@{DOMAIN}>;tag=1\r\nTo: <sip:{user}@{DOMAIN}>\r\n"
                f"Call-ID: rotation-{flow.fileno()}\r\nCSeq: {sequence} REGISTER\r\n"
                f"Contact: <sip:{user}@127.0.0.1:5999;transport=tls>\r\nExpires: 600\r\n{credentials}"
                f"Content-Length: 0\r\n\r\n".encode())
            answer = ""
            while "\r\n\r\n" not in answer:
                part = flow.recv(65535)
                if not part:
                    raise AssertionError(f"the connection ends after {answer!r}")
                answer += part.decode()
            return answer
        challenge = dict(re.findall(r'(\w+)="([^"]*)"', re.search(r"Proxy-Authenticate: Digest (.*)", ask(1))[1]))
        secret, nonce = md5(user, challenge["realm"], password), challenge["nonce"]
        digest = md5(secret, nonce, "00000001", "c0ffee", "auth", md5("REGISTER", f"sip:{DOMAIN}"))
        answer = ask(2, f'Proxy-Authorization: Digest username="{user}",realm="{REALM}",nonce="{nonce}",'
                        f'uri="sip:{DOMAIN}",response="{digest}",qop=auth,nc=00000001,cnonce="c0ffee",'
                        f'opaque="{challenge["opaque"]}"\r\n')
        return int(answer.split(" ")[1])


class Rotation(Account):
    """An office of one environment that is set up."""

    def office_at(self, name, *options):
        simulator, office = self.fresh(name, *options)
        office.write(stage=False, addresses=False, extensions=NAMES)
        office.setup()
        return simulator, office

    def passwords(self, office, name="101"):
        """The one that an extension shall have at Twilio and, while that is open, the former one."""
        extension = office.state("secrets.json")["extensions"][name]
        kept = (extension["trunk_passwords"], extension.get("former_trunk_passwords", {}))
        return [passwords["prod"] for passwords in kept if "prod" in passwords]

    def at_twilio(self, simulator, name="101"):
        """HA1 of the password of an extension there."""
        return next(r["ha1"] for r in records(simulator) if r["kind"] == "credential" and r["fields"]["username"] == name)

    def requests(self, simulator):
        return len(simulator.control("GET", "requests")["log"])

    def run_of(self, office, *arguments):
        """How many requests a command makes."""
        seen = self.requests(office.simulator)
        office.done(*arguments)
        return self.requests(office.simulator) - seen

    def assert_registers(self, simulator, office, name="101"):
        """Twilio takes one of the passwords on disk; how many there are."""
        passwords = self.passwords(office, name)
        codes = [register(simulator, name, password) for password in passwords]
        self.assertEqual(codes.count(200), 1, f"{codes}: exactly one of the passwords on disk is Twilio's")
        return len(passwords)

    def assert_done(self, office):
        """One password of each is left, and it is Twilio's."""
        for name in NAMES:
            self.assertEqual(len(self.passwords(office, name)), 1, "no former password is kept longer than it is needed")
        self.assert_passwords(office, ("prod",))
        self.assertEqual(office.run("plan").code, 0)

    def extension(self, office):
        """What the running service says of 101 at Twilio."""
        extensions = json.loads(office.done("status", "--json").out)["extensions"]
        return next(one["registration"] for one in extensions if one["name"] == "101")

    def wait_registered(self, office):
        wait_until(lambda: self.extension(office)["state"] == "registered", "101 is registered")
        return self.extension(office)["reason"]


class Killed(Rotation):
    def test_a_rotation_that_is_killed_at_any_request_leaves_a_password_that_registers(self):
        simulator, office = self.office_at("rotate")
        requests = self.run_of(office, *rotate())
        self.assert_done(office)
        names, states = itertools.cycle(NAMES), set()
        for at, kind in itertools.product(range(requests), CUTS):
            name = next(names)
            with self.subTest(at=at, kind=kind, name=name):
                before = self.passwords(office, name)
                self.assertEqual(office.killed(at, kind, *rotate(name)), -9)
                kept = self.assert_registers(simulator, office, name)
                states.add((kept, self.at_twilio(simulator, name) == md5(name, REALM, before[0])))
                office.done(*rotate(name))
                self.assertNotEqual(self.passwords(office, name), before)
                self.assert_done(office)
        self.assertEqual(states, {(2, True), (2, False)}, "Twilio has had the former one, and the new one, after kills")
        print(f"\nkilled at each of {requests} requests, each time twice")

    def test_a_rotation_that_is_taken_up_and_killed_again_leaves_a_password_that_registers(self):
        simulator, office = self.office_at("rotate-apply")
        last = self.run_of(office, *rotate()) - 1
        office.killed(last, "torn_before", *rotate())
        requests = self.run_of(office, *APPLY)
        self.assert_done(office)
        names = itertools.cycle(NAMES)
        for first, at, kind in itertools.product(CUTS, range(requests), CUTS):
            name = next(names)
            with self.subTest(first=first, at=at, kind=kind, name=name):
                office.killed(last, first, *rotate(name))
                self.assertEqual(self.assert_registers(simulator, office, name), 2)
                self.assertEqual(office.killed(at, kind, *APPLY), -9)
                self.assert_registers(simulator, office, name)
                office.done(*APPLY)
                self.assert_done(office)

    def test_an_answer_that_is_lost_and_a_refusal_leave_a_password_that_registers(self):
        simulator, office = self.office_at("rotate-faults")
        # As often as the command tries.
        for name, fault in zip(NAMES, ({"kind": "torn_after", "count": 5}, {"kind": "torn_before", "count": 5},
                                       {"status": 400, "code": 20001}, {"status": 500, "code": 20500, "count": 5})):
            with self.subTest(**fault):
                simulator.control("POST", "rest/fault", {"method": "POST", "path_contains": "/Credentials/", **fault})
                said = office.run(*rotate(name))
                self.assertEqual(said.code, 1, str(said))
                self.assertEqual(self.assert_registers(simulator, office, name), 2)
                office.done(*APPLY)
                self.assert_done(office)

    def test_a_backup_from_the_middle_of_a_rotation_registers_whatever_was_done_since(self):
        simulator, office = self.office_at("rotate-backup")
        passphrase = os.path.join(office.folder, "passphrase")
        with open(passphrase, "w") as file:
            file.write("correct horse battery\n")
        os.chmod(passphrase, 0o600)
        last = self.run_of(office, *rotate()) - 1
        for number, kind in enumerate(CUTS):
            file = os.path.join(office.folder, f"{number}.age")
            office.killed(last, kind, *rotate())
            both = self.passwords(office)
            office.done("backup", file, "--passphrase-file", passphrase)
            office.done(*APPLY)
            self.assert_done(office)
            office.done("restore", file, "--passphrase-file", passphrase, "--force")
            self.assertEqual(self.passwords(office), both)
            self.assert_registers(simulator, office)
            office.done(*APPLY)
            self.assert_done(office)


class Running(Rotation):
    """The service, which registers by itself."""

    def serve(self, office):
        """Starts it; gives what ends it."""
        ends = []
        office.serve(ends.append)
        ended = []

        def end():
            if not ended:
                ended.append(True)
                ends[0]()
        self.addCleanup(end)
        return end

    def flows(self, simulator):
        return {one["flow"] for one in simulator.control("GET", "bindings") if one["aor"].startswith("101@")}

    def test_the_service_registers_after_each_cut_beside_it_and_after_a_restart(self):
        for code in (407, 403):
            for kind in CUTS:
                with self.subTest(kind=kind, code=code):
                    simulator, office = self.office_at(f"rotate-{kind}-{code}", "--switch", f"wrong_password_code={code}")
                    end = self.serve(office)
                    self.assertIsNone(self.wait_registered(office))
                    last = self.run_of(office, *rotate()) - 1
                    self.assertIsNone(self.wait_registered(office))
                    office.killed(last, kind, *rotate())

                    # Nobody tells the service: it has to register anew on another flow.
                    before = self.flows(simulator)
                    simulator.control("POST", "sip/drop")
                    wait_until(lambda: self.flows(simulator) - before, "101 registers on another flow")
                    self.assert_told(office, kind)
                    end()
                    end = self.serve(office)
                    self.assert_told(office, kind)

                    office.done("setup", "--yes", "--no-ring")
                    self.assert_done(office)
                    wait_until(lambda: self.extension(office)["reason"] is None, "nothing is told any more")
                    self.assertEqual(self.extension(office)["state"], "registered")
                    end()
                    simulator.stop()

    def assert_told(self, office, kind):
        """Where Twilio has the former password, the table says so and what to do."""
        reason = self.wait_registered(office)
        if kind == "torn_before":
            self.assertEqual(reason, "by its former password: Twilio did not take the new one yet; run: gateway setup")
            self.assertIn(f"registered: {reason}", office.done("status").out)
            self.assertIn("trunk.former-password", office.log())
        else:
            self.assertIsNone(reason)

    def test_a_service_that_cannot_read_the_new_password_keeps_twilio_from_it(self):
        simulator, office = self.office_at("rotate-unread")
        self.serve(office)
        self.wait_registered(office)
        before = self.at_twilio(simulator)
        # Its config is whole for the command, and the service runs an environment that it does not have any more.
        said = self.stopped_reload(office)
        self.assertEqual(said.code, 1, str(said))
        self.assertIn("the running service does not read the new passwords", said.err)
        self.assertIn("nothing was changed at Twilio", said.err)
        self.assertEqual(self.at_twilio(simulator), before)
        self.assert_registers(simulator, office)
        office.done(*rotate())
        self.assert_done(office)

    def stopped_reload(self, office):
        """A rotation while the service cannot read a file that the command does not need."""
        authority = office.simulator.addresses["ca_file"]
        os.rename(authority, authority + ".away")
        try:
            return office.run(*rotate())
        finally:
            os.rename(authority + ".away", authority)


if __name__ == "__main__":
    unittest.main()
