"""The first run: a person, or an answers file, and from nothing to a finished account."""

import base64
import hashlib
import hmac
import json
import os
import signal
import stat
import subprocess
import tempfile
import tomllib
import unittest
import urllib.error
import urllib.parse
import urllib.request

from tests.harness.owner import NUMBERS, free_port
from tests.harness.paths import BINARY
from tests.harness.person import Person
from tests.harness.simulator import Recorded
from tests.harness.wait import LIMIT, wait_until

WRONG_TOKEN = "f" * 32
DOMAIN = "shop-wizard.sip.twilio.com"

# What the person is asked, a part of each prompt, and what is typed; "" takes what is proposed.
QUESTIONS = [
    ("Account SID", None),
    ("Auth token", None),
    ("Name of this site", "shop"),
    ("Which of them ring here", "1"),
    ("SIP domain", DOMAIN),
    ("second environment", "n"),
    ("Which one (1-4)", "4"),
    ("Public URL", None),
    ("Extensions", "101 102"),
    ("Name shown when 101 calls", "Front \"desk\" \\ no"),
    ("Name shown when 101 calls", "Front desk"),
    ("Name shown when 102 calls", ""),
    ("call 911", "y"),
    ("Who is there", "O'Hara & Söhne"),
    ("Street and number", "1 Main St"),
    ("Floor, room", ""),
    ("City", "Portland"),
    ("State or province", "OR"),
    ("Postal code", "97201"),
    ("Country", "us"),
    ("signature or credentials", ""),
]


