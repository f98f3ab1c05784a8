"""`gateway upgrade` as an owner types it: good binaries, bad ones, minisign's signatures, and a power cut on the way."""

import os
import re
import signal
import subprocess
import threading
import unittest

from tests.account.account import Fresh
from tests.harness.paths import BINARY, ROOT
from tests.harness.wait import LIMIT, wait_until

GUARD = os.path.join(ROOT, "systemd", "upgrade-guard")
# A program that says what a candidate must say, and then does as it was built for.
BAD = r"""
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv) {
    for (int at = 1; at < argc; at++) {
        if (!strcmp(argv[at], "--version")) return puts("gateway " VERSION) < 0;
        if (!strcmp(argv[at], "upgrade")) return 0;
    }
    RUN;
}
"""


class Init:
    """An init system of few words: the guard before each start, and again when the service ends."""

    def __init__(self, office, binary):
        self.command = [binary, "--config", office.config, "run", "--log", "stderr"]
        self.binary, self.log = binary, os.path.join(office.folder, "gateway.log")
        self.pid = os.path.join(office.folder, "pid")
        self.service, self.is_down = None, threading.Event()
        self.thread = None

    def boot(self):
        self.is_down.clear()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.is_down.is_set():
            with open(self.log, "a") as log:
                subprocess.run(["sh", GUARD, self.binary], stderr=log, check=True)
                try:
                    self.service = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
                except OSError as error:
                    log.write(f"{error}\n")
            # Whom a restart kills.
            with open(self.pid + ".new", "w") as file:
                file.write(str(self.service.pid))
            os.replace(self.pid + ".new", self.pid)
            self.service.wait()
            self.is_down.wait(0.1)

    def down(self, with_signal):
        """The machine stops, or loses its power."""
        self.is_down.set()
        if self.service:
            self.service.send_signal(with_signal)
        self.thread.join(LIMIT)


