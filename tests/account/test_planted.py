"""Root's commands in a state folder of the service's user, which has put links, second names and pipes there."""

import os
import shutil
import stat
import unittest

from tests.account.account import Fresh

# Nobody's on a machine that runs tests.
SERVICE = 54321
# src/gateway/store/files.rs, and what stands beside one while it is written or when it was kept.
NAMES = [name + suffix for name in (
    "secrets.json", "twilio.json", "bindings.json", "answers.toml", "history.jsonl", "time.json", "tunnel_key",
    "tunnel_known_hosts", "tunnel_refused_host_key", "tunnel_url", "lock", "restoring") for suffix in ("", ".new", ".old", ".bad")]


@unittest.skipIf(os.geteuid() != 0, "only root can give a folder to another user")
class Planted(Fresh):
    def setUp(self):
        super().setUp()
        # The way to the service's folder is root's alone, as /var/lib is.
        os.chmod(self.office.folder, 0o755)
        self.state = os.path.join(self.office.folder, "state")
        self.victims = os.path.join(self.office.folder, "of-root")
        self.passphrase = os.path.join(self.office.folder, "passphrase")
        with open(os.open(self.passphrase, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write("correct horse battery staple\n")
        self.backup = os.path.join(self.office.folder, "office.age")
        self.office.setup()
        self.office.done("backup", self.backup, "--passphrase-file", self.passphrase)
        self.whole = os.path.join(self.office.folder, "whole")
        shutil.copytree(self.state, self.whole)

    def commands(self):
        """What root runs there, and what each may leave elsewhere."""
        again = os.path.join(self.office.folder, "again.age")
        return [
            ("plan",), ("apply", "--yes"), ("undo", "--yes"), ("setup", "--yes", "--no-prove"), ("setup", "--anew", "--yes"),
            ("extension", "list"), ("extension", "rotate", "101"), ("number", "list"), ("handset", "101"), ("history",),
            ("check", "--account"), ("tunnel", "status"), ("tunnel", "key"), ("status",), ("promote", "stage", "prod", "--yes"),
            ("backup", again, "--force", "--passphrase-file", self.passphrase),
            ("restore", self.backup, "--force", "--passphrase-file", self.passphrase),
        ]

    def plant(self, kind, names):
        """The state as set-up left it, the service's own, with these names planted."""
        shutil.rmtree(self.state)
        shutil.copytree(self.whole, self.state)
        os.chmod(self.state, 0o700)
        os.chown(self.state, SERVICE, SERVICE)
        for name in os.listdir(self.state):
            os.chown(os.path.join(self.state, name), SERVICE, SERVICE)
        shutil.rmtree(self.victims, ignore_errors=True)
        os.mkdir(self.victims)
        for name in names:
            path, victim = os.path.join(self.state, name), os.path.join(self.victims, name)
            whole = os.path.join(self.whole, name)
            # Of the right shape, so that nothing but the rule keeps a command from it.
            if os.path.exists(whole):
                shutil.copyfile(whole, victim)
            else:
                with open(victim, "w") as file:
                    file.write("root:secret\n")
            os.chmod(victim, 0o644)
            if os.path.lexists(path):
                os.remove(path)
            match kind:
                case "link":
                    os.symlink(victim, path)
                case "link to nothing":
                    os.remove(victim)
                    os.symlink(victim, path)
                case "second name":
                    os.link(victim, path)
                case "pipe":
                    os.mkfifo(path)
                    os.chown(path, SERVICE, SERVICE)

    def of_root(self):
        """Owner, mode and content of all that is root's."""
        found = {}
        for name in sorted(os.listdir(self.victims)):
            path = os.path.join(self.victims, name)
            with open(path, "rb") as file:
                about = os.lstat(path)
                found[name] = (about.st_uid, stat.filemode(about.st_mode), file.read())
        return found

    def check(self, kinds, names):
        for kind in kinds:
            for command in self.commands():
                with self.subTest(kind=kind, command=command, names=len(names)):
                    self.plant(kind, names)
                    before = self.of_root()
                    # It ends: `run` waits for that.
                    said = self.office.run(*command)
                    self.assertEqual(self.of_root(), before, said)
                    self.assertNotIn("panicked", said.err)

    def test_nothing_of_roots_is_changed_or_given_by_a_planted_lock(self):
        self.check(["link", "link to nothing", "second name", "pipe"], ["lock"])

    def test_nothing_of_roots_is_changed_or_given_by_any_other_planted_name(self):
        self.check(["link", "second name", "pipe"], [name for name in NAMES if name != "lock"])

    def test_a_planted_lock_is_named_with_what_to_do(self):
        self.plant("link", ["lock"])
        said = self.office.run("apply", "--yes")
        self.assertEqual(said.code, 1)
        self.assertIn("/state/lock is a symbolic link in a folder that another user can change", said.err)
        self.assertIn(f"rm {self.state}/lock", said.err)
        os.remove(os.path.join(self.state, "lock"))
        self.office.done("apply", "--yes")
        self.assertEqual(os.stat(os.path.join(self.state, "lock")).st_uid, SERVICE)


if __name__ == "__main__":
    unittest.main()
