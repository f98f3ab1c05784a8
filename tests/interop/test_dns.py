"""The trunk's server found by DNS, at a server that was not written here: dnsmasq."""

import os
import shutil

from tests.harness.kamailio import DOMAIN
from tests.harness.lab import DOMAIN_WAN, Office
from tests.harness.program import Program
from tests.harness.wait import wait_until

DNS_WAN = "10.78.0.4"
HANDSET = "10.77.0.11"


class Dnsmasq:
    """dnsmasq on a host of its own: the domain's NAPTR, SRV records that fit no datagram, an alias, an address."""

    def __init__(self, host, folder):
        # The server that is there comes first, then many of a lower priority.
        others = [f"--srv-host=_sips._tcp.{DOMAIN},nobody-{n}.{'x' * 40}.{DOMAIN},5061,9,0" for n in range(20)]
        self.program = Program(
            host, folder, "dnsmasq", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
            "--user=root", "--pid-file=", "--log-facility=-", "--log-queries", "--bind-interfaces",
            f"--listen-address={host.wan}", f"--local=/{DOMAIN}/",
            f"--naptr-record={DOMAIN},10,10,s,SIPS+D2T,,_sips._tcp.{DOMAIN}",
            f"--srv-host=_sips._tcp.{DOMAIN},edge.{DOMAIN},5061,1,0", *others,
            f"--cname=edge.{DOMAIN},box.{DOMAIN}", f"--host-record=box.{DOMAIN},{DOMAIN_WAN},60")
        self.program.wait_for_log("started")

    def log(self):
        return self.program.log()

    def stop(self):
        self.program.stop()


class AtDnsmasq(Office):
    def name_servers(self, *addresses):
        """What programs on the gateway's host find in /etc/resolv.conf: `ip netns exec` puts this file there."""
        folder = f"/etc/netns/{self.gw_host.namespace}"
        os.makedirs(folder, exist_ok=True)
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        # Written over, not replaced: what runs already sees this file.
        with open(f"{folder}/resolv.conf", "w") as file:
            file.writelines(f"nameserver {address}\n" for address in addresses)

    def test_the_trunk_is_found_by_naptr_srv_and_alias_past_a_dead_server_and_again_when_dns_is_gone(self):
        # The first server is a host without DNS.
        self.name_servers(DOMAIN_WAN, DNS_WAN)
        kamailio = self.start_kamailio(["101"])
        dnsmasq = self.started(Dnsmasq(self.network.host("dns", wan=DNS_WAN), self.folder))
        gateway = self.start_gateway(["101"], kamailio.ca_file, server=DOMAIN)
        handset = self.start_handset("101", HANDSET, 440)
        handset.wait_registered()
        gateway.wait_registered_at_trunk(["101"])
        for question in (f"query[NAPTR] {DOMAIN} ", f"query[SRV] _sips._tcp.{DOMAIN} ", f"query[A] edge.{DOMAIN} "):
            self.assertIn(question, dnsmasq.log())

        # Silent servers, and others than before: the last good answers stand in.
        dnsmasq.stop()
        self.name_servers(DOMAIN_WAN)
        kamailio.stop()
        wait_until(lambda: gateway.status()["trunk"]["state"] != "up", "the gateway sees that the flow is gone")
        kamailio.start()
        gateway.wait_registered_at_trunk(["101"], 60)

    def test_a_server_that_comes_with_a_new_lease_is_asked(self):
        self.name_servers(DOMAIN_WAN)
        kamailio = self.start_kamailio(["101"])
        gateway = self.start_gateway(["101"], kamailio.ca_file, server=DOMAIN)
        handset = self.start_handset("101", HANDSET, 440)
        handset.wait_registered()
        wait_until(lambda: DOMAIN_WAN in (gateway.status()["trunk"]["reason"] or ""), "the status names the dead server")
        self.started(Dnsmasq(self.network.host("dns", wan=DNS_WAN), self.folder))
        self.name_servers(DNS_WAN)
        gateway.wait_registered_at_trunk(["101"], 60)
