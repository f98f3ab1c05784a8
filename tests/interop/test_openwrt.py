"""The init file for OpenWrt under OpenWrt's shell: busybox, nothing but it, in a root of its own. What procd would be
told is written down in its place; procd itself, and a router, are not here."""

import os
import shutil
import subprocess
import unittest

from tests.harness.paths import ROOT
from tests.harness.program import fresh_folder

# What of /lib/functions/procd.sh and /etc/rc.common the init file meets. A call is a line, its arguments between bars.
RC_COMMON = """#!/bin/sh
told() { (IFS='|'; echo "$*" >>/told); }
for call in open_instance set_param close_instance add_reload_trigger; do
    eval "procd_$call() { told $call \\"\\$@\\"; }"
done
initscript=$1
. "$initscript"
case $2 in
start) start_service && service_triggers ;;
esac
"""

UID = 431
SERVICE = """open_instance
set_param|command|/usr/bin/gateway|run
set_param|user|{user}
set_param|no_new_privs|1
set_param|limits|nofile=16384 16384|core=0
set_param|nice|-10
set_param|file|/etc/gateway/gateway.toml
set_param|respawn|3600|5|0
set_param|reload_signal|HUP
set_param|term_timeout|14400
set_param|stderr|1
close_instance
add_reload_trigger|gateway
"""
JUDGE = """open_instance|judge
set_param|command|/usr/bin/gateway.old|upgrade|--judge
set_param|stderr|1
close_instance
"""
RECORD = """phase={phase}
reason=
old={old}
new={new}
from=0.1.0
to=0.2.0
starts={starts}
"""


