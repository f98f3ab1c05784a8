"""kamailio in the place of the SIP domain (kamailio.cfg says what it does), with a CA made for the one test."""

import os

from tests.harness.certificates import make_ca
from tests.harness.program import Program
from tests.harness.wait import wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
DOMAIN = "office.sip.example"
REALM = "sip.example"
PSTN_NUMBER = "+15035551212"

TLS = """\
[server:default]
method = TLSv1.2
certificate = {folder}/server.pem
private_key = {folder}/server.key
[client:default]
method = TLSv1.2
verify_certificate = yes
"""


class Kamailio:
    """The SIP domain on `host`; the PSTN is whoever listens at `pstn` on UDP 5060."""

    def __init__(self, host, folder, passwords, pstn):
        self.folder = os.path.join(folder, "kamailio")
        os.makedirs(self.folder)
        self.host = host
        self.ca_file = make_ca(self.folder, "domain", DOMAIN)
        with open(f"{self.folder}/tls.cfg", "w") as tls:
            tls.write(TLS.format(folder=self.folder))
        table = "\n".join(f'    $sht(password=>{user}) = "{secret}";' for user, secret in passwords.items())
        with open(f"{HERE}/kamailio.cfg") as template:
            config = template.read()
        for name, value in {"DOMAIN": DOMAIN, "REALM": REALM, "ADDRESS": host.wan, "PSTN_NUMBER": PSTN_NUMBER, "PSTN": pstn,
                            "FOLDER": self.folder, "PASSWORDS": table}.items():
            config = config.replace(f"@{name}@", value)
        self.config = f"{self.folder}/kamailio.cfg"
        with open(self.config, "w") as file:
            file.write(config)
        self.start()

    def start(self):
        self.program = Program(self.host, self.folder, "kamailio", "kamailio", "-DD", "-E", "-m", "64", "-M", "8",
                               "-Y", self.folder, "-P", f"{self.folder}/pid", "-f", self.config)
        self.program.wait_for_log("Listening on")
        # It prints that before its TLS workers accept.
        def accepts():
            probe = self.host.socket()
            try:
                return probe.connect_ex((self.host.wan, 5061)) == 0
            finally:
                probe.close()
        wait_until(accepts, "kamailio accepts TLS connections")

    def log(self):
        return self.program.log()

    def stop(self):
        self.program.stop()
