"""`gateway backup` and `restore` as an owner types them: a new box takes over, bad files change nothing, and the real `age`
opens what we write and writes what we open."""

import os
import re
import shutil
import stat
import subprocess
import unittest

from tests.account.account import Fresh
from tests.harness.paths import BINARY
from tests.harness.person import Person
from tests.harness.phone import Phone
from tests.harness.wait import LIMIT, wait_until

PASSPHRASE = "correct horse battery staple"


def tree(folder):
    """Every file below a folder, with its content and mode."""
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, folder)] = (file.read(), stat.S_IMODE(os.stat(path).st_mode))
    return found


class Box(Fresh):
    """An office that is set up, with a certificate beside its config; its backup lies elsewhere."""

    def setUp(self):
        super().setUp()
        self.folder = self.office.folder
        self.aside = self.folder + ".aside"
        os.mkdir(self.aside)
        self.addCleanup(shutil.rmtree, self.aside, ignore_errors=True)
        self.office.write(stage=False, addresses=False)
        ca_file = self.simulator.addresses["ca_file"]
        os.mkdir(os.path.join(self.folder, "tls"))
        shutil.copy(ca_file, os.path.join(self.folder, "tls", "ca.pem"))
        with open(self.office.config) as file:
            text = file.read()
        with open(self.office.config, "w") as file:
            file.write(text.replace(ca_file, "tls/ca.pem"))
        self.office.setup()
        self.file = os.path.join(self.aside, "office.age")
        self.passphrase = self.secret("passphrase", PASSPHRASE)

    def secret(self, name, text):
        path = os.path.join(self.aside, name)
        with open(path, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(text + "\n")
        return path

    def backup(self):
        return self.office.done("backup", self.file, "--passphrase-file", self.passphrase)

    def restore(self, *more, file=None, passphrase=None):
        return self.office.run("restore", file or self.file, "--passphrase-file", passphrase or self.passphrase, *more)

    def new_box(self):
        """Nothing is here any more; what was is where the answer says."""
        old = os.path.join(self.aside, "old-box")
        os.rename(self.folder, old)
        os.mkdir(self.folder)
        return old

    def serve(self):
        """Starts the service; the answer ends it."""
        ends = []
        self.office.serve(ends.append)
        self.addCleanup(ends[0])
        wait_until(lambda: re.search("^trunk up", self.office.run("status").out, re.MULTILINE), "the trunk is up")
        return ends[0]

    def person(self, argv):
        person = Person(argv, {**os.environ, "NO_COLOR": "1", "TERM": "xterm"})
        self.addCleanup(person.stop)
        return person


class TakeOver(Box):
    def test_a_new_box_takes_over_with_the_phones_and_the_account_as_they_are(self):
        stop = self.serve()
        password = self.office.state("secrets.json")["extensions"]["101"]["lan_password"]
        phone = Phone(("127.0.0.1", self.office.lan), "101", password)
        self.addCleanup(phone.socket.close)
        self.assertIn("SIP/2.0 200", phone.register(LIMIT))
        said = self.backup()
        self.assertEqual(stat.S_IMODE(os.stat(self.file).st_mode), 0o600)
        for name in ("config/gateway.toml", "config/tls/ca.pem", "state/secrets.json", "state/twilio.json"):
            self.assertIn(f"  {name}  ", said.out)
        stop()
        old = self.new_box()
        writes = self.simulator.control("GET", "requests")["writes"]

        said = self.restore()
        self.assertEqual(said.code, 0, said)
        self.assertIn("gateway.toml: no mistakes; extensions: 2", said.out)
        self.assertIn("stop the old box before this one runs", said.out)
        self.assertIn("next: systemctl restart gateway", said.out)
        # The simulator has one edge.
        warned = [line for line in said.err.splitlines() if "has no second edge" not in line]
        self.assertEqual(warned, [])
        here, there = tree(self.folder), tree(old)
        for name in ("gateway.toml", "tls/ca.pem", "state/secrets.json", "state/twilio.json"):
            self.assertEqual(here[name][0], there[name][0])
            self.assertEqual(here[name][1], 0o600 if name.startswith("state") else 0o644, name)
        self.assertEqual([name for name in here if name.endswith((".new", ".bad", ".old"))], [])
        self.assertNotIn("state/restoring", here)

        self.serve()
        self.assertIn("SIP/2.0 200", phone.register(LIMIT), "the same phone with the same password")
        wait_until(lambda: len(self.simulator.control("GET", "bindings")) == 2, "both extensions are registered")
        said = self.office.run("plan")
        self.assertEqual(said.code, 0, said)
        self.assertEqual(self.simulator.control("GET", "requests")["writes"], writes, "no change at Twilio")

    def test_a_box_that_is_set_up_stays_as_it_is_without_force_and_is_kept_aside_with_it(self):
        self.backup()
        before = tree(self.folder)
        said = self.restore()
        self.assertEqual(said.code, 1, said)
        self.assertIn("this box is set up already", said.err)
        self.assertIn("--force", said.err)
        self.assertEqual(tree(self.folder), before)
        self.office.done("extension", "rotate", "101")
        rotated = tree(self.folder)["state/secrets.json"][0]
        said = self.restore("--force")
        self.assertEqual(said.code, 0, said)
        after = tree(self.folder)
        self.assertEqual(after["state/secrets.json"], before["state/secrets.json"])
        self.assertEqual(after["state/secrets.json.old"][0], rotated)
        self.assertIn("kept as NAME.old", said.out)

    def test_a_service_that_runs_is_not_restored_under(self):
        self.serve()
        self.backup()
        before = tree(os.path.join(self.folder, "state"))["secrets.json"]
        said = self.restore("--force")
        self.assertEqual(said.code, 1, said)
        self.assertIn("the service runs here; stop it first", said.err)
        self.assertEqual(tree(os.path.join(self.folder, "state"))["secrets.json"], before)

    def test_a_restore_that_was_stopped_says_restore_again_everywhere_until_it_is_done(self):
        self.backup()
        with open(os.path.join(self.folder, "state", "restoring"), "w"):
            pass
        for command in (["plan"], ["setup", "--yes"], ["backup", self.file + "2"]):
            if command[0] == "backup":
                command += ["--passphrase-file", self.passphrase]
            said = self.office.run(*command)
            self.assertEqual(said.code, 1, said)
            self.assertIn('run "gateway restore FILE" again', said.err + said.out)
        # The phones are served with what is there, and the service says so.
        stop = self.serve()
        self.assertIn('run "gateway restore FILE" again', self.office.run("status").out)
        stop()
        said = self.restore()
        self.assertEqual(said.code, 0, said)
        self.assertEqual(self.office.run("plan").code, 0)

    def test_what_the_config_names_elsewhere_is_told_by_both(self):
        elsewhere = os.path.join(self.aside, "roots.pem")
        shutil.copy(os.path.join(self.folder, "tls", "ca.pem"), elsewhere)
        with open(self.office.config) as file:
            text = file.read()
        with open(self.office.config, "w") as file:
            file.write(text.replace("tls/ca.pem", elsewhere))
        self.assertIn(f"{elsewhere}: trunk.ca_file names it, and it is elsewhere", self.backup().out)
        self.new_box()
        os.remove(elsewhere)
        said = self.restore()
        self.assertEqual(said.code, 0, said)
        self.assertIn(f"trunk.ca_file names {elsewhere}, which is not here; copy it from the old box", said.err)


class Refused(Box):
    def test_a_wrong_passphrase_and_a_file_cut_or_changed_anywhere_are_refused_and_nothing_is_written(self):
        self.backup()
        self.new_box()
        with open(self.file, "rb") as file:
            whole = file.read()
        begin = whole.index(b"--- ") + 48
        bad = {f"cut at {at}": whole[:at] for at in (0, 10, 60, begin - 1, begin + 8, begin + 500, len(whole) - 1)}
        for at in (3, 40, 90, begin - 20, begin + 3, begin + 700, len(whole) - 1):
            bad[f"changed at {at}"] = whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1:]
        bad["longer"] = whole + b"\0"
        bad["zeroes"] = bytes(len(whole))
        path = os.path.join(self.aside, "bad.age")
        for told, content in bad.items():
            with open(path, "wb") as file:
                file.write(content)
            said = self.restore("--force", file=path)
            self.assertEqual(said.code, 1, f"{told}: {said}")
            self.assertRegex(said.err, r"\Agateway: /\S*bad.age (was cut or changed|cannot be opened|is no|is not|wants)", told)
            self.assertEqual(said.err.count("\n"), 1, said)
        said = self.restore(passphrase=self.secret("other", "correct horse battery stable"))
        self.assertEqual(said.code, 1, said)
        self.assertIn("the passphrase is another one", said.err)
        self.assertEqual(os.listdir(self.folder), [])
        self.assertEqual(self.restore("--list").code, 0)
        self.assertEqual(os.listdir(self.folder), [], "a list writes nothing")

    def test_a_passphrase_that_is_short_or_open_to_others_is_refused_and_a_backup_is_not_replaced(self):
        said = self.office.run("backup", self.file, "--passphrase-file", self.secret("short", "sesame"))
        self.assertEqual(said.code, 1, said)
        self.assertIn("has 6 characters and needs 12", said.err)
        self.assertNotIn("sesame", said.err)
        os.chmod(self.passphrase, 0o644)
        said = self.office.run("backup", self.file, "--passphrase-file", self.passphrase)
        self.assertIn("others can read the passphrase", said.err)
        os.chmod(self.passphrase, 0o600)
        said = self.office.run("backup", self.file)
        self.assertIn("--passphrase-file FILE reads it", said.err)
        self.assertFalse(os.path.exists(self.file))
        self.backup()
        said = self.office.run("backup", self.file, "--passphrase-file", self.passphrase)
        self.assertEqual(said.code, 1, said)
        self.assertIn("--force replaces it", said.err)
        self.office.done("backup", self.file, "--passphrase-file", self.passphrase, "--force")