class Upgrade(Fresh):
    def setUp(self):
        super().setUp()
        self.folder = self.office.folder
        self.binary = os.path.join(self.folder, "bin", "gateway")
        os.mkdir(os.path.dirname(self.binary))
        # Without debug symbols: it is hashed often.
        subprocess.run(["strip", "-o", self.binary, BINARY], check=True)
        self.original = self.content()
        subprocess.run(["minisign", "-G", "-W", "-p", f"{self.folder}/key.pub", "-s", f"{self.folder}/key.sec"],
                       check=True, capture_output=True)
        with open(f"{self.folder}/key.pub") as file:
            self.key = file.read().splitlines()[1]
        restart = os.path.join(self.folder, "restart")
        with open(restart, "w") as file:
            file.write(f'#!/bin/sh\nkill "$(cat {self.folder}/pid)"\n')
        os.chmod(restart, 0o755)
        self.write({"public_key": self.key, "within": 10, "restart": [restart]})
        self.office.setup()

    def write(self, upgrade):
        self.office.write(stage=False, addresses=False, upgrade=upgrade)

    def boot(self):
        """The service runs, and is registered at Twilio."""
        self.init = Init(self.office, self.binary)
        self.init.boot()
        self.addCleanup(lambda: self.init.is_down.is_set() or self.init.down(signal.SIGTERM))
        wait_until(lambda: self.office.run("status").code == 0, "the service answers")
        wait_until(self.is_registered, "the extensions are registered")

    def is_registered(self):
        return len(re.findall(r"^10[12] +registered ", self.office.run("status").out, re.MULTILINE)) == 2

    def file(self, content, signed=True, name="gateway-new", version="0.1.0"):
        """A binary as it was downloaded, with its signature."""
        path = os.path.join(self.folder, "downloads", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        if signed:
            subprocess.run(["minisign", "-S", "-W", "-s", f"{self.folder}/key.sec", "-m", path, "-t", f"gateway {version}"],
                           check=True, capture_output=True)
        return path

    def good(self):
        """Another binary that does the same: what stands behind a program does not matter to it."""
        return self.original + b"new"

    def patched(self, text, other):
        """Ours with a word changed in it."""
        found = re.compile(re.escape(text), re.IGNORECASE)
        content, count = found.subn(lambda match: match[0][:-len(other)] + other, self.good())
        self.assertTrue(count, f"{text} is not in the binary")
        return content

    def bad(self, run, version="0.1.0"):
        """A program that passes for a gateway until it shall run."""
        path = os.path.join(self.folder, "bad")
        subprocess.run(["cc", "-x", "c", "-o", path, f'-DVERSION="{version}"', f"-DRUN={run}", "-"], input=BAD.encode(),
                       check=True)
        with open(path, "rb") as file:
            return file.read()

    def command(self, *arguments):
        """The gateway in place, as `gateway upgrade` is typed."""
        return subprocess.Popen([self.binary, "--config", self.office.config, "upgrade", *arguments], text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def upgrade(self, *arguments):
        process = self.command(*arguments)
        try:
            out, err = process.communicate(timeout=4 * LIMIT)
        finally:
            process.kill()
        return process.returncode, out, err

    def content(self, suffix=""):
        with open(self.binary + suffix, "rb") as file:
            return file.read()

    def assert_old_is_back(self):
        self.assertTrue(self.content() == self.original, "the old binary is in place")
        wait_until(self.is_registered, "the extensions are registered again")

    def test_a_good_binary_is_kept_and_the_old_one_can_be_put_back(self):
        self.boot()
        code, out, err = self.upgrade(self.file(self.good()))
        self.assertEqual((code, err), (0, ""), out)
        self.assertIn("the signature is right: gateway 0.1.0\n", out)
        self.assertIn("is healthy and kept", out)
        self.assertTrue(self.content() == self.good(), "the new binary is in place")
        self.assertIn("was kept", self.upgrade("--status")[1])
        self.assertTrue(self.is_registered())
        self.assertIn("upgrade.trial ", self.office.log())

        code, out, err = self.upgrade("--back")
        self.assertEqual((code, err), (0, ""), out)
        self.assertIn("somebody asked for it", out)
        self.assertIn("is healthy again", out)
        self.assert_old_is_back()

    def test_what_is_not_signed_by_the_key_or_not_for_this_box_changes_nothing(self):
        self.boot()
        changed = self.file(self.good(), name="changed")
        with open(changed, "ab") as file:
            file.write(b"!")
        elsewhere = bytearray(self.good())
        elsewhere[18:20] = b"\x08\x00"
        other = self.file(self.good(), name="other")
        subprocess.run(["minisign", "-G", "-W", "-p", f"{self.folder}/o.pub", "-s", f"{self.folder}/o.sec"], check=True,
                       capture_output=True)
        subprocess.run(["minisign", "-S", "-W", "-s", f"{self.folder}/o.sec", "-m", other], check=True, capture_output=True)
        for path, words in [
            (self.file(self.good(), signed=False, name="unsigned"), "a binary is taken with its signature beside it only"),
            (changed, "the signature does not fit the file"),
            (other, "the signature is made with key "),
            (self.file(bytes(elsewhere), name="elsewhere"), "is for MIPS"),
            (self.file(b"#!/bin/sh\nexit 0\n", name="script"), "is no program"),
            (self.file(self.original, name="same"), "is the binary that is in place already"),
            (self.file(self.bad("return 0", version="0.0.9"), name="lower"), "0.0.9 is lower than 0.1.0"),
            (self.file(self.patched(b"public_key", b"KEY"), name="config"), "is not a known key"),
            (self.file(self.patched(b"trunk_passwords", b"WORDS"), name="state"), "there would be no way back"),
        ]:
            with self.subTest(path):
                code, out, err = self.upgrade(path)
                self.assertEqual(code, 1, out)
                self.assertIn(words, err)
                self.assertTrue(self.content() == self.original)
                self.assertEqual(os.listdir(os.path.dirname(self.binary)), ["gateway"])
        self.write({})
        code, _, err = self.upgrade(self.file(self.good()))
        self.assertEqual(code, 1)
        self.assertIn("has no [upgrade] public_key", err)

    def test_a_binary_that_ends_at_once_is_gone_after_its_starts(self):
        self.boot()
        code, out, err = self.upgrade(self.file(self.bad("return 7")))
        self.assertEqual(code, 1, out)
        self.assertIn("it did not become healthy in the starts that it had", err)
        self.assert_old_is_back()
        self.assertIn("upgrade.returned gateway: ", self.office.log())

    def test_a_binary_that_hangs_is_gone_after_its_time(self):
        self.boot()
        code, out, err = self.upgrade(self.file(self.bad("pause()")))
        self.assertEqual(code, 1, out)
        self.assertIn("not healthy within 10 s: the service does not run, or does not come up", err)
        self.assertIn("is healthy again", err)
        self.assert_old_is_back()

    def test_a_binary_that_answers_phones_and_is_not_registered_is_gone_after_its_time(self):
        self.boot()
        # SHA-256's first constants (FIPS 180-4 section 4.2.2) are others: it and Twilio do not understand each other.
        code, out, err = self.upgrade(self.file(self.patched(b"\x98\x2f\x8a\x42\x91\x44\x37\x71", b"gone")))
        self.assertEqual(code, 1, out)
        self.assertRegex(err, "not healthy within 10 s: the trunk was up before and is not: ")
        self.assert_old_is_back()

    def test_after_a_power_cut_the_trial_goes_on_and_the_old_binary_judges_it(self):
        self.boot()
        hanging = self.file(self.bad("pause()"))
        process = self.command(hanging)
        wait_until(lambda: self.content() != self.content(".old") if os.path.exists(self.binary + ".old") else False,
                   "the new binary is in place")
        process.send_signal(signal.SIGKILL)
        process.communicate()
        self.init.down(signal.SIGKILL)
        self.init.boot()
        wait_until(lambda: "starts left after this one: " in self.office.log(), "the guard counts")
        # What gateway-judge.service does.
        judge = subprocess.run([self.binary + ".old", "upgrade", "--judge"], capture_output=True, text=True,
                               timeout=4 * LIMIT, check=False)
        self.assertEqual(judge.returncode, 1)
        self.assertIn("not healthy within 10 s", judge.stderr)
        self.assert_old_is_back()


if __name__ == "__main__":
    unittest.main()
