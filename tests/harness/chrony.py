"""chrony as the NTP server of a host that has the right time."""

import os

from tests.harness.program import Program

CONFIG = """\
local stratum 8
allow all
bindaddress {address}
cmdport 0
bindcmdaddress /
pidfile {folder}/pid
"""


class Chrony:
    """`chronyd` on `host`; it serves this machine's clock and leaves it alone."""

    def __init__(self, host, folder):
        folder = os.path.join(folder, "chrony")
        os.makedirs(folder)
        config = f"{folder}/chrony.conf"
        with open(config, "w") as file:
            file.write(CONFIG.format(address=host.wan, folder=folder))
        # -x: the clock is not its business; -d: in the foreground.
        self.program = Program(host, folder, "chronyd", "chronyd", "-x", "-d", "-u", "root", "-f", config)
        self.program.wait_for_log("Disabled control of system clock")

    def stop(self):
        self.program.stop()