class Typed(Box):
    def test_a_person_types_the_passphrase_unseen_and_twice(self):
        command = [BINARY, "--config", self.office.config]
        person = self.person([*command, "backup", self.file])
        person.answer_hidden("Passphrase for the backup", "sesame")
        person.expect("has 6 characters and needs 12")
        person.answer_hidden("Passphrase for the backup", PASSPHRASE)
        person.answer_hidden("The same again", PASSPHRASE + "x")
        person.expect("these are two")
        person.answer_hidden("Passphrase for the backup", PASSPHRASE)
        person.answer_hidden("The same again", PASSPHRASE)
        self.assertEqual(person.end(), 0, person.seen)
        self.assertNotIn("battery", person.seen)
        self.new_box()
        person = self.person([*command, "restore", self.file])
        person.answer_hidden("Passphrase of the backup", PASSPHRASE)
        self.assertEqual(person.end(), 0, person.seen)
        self.assertIn("no mistakes", person.seen)


class Age(Box):
    def age(self, *arguments):
        return self.person([shutil.which("age"), *arguments])

    def test_age_opens_a_backup_and_what_it_packs_again_is_restored(self):
        self.backup()
        plain, again = os.path.join(self.aside, "plain.tar"), os.path.join(self.aside, "again.age")
        person = self.age("-d", "-o", plain, self.file)
        person.answer_hidden("Enter passphrase", PASSPHRASE)
        self.assertEqual(person.end(), 0, person.seen)
        unpacked = os.path.join(self.aside, "unpacked")
        os.mkdir(unpacked)
        subprocess.run(["tar", "-x", "-f", plain, "-C", unpacked], check=True)
        files, here = tree(unpacked), tree(self.folder)
        self.assertEqual(files["config/gateway.toml"], here["gateway.toml"])
        self.assertEqual(files["state/secrets.json"], here["state/secrets.json"])
        # Somebody changes the config by hand and packs it with programs that are not ours.
        with open(os.path.join(unpacked, "config", "gateway.toml"), "a") as file:
            file.write("# by hand\n")
        subprocess.run(["tar", "-c", "-f", plain, "-C", unpacked, "."], check=True)
        person = self.age("-p", "-o", again, plain)
        person.answer_hidden("Enter passphrase", PASSPHRASE)
        person.answer_hidden("Confirm passphrase", PASSPHRASE)
        self.assertEqual(person.end(), 0, person.seen)
        self.new_box()
        said = self.restore(file=again)
        self.assertEqual(said.code, 0, said)
        self.assertTrue(tree(self.folder)["gateway.toml"][0].endswith(b"# by hand\n"))


if __name__ == "__main__":
    unittest.main()
