"""The service on a state folder that is full or read-only: a small file system of its own, seen by nobody else."""

import json
import os
import signal
import subprocess
import unittest

from tests.harness.gateway import Gateway
from tests.harness.kamailio import DOMAIN
from tests.harness.lab import DOMAIN_WAN, GATEWAY_LAN, Office
from tests.harness.office import write_config, write_secrets
from tests.harness.wait import wait_until

# Mounts a small tmpfs over the folder $1, with what is in it and the options $2, and becomes the rest.
ON_TMPFS = """
set -e
kept=$(mktemp -d)
cp -a "$1/." "$kept"
mount -t tmpfs -o size=64k,mode=700 state "$1"
cp -a "$kept/." "$1"
rm -r "$kept"
mount -o "remount,$2" "$1"
shift 2
exec "$@"
"""


class Flash(Office):
    def start_on_tmpfs(self, options):
        """A gateway with a trunk, its state folder on a file system of 64 KiB."""
        kamailio = self.start_kamailio(["101"])
        trunk = {"domain": DOMAIN, "servers": [f"{DOMAIN_WAN}:5061"], "server_name": DOMAIN,
                 "ca_file": kamailio.ca_file, "expires": 600, "secure": True}
        config = write_config(self.folder, GATEWAY_LAN, trunk, ["101"])
        write_secrets(self.folder, ["101"])
        self.state = os.path.join(self.folder, "state")
        prefix = ("unshare", "--mount", "sh", "-c", ON_TMPFS, "sh", self.state, options)
        return self.started(Gateway(self.gw_host, self.folder, config, prefix=prefix))

    def inside(self, gw, name):
        """The path of a file of the state folder as the service sees it."""
        return f"/proc/{gw.program.pid}/root{self.state}/{name}"

    def fill(self, gw):
        with open(self.inside(gw, "filler"), "wb", buffering=0) as filler:
            try:
                while filler.write(b"x" * 4096):
                    pass
            except OSError:
                pass

    def remount(self, gw, options):
        subprocess.run(["nsenter", "--target", str(gw.program.pid), "--mount", "mount", "-o", f"remount,{options}",
                        self.state], check=True)

    def assert_serves_but_does_not_save(self, gw, reason):
        handset = self.start_handset("101", "10.77.0.11", 440)
        handset.wait_registered()
        gw.wait_registered_at_trunk(["101"])
        # The last good config may be the first that cannot be written.
        def bindings_trouble():
            trouble = gw.status()["store"]["trouble"] or ""
            return trouble if "bindings.json cannot be written" in trouble else None

        trouble = wait_until(bindings_trouble, "the trouble is in the status")
        self.assertIn(reason, trouble)
        self.assertIn(f"state not saved: {trouble}", gw.command("status").stdout)
        self.assertEqual(len(gw.handsets("101")), 1)

    def assert_saves(self, gw):
        wait_until(lambda: gw.status()["store"]["trouble"] is None, "the state is saved as soon as it can be", 30)
        self.assertIn("store.saved", gw.program.log())
        with open(self.inside(gw, "bindings.json")) as file:
            self.assertEqual([one["remote"] for one in json.load(file)["bindings"]], ["10.77.0.11:5060"])

    def test_with_a_full_flash_phones_and_trunk_work_and_the_state_is_saved_once_there_is_room(self):
        gw = self.start_on_tmpfs("rw")
        self.fill(gw)
        self.assert_serves_but_does_not_save(gw, "No space left on device")
        # It was tried again meanwhile, at 5 s, and told once.
        wait_until(lambda: gw.status()["store"]["writes"] >= 2, "it is tried again", 15)
        self.assertEqual(gw.program.log().count("store.failed bindings"), 1, gw.program.log())
        os.remove(self.inside(gw, "filler"))
        self.assert_saves(gw)

    def test_with_a_read_only_flash_the_service_starts_and_phones_and_trunk_work(self):
        gw = self.start_on_tmpfs("ro")
        self.assert_serves_but_does_not_save(gw, "Read-only file system")
        self.remount(gw, "rw")
        self.assert_saves(gw)
        # The flash goes read-only again, as a worn one does; a stop is no failure.
        self.remount(gw, "ro")
        gw.program.process.send_signal(signal.SIGTERM)
        self.assertEqual(gw.program.wait(10), 0)


if __name__ == "__main__":
    unittest.main()