class Wizard(unittest.TestCase):
    def setUp(self):
        self.simulator = Recorded(self.id().rsplit(".", 1)[1][:40], "--switch", "registration_reads=0", numbers=NUMBERS)
        self.addCleanup(self.simulator.stop)
        folder = tempfile.TemporaryDirectory(prefix="gateway-wizard-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.config = os.path.join(self.folder, "etc", "gateway.toml")
        self.state = os.path.join(self.folder, "state")
        self.webhook = free_port()
        self.url = f"http://127.0.0.1:{self.webhook}"
        at = self.simulator.addresses
        settings = {
            "site.state_dir": self.state, "site.run_dir": os.path.join(self.folder, "run"), "twilio.api": at["rest"],
            "trunk.servers": [at["sip"]], "trunk.server_name": DOMAIN, "trunk.ca_file": at["ca_file"],
            "lan.listen": [f"127.0.0.1:{free_port()}"], "webhook.listen": f"127.0.0.1:{self.webhook}",
        }
        self.settings = [f"--set={key}={json.dumps(value)}" for key, value in settings.items()]

    def typed(self, prompt, line):
        """What is typed where it depends on the simulator."""
        return {"Account SID": self.simulator.account, "Auth token": self.simulator.token,
                "Public URL": self.url + "/"}.get(prompt, line)

    def argv(self, *flags):
        return [BINARY, "--config", self.config, "setup", *self.settings, *flags]

    def env(self, **more):
        env = {key: value for key, value in os.environ.items() if key != "TWILIO_AUTH_TOKEN"}
        return {**env, "TERM": "xterm", "NO_COLOR": "1", **more}

    def person(self, *flags):
        person = Person(self.argv(*flags), self.env())
        self.addCleanup(person.stop)
        return person

    def run_unattended(self, *flags, **env):
        return subprocess.run(self.argv("--unattended", *flags), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=3 * LIMIT, env=self.env(**env))

    def answer(self, person, prompt, line):
        """Answers one question as QUESTIONS has it."""
        line = self.typed(prompt, line)
        if prompt == "Auth token":
            person.answer_hidden(prompt, line)
        else:
            person.answer(prompt, line)

    def secrets(self):
        """All secret values that there are by now."""
        found = {self.simulator.token}
        path = os.path.join(self.state, "secrets.json")
        if os.path.exists(path):
            with open(path) as file:
                secrets = json.load(file)
            for extension in secrets["extensions"].values():
                found |= {extension["lan_password"], *extension["trunk_passwords"].values()}
            if "api_key" in secrets:
                found.add(secrets["api_key"]["secret"])
            if "webhook" in secrets:
                found.add(secrets["webhook"]["password"])
        return found

    def assert_nothing_is_told(self, *texts):
        """No secret in these texts, nor in a file that others can read, nor in any file but secrets.json."""
        secrets = self.secrets()
        self.assertGreater(len(secrets), 1, "or this could not fail")
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = os.path.join(folder, name)
                if not stat.S_ISREG(os.stat(path).st_mode):
                    continue
                with open(path, errors="replace") as file:
                    text = file.read()
                if name == "secrets.json":
                    self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
                    self.assertTrue(any(secret in text for secret in secrets))
                else:
                    texts += (text,)
        for text in texts:
            for secret in secrets:
                self.assertNotIn(secret, text)

    def records(self, kind):
        return [r for r in self.simulator.control("GET", "rest/records") if r.get("kind") == kind]

    def assert_account_is_finished(self):
        """The second run finds nothing to do, and makes no request that changes anything."""
        before = self.simulator.control("GET", "requests")
        again = self.run_unattended("--no-prove")
        self.assertEqual(again.returncode, 0, again.stdout + again.stderr)
        self.assertEqual(again.stdout.splitlines()[-1], "nothing to change")
        after = self.simulator.control("GET", "requests")
        self.assertEqual(after["writes"], before["writes"])
        self.assertEqual(after["unknown_parameters"], [])

    def test_a_person_walks_from_nothing_to_a_finished_account(self):
        person = self.person("--no-prove")
        for prompt, line in QUESTIONS:
            self.answer(person, prompt, line)
            if line and "\\" in line:
                person.expect("without quotes and backslashes")
        person.expect(f"wrote {self.config}").answer("apply this?", "y")
        self.assertEqual(person.end(), 0, person.seen)
        for said in ["account \"", "balance", "user 101; \"gateway handset 101\" shows the password", "applied "]:
            self.assertIn(said, person.seen)
        with open(self.config, "rb") as file:
            config = tomllib.load(file)
        self.assertEqual(stat.S_IMODE(os.stat(self.config).st_mode), 0o644)
        self.assertEqual(config["address"][0]["customer"], "O'Hara & Söhne")
        self.assertEqual(config["number"][0]["number"], NUMBERS[0])
        self.assertEqual(config["webhook"]["public_url"], self.url)
        self.assertEqual(config["extension"][0]["display_name"], "Front desk")
        self.assertFalse(os.path.exists(os.path.join(self.state, "answers.toml")))
        self.assert_nothing_is_told(person.seen, person.command_line)
        self.assert_account_is_finished()

    def test_ctrl_c_after_any_question_loses_nothing(self):
        """One run for each question: all that were answered before are not asked again."""
        questions = [q for q in QUESTIONS if "\\" not in (q[1] or "")]
        for at, (prompt, line) in enumerate(questions):
            person = self.person("--no-prove")
            self.answer(person, prompt, line)
            following = questions[at + 1][0] if at + 1 < len(questions) else "apply this?"
            person.expect(following)
            asked = person.seen.split("\nwrote ")[0]
            for before, _ in questions[:at]:
                self.assertNotIn(before, asked)
            if following == "apply this?":
                # The file stands; what was answered is in it.
                self.assertFalse(os.path.exists(os.path.join(self.state, "answers.toml")))
            else:
                answers = os.path.join(self.state, "answers.toml")
                self.assertEqual(stat.S_IMODE(os.stat(answers).st_mode), 0o600)
            self.assertEqual(person.interrupt(), -signal.SIGINT)
        self.assertEqual(self.simulator.control("GET", "requests")["writes"], 0)
        person = self.person("--no-prove").answer("apply this?", "y")
        self.assertEqual(person.end(), 0, person.seen)
        self.assert_nothing_is_told(person.seen)
        self.assert_account_is_finished()

    def test_a_wrong_token_is_told_and_asked_again(self):
        person = self.person("--no-prove")
        person.answer("Account SID", "SK" + "0" * 32).expect("SID of an API key")
        person.answer("Account SID", self.simulator.account)
        person.answer_hidden("Auth token", "sesame").expect("6 characters that are not 32 hex digits")
        person.answer_hidden("Auth token", WRONG_TOKEN).expect("does not take this account SID with this auth token")
        person.answer("Account SID", "")
        person.answer_hidden("Auth token", self.simulator.token).expect("Name of this site")
        person.interrupt()
        for secret in (WRONG_TOKEN, "sesame", self.simulator.token):
            self.assertNotIn(secret, person.seen)

    def test_ctrl_c_at_the_hidden_question_gives_the_terminal_back(self):
        person = self.person("--no-prove").answer("Account SID", self.simulator.account)
        person.hidden("Auth token")
        self.assertEqual(person.interrupt(), -signal.SIGINT)
        self.assertTrue(person.echoes, "the shell would show nothing of what is typed")

    def test_what_was_answered_before_can_be_forgotten(self):
        person = self.person("--no-prove").answer("Account SID", "AC" + "1" * 32).expect("Auth token")
        person.interrupt()
        person = self.person("--no-prove").expect("--anew").expect("Auth token")
        person.interrupt()
        self.assertNotIn("Account SID (", person.seen)
        person = self.person("--no-prove", "--anew").expect("Account SID (")
        person.interrupt()

    def test_another_account_can_be_named_where_the_first_is_suspended(self):
        self.simulator.control("POST", "rest/account", {"status": "suspended"})
        person = self.person("--no-prove").answer("Account SID", self.simulator.account)
        person.answer_hidden("Auth token", self.simulator.token).expect("is suspended: Twilio takes no changes")
        self.assertEqual(person.end(), 1, person.seen)
        self.person("--no-prove").expect("Account SID (").interrupt()

    def walk_to_the_tunnel(self, *flags):
        """A person who has told all but how Twilio reaches this box."""
        return self.person("--no-prove", f"--answers={self.answers_file(protect='signature', url=None)}",
                           "--environments=prod", "--extension=101=Desk", "--address-street-secondary=", *flags)

    def written(self):
        with open(self.config, "rb") as file:
            return tomllib.load(file)

    def test_a_program_makes_the_tunnel_and_the_service_will_tell_its_url(self):
        person = self.walk_to_the_tunnel().answer("Which one (1-4)", "1")
        person.answer("Command; {address}", "/nowhere/cloudflared tunnel --url http://{address}")
        person.expect("warning: /nowhere/cloudflared is not on this box").expect("tunnel-command.conf")
        person.expect("the public URL of prod is not known yet").answer("apply this?", "y")
        self.assertEqual(person.end(), 0, person.seen)
        config = self.written()
        self.assertNotIn("public_url", config["webhook"])
        self.assertEqual(config["tunnel"]["command"], ["/nowhere/cloudflared", "tunnel", "--url", "http://{address}"])
        self.assert_account_is_finished()

    def test_the_url_of_a_program_that_tells_none_is_asked_for(self):
        person = self.walk_to_the_tunnel("--tunnel-command=cloudflared tunnel run office")
        person.answer("nothing: the program tells it", "https://office.example.com/").answer("apply this?", "y")
        self.assertEqual(person.end(), 0, person.seen)
        config = self.written()
        self.assertEqual(config["tunnel"]["url_from"], "config")
        self.assertEqual(config["webhook"]["public_url"], "https://office.example.com")

    def test_an_ssh_server_gets_a_line_for_its_authorized_keys(self):
        person = self.walk_to_the_tunnel().answer("Which one (1-4)", "2")
        person.answer("SSH server", "server.example.com").expect("write \"user@host\"")
        # Stopped here, it goes on here.
        person.interrupt()
        person = self.walk_to_the_tunnel().answer("SSH server", "tunnel@server.example.com")
        person.answer("Public URL", "").expect("~tunnel/.ssh/authorized_keys")
        person.expect('restrict,port-forwarding,permitlisten="127.0.0.1:8080" ssh-ed25519 ').expect("AllowTcpForwarding")
        person.expect("https://server.example.com must lead to it").expect("proxy_pass http://127.0.0.1:8080;")
        person.answer("apply this?", "y")
        self.assertEqual(person.end(), 0, person.seen)
        self.assertEqual(self.written()["tunnel"], {"driver": "ssh", "server": "tunnel@server.example.com"})
        self.assertEqual(self.written()["webhook"]["public_url"], "https://server.example.com")
        key = subprocess.run([BINARY, "--config", self.config, "tunnel", "key"], capture_output=True, text=True)
        self.assertIn(key.stdout.strip(), person.seen.replace("\r", "").replace("\n", ""))
        self.assert_account_is_finished()

    def test_a_certificate_of_ones_own_makes_a_direct_way(self):
        person = self.walk_to_the_tunnel().answer("Which one (1-4)", "3")
        person.answer("Certificate file", "").answer("Its private key", "/etc/gateway/key.pem")
        person.answer("Public URL", "https://office.example.com").expect("/etc/gateway/key.pem").expect("low-ports.conf")
        person.answer("apply this?", "y")
        self.assertEqual(person.end(), 0, person.seen)
        self.assertEqual(self.written()["tunnel"], {
            "driver": "direct", "listen": "0.0.0.0:443", "certificate": "/etc/gateway/fullchain.pem",
            "key": "/etc/gateway/key.pem"})

    def test_a_tunnel_of_an_answers_file_needs_no_question_and_a_mistake_in_it_is_told(self):
        answers = self.answers_file(url=None, more='[tunnel]\ndriver = "ssh"\nserver = "nokey@localhost.run"\n'
                                    'url_from = "output"\nremote = "80"\n')
        done = self.run_unattended("--answers", answers, "--no-prove")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("ssh-ed25519 ", done.stderr)
        self.assertEqual(self.written()["tunnel"]["server"], "nokey@localhost.run")
        answers = self.answers_file(more='[tunnel]\ndriver = "ssh"\nsrver = "x@y"\n')
        done = self.run_unattended("--wizard", "--answers", answers, "--no-prove")
        self.assertEqual(done.returncode, 1)
        self.assertIn("--tunnel-server, or server in [tunnel] in the answers file", done.stderr)
        answers = self.answers_file(more='[tunnel]\ndriver = "ssh"\nserver = "x@y"\nprove_evry = 9\n')
        done = self.run_unattended("--wizard", "--answers", answers, "--no-prove")
        self.assertEqual(done.returncode, 1)
        self.assertIn("prove_evry", done.stderr)

    def test_a_lent_token_is_used_and_never_on_disk(self):
        lent = os.path.join(self.folder, "credentials")
        os.mkdir(lent)
        token = os.path.join(lent, "auth_token")
        with open(token, "w") as file:
            file.write(self.simulator.token + "\n")
        env = {"CREDENTIALS_DIRECTORY": lent}
        done = self.run_unattended("--answers", self.answers_file(auth_token=None), "--no-prove", **env)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        again = self.run_unattended("--no-prove", **env)
        self.assertEqual(again.stdout.splitlines()[-1], "nothing to change", again.stderr)
        path = "/twilio/outgoing"
        params = {"CallSid": "CA" + "0" * 32, "From": f"sip:101@{DOMAIN}", "To": f"sip:+15035551212@{DOMAIN}"}
        text = self.url + path + "".join(key + value for key, value in sorted(params.items()))
        mac = hmac.new(self.simulator.token.encode(), text.encode(), hashlib.sha1).digest()
        request = urllib.request.Request(self.url + path, urllib.parse.urlencode(params).encode(),
                                         {"X-Twilio-Signature": base64.b64encode(mac).decode()})
        service = subprocess.Popen([BINARY, "--config", self.config, "run", "--log", "stderr"], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self.env(**env))
        self.addCleanup(service.wait)
        self.addCleanup(service.terminate)

        def answered():
            try:
                return urllib.request.urlopen(request, timeout=LIMIT).status
            except urllib.error.HTTPError as error:
                return error.code
            except OSError:
                return None  # It is not up yet.
        self.assertEqual(wait_until(answered, "the service answers"), 200)
        os.remove(token)
        with open(os.path.join(self.state, "secrets.json")) as file:
            self.assertNotIn(self.simulator.token, file.read())
        self.assert_nothing_is_told(done.stdout, done.stderr)

    def answers_file(self, mode=0o600, url="", more="", **changes):
        """An answers file with everything in it."""
        values = {"account_sid": self.simulator.account, "auth_token": self.simulator.token, "site": "shop",
                  "numbers": [NUMBERS[0]], "emergency": True, **changes}
        text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items() if value is not None)
        public_url = "" if url is None else f'public_url = "{url or self.url}"'
        text += f"""{more}
[environment.prod]
domain = "{DOMAIN}"
{public_url}
[[extension]]
name = "101"
[address]
customer = "Example Shop"
street = "1 Main St"
city = "Portland"
region = "OR"
postal_code = "97205"
country = "US"
"""
        path = os.path.join(self.folder, "answers.toml")
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def test_an_answers_file_makes_an_account_without_a_question(self):
        answers = self.answers_file()
        done = self.run_unattended("--answers", answers, "--no-prove")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        os.remove(answers)  # A person's own file, with the token in it.
        self.assert_nothing_is_told(done.stdout, done.stderr)
        self.assert_account_is_finished()

    def test_two_environments_by_flags_are_two_domains_that_know_nothing_of_each_other(self):
        done = self.run_unattended(
            "--answers", self.answers_file(), "--no-prove", "--environments=prod,stage",
            "--domain=stage=shop-stage.sip.twilio.com", "--public-url=stage=https://stage.example.com")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        domains = {r["fields"]["domain_name"]: r["fields"]["voice_url"] for r in self.records("domain")}
        self.assertEqual(set(domains), {DOMAIN, "shop-stage.sip.twilio.com"})
        self.assertTrue(domains["shop-stage.sip.twilio.com"].startswith("https://stage.example.com/"), domains)
        self.assertTrue(domains[DOMAIN].startswith(self.url + "/"), domains)
        self.assert_account_is_finished()

    def test_a_config_that_is_there_is_replaced_only_on_demand_and_kept_beside(self):
        answers = self.answers_file()
        self.assertEqual(self.run_unattended("--answers", answers, "--no-prove").returncode, 0)
        with open(self.config) as file:
            first = file.read()
        said = self.run_unattended("--site=other", "--no-prove")
        self.assertEqual(said.returncode, 0, said.stdout + said.stderr)
        self.assertIn("--wizard writes it anew", said.stderr)
        person = self.person("--no-prove", "--wizard", f"--answers={answers}", "--extension=102", "--environments=prod",
                             "--protect=signature").answer("Floor, room", "2").answer("Replace it?", "n")
        self.assertEqual(person.end(), 0, person.seen)
        with open(self.config) as file:
            self.assertEqual(file.read(), first)
        again = self.run_unattended("--wizard", "--answers", answers, "--extension=102", "--no-prove")
        self.assertEqual(again.returncode, 0, again.stdout + again.stderr)
        with open(self.config + ".old") as file:
            self.assertEqual(file.read(), first)
        with open(self.config, "rb") as file:
            self.assertEqual([extension["name"] for extension in tomllib.load(file)["extension"]], ["102"])

    def test_credentials_in_the_url_let_the_token_be_forgotten(self):
        answers = self.answers_file(protect="credentials")
        done = self.run_unattended("--answers", answers, "--no-prove")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("the auth token is forgotten", done.stdout)
        with open(os.path.join(self.state, "secrets.json")) as file:
            self.assertNotIn(self.simulator.token, file.read())
        os.remove(answers)
        self.assert_nothing_is_told(done.stdout, done.stderr)
        self.assert_account_is_finished()

    def test_a_token_in_a_file_that_others_can_read_is_refused(self):
        done = self.run_unattended("--answers", self.answers_file(mode=0o644), "--no-prove")
        self.assertEqual(done.returncode, 1)
        self.assertIn("others can read it; run \"chmod 600 ", done.stderr)
        self.assertFalse(os.path.exists(self.config))

    def test_all_that_is_missing_is_told_at_once(self):
        done = self.run_unattended()
        self.assertEqual(done.returncode, 1)
        for said in ["--account-sid, or account_sid in the answers file", "TWILIO_AUTH_TOKEN", "--site", "--domain",
                     "--public-url", "--extension"]:
            self.assertIn(said, done.stderr)
        self.assertEqual(self.simulator.control("GET", "requests")["log"], [])

    def test_a_wrong_token_unattended_is_an_error_and_changes_nothing(self):
        done = self.run_unattended("--answers", self.answers_file(auth_token=None), TWILIO_AUTH_TOKEN=WRONG_TOKEN)
        self.assertEqual(done.returncode, 1)
        self.assertNotIn(WRONG_TOKEN, done.stdout + done.stderr)
        self.assertFalse(os.path.exists(self.config))
        self.assertFalse(os.path.exists(os.path.join(self.state, "secrets.json")))

    def test_a_number_is_bought_after_a_word_and_once(self):
        person = self.person("--no-prove", "--no-emergency", "--site=shop", f"--domain={DOMAIN}", f"--public-url={self.url}",
                             "--extension=101", "--environments=prod", "--protect=signature",
                             f"--account-sid={self.simulator.account}")
        person.answer_hidden("Auth token", self.simulator.token)
        person.answer("Which of them ring here", "none, buy 503").expect("USD a month")
        person.answer("Which one to buy", "1").answer("apply this?", "y")
        self.assertEqual(person.end(), 0, person.seen)
        numbers = self.records("number")
        self.assertEqual(len(numbers), len(NUMBERS) + 1)
        self.assert_account_is_finished()

    def test_a_domain_of_somebody_else_is_replaced_after_a_question(self):
        self.simulator.control("POST", "rest/taken", {"domain": DOMAIN})
        person = self.person("--no-prove", f"--answers={self.answers_file(protect='signature')}", "--environments=prod",
                             "--extension=101")
        person.answer("Floor, room", "").answer("apply this?", "y").expect("belongs to another customer")
        person.answer("Another SIP domain", "shop-other")
        self.assertEqual(person.end(), 0, person.seen)
        with open(self.config, "rb") as file:
            self.assertEqual(tomllib.load(file)["trunk"]["domain"], "shop-other.sip.twilio.com")
        self.assert_account_is_finished()

    def test_the_service_registers_its_url_leads_here_and_a_failed_proof_has_its_own_exit_code(self):
        done = self.run_unattended("--answers", self.answers_file())
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("systemctl start gateway", done.stdout)
        service = subprocess.Popen([BINARY, "--config", self.config, "run", "--log", "stderr"], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.addCleanup(service.communicate)
        self.addCleanup(service.terminate)
        for line in service.stderr:
            if "service.ready" in line or "started" in line or "registered" in line:
                break
        proved = self.run_unattended()
        self.assertEqual(proved.returncode, 0, proved.stdout + proved.stderr)
        self.assertIn(f"registered at {DOMAIN}: 1 of 1", proved.stdout)
        self.assertIn(f"{self.url} leads to this box", proved.stdout)
        # Nobody has plugged a phone in.
        failed = self.run_unattended("--ring", "101")
        self.assertEqual(failed.returncode, 3, failed.stdout + failed.stderr)
        self.assertIn("proof failed: 101 was not answered", failed.stdout)


if __name__ == "__main__":
    unittest.main()
