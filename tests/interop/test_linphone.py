"""linphone as a handset, by UDP and by TCP."""

from tests.harness.certificates import make_ca
from tests.harness.lab import GATEWAY_LAN, Office
from tests.harness.linphone import Linphone
from tests.harness.office import lan_password

UNREACHABLE = "10.78.0.9:5061"


class LinphoneHandsets(Office):
    def test_it_calls_and_is_called_with_sound_both_ways_by_udp_and_by_tcp(self):
        ca_file = make_ca(self.folder, "unused", "unused.example", valid=False)
        gw = self.start_gateway(["101", "102", "103"], ca_file, server=UNREACHABLE)
        other = self.start_handset("101", "10.77.0.11", 440)
        other.wait_registered()
        for nth, (extension, address, transport) in enumerate([("102", "10.77.0.12", "udp"), ("103", "10.77.0.13", "tcp")]):
            host = self.network.host(f"h{extension}", lan=address)
            phone = self.started(Linphone(host, self.folder, extension, GATEWAY_LAN, lan_password(extension), 600, transport))
            phone.wait_registered()
            self.assertEqual(len(gw.handsets(extension)), 1)
            phone.dial("101")
            other.wait_for("CALL_INCOMING", nth=nth + 1)
            other.accept()
            phone.wait_for("LinphoneCallStreamsRunning", nth=1)
            phone.wait_to_hear(440)
            other.wait_to_hear(600)
            phone.hang_up()
            other.wait_for("CALL_CLOSED", nth=2 * nth + 1)

            other.dial(extension)
            phone.wait_for("LinphoneCallIncomingReceived")
            phone.accept()
            other.wait_for("CALL_ESTABLISHED", nth=2 * nth + 2)
            other.wait_to_hear(600)
            other.hang_up()
            phone.wait_for("LinphoneCallReleased", nth=2)
            gw.wait_quiet()