class OpenWrt(unittest.TestCase):
    def setUp(self):
        self.root = fresh_folder("openwrt")
        busybox = shutil.which("busybox")
        self.assertTrue(busybox, "busybox is not here; tests/run tools installs it")
        os.mkdir(f"{self.root}/bin")
        shutil.copy(busybox, f"{self.root}/bin/busybox")
        for applet in subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split():
            if applet != "busybox":
                os.symlink("busybox", f"{self.root}/bin/{applet}")
        for folder in ("etc/init.d", "etc/gateway/state", "usr/bin", "usr/lib/gateway", "var", "dev"):
            os.makedirs(f"{self.root}/{folder}")
        os.mknod(f"{self.root}/dev/null", 0o20666, os.makedev(1, 3))
        self.put("etc/rc.common", RC_COMMON, 0o755)
        self.put("etc/passwd", "root:x:0:0:root:/root:/bin/ash\n")
        self.put("etc/gateway/gateway.toml", "")
        self.put("etc/gateway/state/secrets.json", "{}", 0o600)
        self.put("usr/bin/gateway", "new", 0o755)
        shutil.copy(f"{ROOT}/systemd/openwrt/gateway", f"{self.root}/etc/init.d/")
        for script in ("upgrade-guard", "hand-over"):
            shutil.copy(f"{ROOT}/systemd/{script}", f"{self.root}/usr/lib/gateway/")

    def put(self, path, text, mode=0o644):
        with open(f"{self.root}/{path}", "w") as file:
            file.write(text)
        os.chmod(f"{self.root}/{path}", mode)

    def read(self, path):
        if not os.path.exists(f"{self.root}/{path}"):
            return ""
        with open(f"{self.root}/{path}") as file:
            return file.read()

    def start(self, code=0):
        """What procd was told, and what was said."""
        done = subprocess.run(["/usr/sbin/chroot", self.root, "/etc/init.d/gateway", "start"], capture_output=True, text=True,
                              env={"PATH": "/bin:/usr/bin"}, timeout=30)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertNotIn("not found", done.stderr)
        return self.read("told"), done.stderr

    def put_on_trial(self, phase="trial", starts=2):
        """As `gateway upgrade` leaves it."""
        self.put("usr/bin/gateway.old", "old", 0o755)
        sums = {name: subprocess.run(["sha256sum", f"{self.root}/usr/bin/gateway{suffix}"], check=True, capture_output=True,
                                     text=True).stdout.split()[0] for name, suffix in (("new", ""), ("old", ".old"))}
        self.put("usr/bin/gateway.upgrade", RECORD.format(phase=phase, starts=starts, **sums))

    def owner(self, path):
        return os.stat(f"{self.root}/{path}").st_uid

    def test_procd_is_told_how_to_run_it_and_when_to_reload_it(self):
        told, _ = self.start()
        self.assertEqual(told, SERVICE.format(user="root"))
        self.assertEqual(os.stat(f"{self.root}/var/run/gateway").st_mode & 0o777, 0o755)

    def with_a_user(self):
        self.put("etc/passwd", f"root:x:0:0:root:/root:/bin/ash\ngateway:x:{UID}:{UID}::/:/bin/false\n")

    def test_a_user_of_its_own_runs_it_and_owns_its_state(self):
        self.with_a_user()
        told, _ = self.start()
        self.assertEqual(told, SERVICE.format(user="gateway"))
        for path in ("var/run/gateway", "etc/gateway/state", "etc/gateway/state/secrets.json"):
            self.assertEqual(self.owner(path), UID, path)
        self.assertEqual(self.owner("etc/gateway/gateway.toml"), 0)

    def test_what_the_user_planted_in_its_state_stays_whose_it_is(self):
        self.with_a_user()
        self.start()
        self.put("etc/shadow", "root:secret\n", 0o600)
        state = f"{self.root}/etc/gateway/state"
        os.symlink("/etc/shadow", f"{state}/lock")
        os.symlink("/etc", f"{state}/folder")
        os.link(f"{self.root}/etc/shadow", f"{state}/twilio.json")
        os.mkfifo(f"{state}/history.jsonl")
        self.put("etc/gateway/state/time.json", "1")
        self.start()
        for path in ("etc/shadow", "etc", "etc/gateway/state/time.json"):
            self.assertEqual(self.owner(path), 0, path)

    def test_of_a_folder_of_roots_only_what_has_one_name_is_handed_over(self):
        self.with_a_user()
        self.put("etc/shadow", "root:secret\n", 0o600)
        state = f"{self.root}/etc/gateway/state"
        os.symlink("/etc/shadow", f"{state}/lock")
        os.link(f"{self.root}/etc/shadow", f"{state}/twilio.json")
        _, said = self.start()
        self.assertEqual(self.owner("etc/shadow"), 0)
        for path in ("etc/gateway/state", "etc/gateway/state/secrets.json"):
            self.assertEqual(self.owner(path), UID, path)
        self.assertEqual(os.stat(state).st_mode & 0o777, 0o700)
        self.assertIn("twilio.json has 2 names and stays root's", said)

    def test_a_folder_that_others_can_write_is_not_handed_over(self):
        self.with_a_user()
        state = f"{self.root}/etc/gateway/state"
        for mode in (0o770, 0o707, 0o1777):
            os.chmod(state, mode)
            _, said = self.start()
            self.assertEqual((self.owner("etc/gateway/state"), self.owner("etc/gateway/state/secrets.json")), (0, 0))
            self.assertIn("others can write to /etc/gateway/state", said)

    def test_without_a_config_nothing_is_started_and_it_says_why(self):
        os.remove(f"{self.root}/etc/gateway/gateway.toml")
        told, said = self.start(code=1)
        self.assertEqual(told, "")
        self.assertIn("/etc/gateway/gateway.toml is missing; run: gateway setup", said)

    def test_without_a_config_the_service_is_started_where_it_keeps_the_last_good_one(self):
        os.remove(f"{self.root}/etc/gateway/gateway.toml")
        self.put("etc/gateway/state/last-good.toml", "", 0o600)
        told, _ = self.start()
        self.assertEqual(told, SERVICE.format(user="root"))

    def test_a_binary_on_trial_has_this_start_counted_and_its_judge_beside_it(self):
        self.put_on_trial(starts=2)
        told, _ = self.start()
        self.assertEqual(told, JUDGE + SERVICE.format(user="root"))
        self.assertIn("phase=trial\n", self.read("usr/bin/gateway.upgrade"))
        self.assertIn("starts=1\n", self.read("usr/bin/gateway.upgrade"))
        self.assertEqual(self.read("usr/bin/gateway"), "new")

    def test_a_binary_on_trial_without_starts_left_is_replaced_by_the_old_one_before_it_is_started(self):
        self.put_on_trial(starts=0)
        told, _ = self.start()
        self.assertEqual(told, SERVICE.format(user="root"))
        self.assertIn("phase=returned\n", self.read("usr/bin/gateway.upgrade"))
        self.assertEqual(self.read("usr/bin/gateway"), "old")
        self.assertTrue(os.access(f"{self.root}/usr/bin/gateway", os.X_OK))

    def test_a_binary_that_was_kept_needs_no_judge(self):
        self.put_on_trial(phase="kept")
        told, _ = self.start()
        self.assertEqual(told, SERVICE.format(user="root"))


if __name__ == "__main__":
    unittest.main()
