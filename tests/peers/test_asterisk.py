"""Asterisk 22 as a handset of the LAN, and as the SIP domain."""

import os

from tests.harness.certificates import make_ca
from tests.harness.kamailio import DOMAIN, PSTN_NUMBER
from tests.harness.lab import DOMAIN_WAN, GATEWAY_LAN, Office
from tests.harness.office import lan_password, trunk_password
from tests.peers.asterisk import Asterisk

UNREACHABLE = "10.78.0.9:5061"

HANDSET = f"""\
[udp]
type=transport
protocol=udp
bind=10.77.0.12:5060
[registration]
type=registration
outbound_auth=auth
server_uri=sip:{GATEWAY_LAN}
client_uri=sip:102@{GATEWAY_LAN}
contact_user=102
expiration=300
[auth]
type=auth
auth_type=userpass
username=102
password={lan_password("102")}
[gateway]
type=aor
contact=sip:{GATEWAY_LAN}
[gateway]
type=endpoint
context=incoming
disallow=all
allow=alaw
aors=gateway
outbound_auth=auth
from_user=102
from_domain={GATEWAY_LAN}
[gateway]
type=identify
endpoint=gateway
match={GATEWAY_LAN}
"""

FAR_DOMAIN = f"""\
[global]
type=global
endpoint_identifier_order=username,auth_username
[tls]
type=transport
protocol=tls
bind={DOMAIN_WAN}:5061
cert_file=@ETC@/server.pem
priv_key_file=@ETC@/server.key
method=tlsv1_2
[101]
type=auth
auth_type=userpass
username=101
password={trunk_password("101")}
[101]
type=aor
max_contacts=4
[101]
type=endpoint
context=outgoing
disallow=all
allow=ulaw
auth=101
aors=101
media_encryption=sdes
"""

# It answers, says a tone for as long as anybody listens, and echoes where it is asked to.
DIALPLAN = f"""\
[incoming]
exten => 102,1,Answer()
 same => n,Playtones(600)
 same => n,Wait(60)
[outgoing]
exten => {PSTN_NUMBER},1,Answer()
 same => n,Playtones(600)
 same => n,Wait(60)
exten => {PSTN_NUMBER[:-1]}9,1,Answer()
 same => n,Echo()
[here]
exten => echo,1,Echo()
"""


class AsteriskPeers(Office):
    def test_as_a_handset_it_registers_and_is_called_and_calls(self):
        ca_file = make_ca(self.folder, "unused", "unused.example", valid=False)
        gw = self.start_gateway(["101", "102"], ca_file, server=UNREACHABLE)
        host = self.network.host("h102", lan="10.77.0.12")
        asterisk = self.started(Asterisk(host, self.folder, "handset", HANDSET, DIALPLAN))
        phone = self.start_handset("101", "10.77.0.11", 440)
        phone.wait_registered()
        asterisk.wait_for("pjsip show registrations", "Registered")
        self.assertEqual(len(gw.handsets("102")), 1)

        phone.dial("102")
        phone.wait_for("CALL_ESTABLISHED")
        phone.wait_to_hear(600)
        phone.hang_up()
        gw.wait_quiet()

        asterisk.cli("channel originate PJSIP/101@gateway extension echo@here")
        phone.wait_for("CALL_INCOMING")
        phone.accept()
        phone.wait_for("CALL_ESTABLISHED", nth=2)
        phone.wait_to_hear(440)
        phone.hang_up()
        gw.wait_quiet()

    def test_as_the_sip_domain_it_takes_the_registration_and_calls_both_ways_over_tls_and_srtp(self):
        host = self.network.host("domain", wan=DOMAIN_WAN)
        ca_file = make_ca(self.folder, "domain", DOMAIN)
        files = [os.path.join(self.folder, name) for name in ("server.pem", "server.key")]
        asterisk = self.started(Asterisk(host, self.folder, "domain", FAR_DOMAIN, DIALPLAN, files))
        gw = self.start_gateway(["101"], ca_file, prefix=())
        phone = self.start_handset("101", "10.77.0.11", 440)
        phone.wait_registered()
        gw.wait_registered_at_trunk(["101"])
        self.assertIn("sip:101@", asterisk.cli("pjsip show contacts"))

        for nth, (number, tone) in enumerate([(PSTN_NUMBER, 600), (PSTN_NUMBER[:-1] + "9", 440)], 1):
            phone.dial(number)
            phone.wait_for("CALL_ESTABLISHED", nth=nth)
            phone.wait_to_hear(tone)
            phone.hang_up()
            gw.wait_quiet()

        asterisk.cli("channel originate PJSIP/101 extension echo@here")
        phone.wait_for("CALL_INCOMING")
        phone.accept()
        phone.wait_to_hear(440)
        phone.hang_up()
        gw.wait_quiet()
