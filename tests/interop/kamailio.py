"""kamailio in the place of the SIP domain (kamailio.cfg says what it does), with a CA made for the one test."""

import os

from network import run
from program import Program

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


def make_ca(folder, name, host, valid=True, also=()):
    """A CA `NAME-ca.pem` and, signed by it, `server.pem` and `server.key` for a host name, and `also` for others."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run("openssl", "req", "-x509", *key, "-days", "2", "-subj", f"/CN={name} test CA",
        "-keyout", f"{folder}/{name}-ca.key", "-out", f"{folder}/{name}-ca.pem",
        "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    if valid:
        rsa = ["-newkey", "rsa:2048", "-nodes"]  # Twilio's ciphers are all RSA (twilio.md 4.2)
        run("openssl", "req", "-x509", *rsa, "-days", "2", "-subj", f"/CN={host}",
            "-CA", f"{folder}/{name}-ca.pem", "-CAkey", f"{folder}/{name}-ca.key",
            "-keyout", f"{folder}/server.key", "-out", f"{folder}/server.pem",
            "-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in (host, *also)),
            "-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth")
    return f"{folder}/{name}-ca.pem"


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
        import program

        def accepts():
            probe = self.host.socket()
            try:
                return probe.connect_ex((self.host.wan, 5061)) == 0
            finally:
                probe.close()
        program.wait_until(accepts, "kamailio accepts TLS connections")

    def log(self):
        return self.program.log()

    def stop(self):
        self.program.stop()
