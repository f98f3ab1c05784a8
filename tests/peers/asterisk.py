"""Asterisk 22 of Debian sid, in a folder made by debootstrap, on a host of the test's network."""

import os
import shutil
import subprocess

from tests.harness.paths import TARGET
from tests.harness.program import Program
from tests.harness.wait import wait_until

ROOT = os.path.join(TARGET, "asterisk")

ASTERISK = """\
[directories]
astetcdir => {etc}
astmoddir => {modules}
astvarlibdir => /var/lib/asterisk
astdbdir => {state}
astkeydir => {etc}
astdatadir => /usr/share/asterisk
astagidir => {etc}
astspooldir => {state}
astrundir => {state}
astlogdir => {state}
[options]
documentation_language = en_US
"""
# No sound card, no other channel driver, no database.
MODULES = """\
[modules]
autoload = yes
noload => chan_iax2.so
noload => chan_console.so
noload => res_hep.so
noload => cdr_csv.so
"""
LOGGER = "[logfiles]\nconsole => notice,warning,error,verbose\n"


class Asterisk:
    """One Asterisk; `pjsip` and `dialplan` are its pjsip.conf and extensions.conf. `files` are copied beside them."""

    def __init__(self, host, folder, name, pjsip, dialplan, files=()):
        self.host, self.name = host, name
        # One name a process: several tests may run at once.
        self.etc, self.state = f"/etc/asterisk-{os.getpid()}-{name}", f"/run/asterisk-{os.getpid()}-{name}"
        modules = next(f"/usr/lib/{each}/asterisk/modules" for each in os.listdir(f"{ROOT}/usr/lib")
                       if os.path.isdir(f"{ROOT}/usr/lib/{each}/asterisk/modules"))
        for each in (self.etc, self.state):
            os.makedirs(ROOT + each)
        for file, text in {"asterisk": ASTERISK.format(etc=self.etc, state=self.state, modules=modules), "modules": MODULES,
                           "logger": LOGGER, "pjsip": pjsip.replace("@ETC@", self.etc), "extensions": dialplan,
                           "rtp": "[general]\nrtpstart=30000\nrtpend=30998\n"}.items():
            with open(f"{ROOT}{self.etc}/{file}.conf", "w") as config:
                config.write(text)
        for file in files:
            shutil.copy(file, ROOT + self.etc)
        self.program = Program(host, folder, f"asterisk-{name}", "chroot", ROOT, "asterisk", "-f", "-n", "-vvv",
                               "-C", f"{self.etc}/asterisk.conf")
        wait_until(lambda: "fully booted" in self.cli("core waitfullybooted"), f"{name} is up (log: {self.program.log_path})", 60)

    def cli(self, line):
        """What it says to one command of its console."""
        done = subprocess.run(self.host.command("chroot", ROOT, "asterisk", "-C", f"{self.etc}/asterisk.conf", "-rx", line),
                              capture_output=True, text=True, timeout=30)
        return done.stdout + done.stderr

    def wait_for(self, line, text, seconds=20):
        """Waits until its console says `text` to a command."""
        wait_until(lambda: text in self.cli(line), f"{self.name} says {text!r} to {line!r} (log: {self.program.log_path})", seconds)

    def stop(self):
        self.program.stop()
        for each in (self.etc, self.state):
            shutil.rmtree(ROOT + each, ignore_errors=True)
