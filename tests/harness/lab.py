"""What most tests in network namespaces begin with: an office with a gateway, a world outside, and handsets."""

import unittest

from tests.harness.baresip import Baresip
from tests.harness.gateway import Gateway
from tests.harness.kamailio import DOMAIN, PSTN_NUMBER, Kamailio
from tests.harness.network import Network
from tests.harness.office import lan_password, trunk_password, write_config, write_secrets
from tests.harness.program import fresh_folder, stop_all

GATEWAY_LAN = "10.77.0.1"
GATEWAY_WAN = "10.78.0.1"
DOMAIN_WAN = "10.78.0.2"
PSTN_WAN = "10.78.0.3"


class Lab(unittest.TestCase):
    """A network of its own for each test, and everything that was started ends with it."""

    def setUp(self):
        # CLASS.test_NAME, without the modules before it.
        self.folder = fresh_folder(".".join(self.id().split(".")[-2:])[:80])
        self.network = Network()
        self.addCleanup(self.network.close)
        self.addCleanup(stop_all)

    def started(self, program):
        """Has a program stopped at the end of the test."""
        self.addCleanup(program.stop)
        return program


class Office(Lab):
    """A lab with a host for the gateway, on the LAN and outside."""

    def setUp(self):
        super().setUp()
        self.gw_host = self.network.host("gw", lan=GATEWAY_LAN, wan=GATEWAY_WAN)

    def start_kamailio(self, extensions):
        """kamailio as the SIP domain, outside."""
        host = self.network.host("domain", wan=DOMAIN_WAN)
        passwords = {e: trunk_password(e) for e in extensions}
        return self.started(Kamailio(host, self.folder, passwords, PSTN_WAN))

    def start_pstn(self, frequency, host=None):
        """baresip as the party behind the domain: it answers, with SRTP only."""
        host = host or self.network.host("pstn", wan=PSTN_WAN)
        return self.started(Baresip(
            host, self.folder, "pstn", host.wan,
            f"<sip:{PSTN_NUMBER}@{DOMAIN}>;regint=0;outbound=\"sip:{DOMAIN_WAN};transport=udp\";"
            "mediaenc=srtp-mand;audio_codecs=PCMU/8000/1;answermode=auto", frequency))

    def start_gateway(self, extensions, ca_file, server=f"{DOMAIN_WAN}:5061", prefix=(), listen=GATEWAY_LAN, **options):
        """The gateway with secrets of ours, its trunk towards kamailio."""
        trunk = {"domain": DOMAIN, "servers": [server], "server_name": DOMAIN, "ca_file": ca_file,
                 "expires": 600, "secure": True}
        config = write_config(self.folder, listen, trunk, extensions, **options)
        write_secrets(self.folder, extensions)
        return self.started(Gateway(self.gw_host, self.folder, config, prefix))

    def start_handset(self, extension, address, frequency, password=None, answer="manual"):
        """baresip as a handset on a host of its own."""
        host = self.network.host(f"h{extension}", lan=address)
        password = password or lan_password(extension)
        return self.started(Baresip(
            host, self.folder, f"handset-{extension}", address,
            f"<sip:{extension}@{GATEWAY_LAN}>;auth_user={extension};auth_pass={password};regint=120;"
            f"audio_codecs=PCMU/8000/1;answermode={answer}", frequency))
