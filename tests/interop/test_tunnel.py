"""Twilio's way in through a tunnel: what can be reached through it, what it adds, and programs that are supervised."""

import base64
import hashlib
import hmac
import http.client
import os
import signal
import socket
import statistics
import time
import unittest
import urllib.parse

from tests.harness.program import Program
from tests.harness.sshd import NAME
from tests.harness.tunnel import SERVER_WAN, SSHD_PORT, URL, Outside, Tunnel, ssh
from tests.harness.wait import wait_until

TOKEN = "0" * 32
#: Requests one after the other, and what half of them may take: an acknowledgement that is delayed takes 40 ms.
REQUESTS, HALF_WITHIN = 200, 0.03


class Ssh(Outside):
    """The ssh driver and a server of one's own."""

    def setUp(self):
        super().setUp()
        self.gateway = self.start_gateway(ssh(SSHD_PORT), self.nginx.ca_file)
        self.let_in()
        self.start_caller()

    def test_a_webhook_does_not_wait_for_an_acknowledgement_of_the_one_before(self):
        times = {"through the tunnel": self.times(self.caller.secured, SERVER_WAN, 443, range(REQUESTS)),
                 "past it": self.times(lambda plain: plain, "127.0.0.1", 8081, range(REQUESTS, 2 * REQUESTS))}
        print()
        for name, took in times.items():
            half, most = statistics.median(took), statistics.quantiles(took, n=20)[-1]
            print(f"{REQUESTS} webhooks {name:<20}  p50 {half * 1000:>5.1f} ms  p95 {most * 1000:>5.1f} ms")
        self.assertLess(statistics.median(times["through the tunnel"]), HALF_WITHIN)

    def times(self, secured, address, port, calls):
        """Seconds for each of many requests on one connection, each sent when the last is answered."""
        host = self.caller.host if port == 443 else self.gw_host
        # One call after the other: the same request again is a replay, which has a limit.
        asked = [self.signed(number) for number in calls]
        took = []
        with host.socket() as plain:
            plain.settimeout(15)
            # http.client writes head and body apart: the delay would be its own.
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.connect((address, port))
            with secured(plain) as stream:
                connection = http.client.HTTPConnection(NAME)
                connection.sock = stream
                for body, headers in asked:
                    began = time.monotonic()
                    # Signed: what anybody may ask for has a limit.
                    connection.request("POST", "/twilio/status", body, headers)
                    answer = connection.getresponse()
                    answer.read()
                    took.append(time.monotonic() - began)
                    self.assertEqual(answer.status, 204)
        return took

    def signed(self, number=0):
        """Body and headers of the status callback of a call, signed as Twilio does."""
        fields = {"CallSid": f"CA{number:032x}", "CallStatus": "completed"}
        text = URL + "/twilio/status" + "".join(f"{name}{fields[name]}" for name in sorted(fields))
        mark = base64.b64encode(hmac.new(TOKEN.encode(), text.encode(), hashlib.sha1).digest()).decode()
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        return urllib.parse.urlencode(fields), {**form, "X-Twilio-Signature": mark}

    def test_what_twilio_signed_is_answered_and_nothing_but_webhooks_can_be_reached(self):
        body, headers = self.signed()
        ask = self.caller.request
        self.assertEqual(ask("POST", "/twilio/status", body, headers)[0], 204)
        del headers["X-Twilio-Signature"]
        self.assertEqual(ask("POST", "/twilio/status", body, headers)[0], 403)
        for path in ("/", "/status", "/metrics", "/twilio", "/provision/101", "/twilio/../status"):
            self.assertEqual(ask("GET", path)[0], 404, path)

    def test_the_key_that_the_gateway_asks_for_opens_one_forward_and_nothing_else(self):
        key = f"{self.folder}/state/tunnel_key"
        self.assertEqual(os.stat(key).st_mode & 0o777, 0o600)
        client = ["ssh", "-i", key, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o",
               "BatchMode=yes", "-o", "ExitOnForwardFailure=yes", "-o", "ControlPath=none"]
        other = Program(self.gw_host, self.folder, "other-forward", *client, "-N", "-R", "127.0.0.1:9999:127.0.0.1:1",
                        f"root@{SERVER_WAN}")
        self.addCleanup(other.stop)
        self.assertNotEqual(other.wait(20), 0)
        self.assertIn("remote port forwarding failed", other.log())


class Command(Tunnel):
    """A fake of cloudflared: the real one needs the internet."""

    def test_a_program_is_supervised_and_its_new_url_is_told_after_each_start(self):
        script = f"{self.folder}/cloudflared"
        with open(script, "w") as file:
            file.write("#!/bin/sh\n"
                       f"n=$(cat {self.folder}/starts 2>/dev/null || echo 0); n=$((n + 1))\n"
                       f"echo $n >{self.folder}/starts\n"
                       "echo '2026-11-22T09:00:00Z INF Requesting new quick Tunnel on trycloudflare.com...' >&2\n"
                       "echo '2026-11-22T09:00:02Z INF |  Your quick Tunnel has been created! Visit it at' >&2\n"
                       "echo \"2026-11-22T09:00:02Z INF |  https://word-$n.trycloudflare.com   |\" >&2\n"
                       "sleep 1000 & wait\n")
        os.chmod(script, 0o755)
        self.gateway = self.start_gateway({"driver": "command", "command": [script, "--url", "http://{address}"]})
        wait_until(lambda: self.tunnel()["public_url"] == "https://word-1.trycloudflare.com", "its URL is found", 20)
        self.assertFalse(self.tunnel()["written"], "nobody is there to be told")
        children = self.children(self.gateway.program.pid)
        self.assertEqual(len(children), 1, "the program, with its own children")
        os.kill(children[0], signal.SIGKILL)
        wait_until(lambda: self.tunnel()["public_url"] == "https://word-2.trycloudflare.com", "it is started again", 20)
        self.assertEqual(self.tunnel()["restarts"], 1)
        self.assertIn("was killed by signal 9", self.gateway.program.log())
        # Killed without a chance to clean up, nothing of it is left all the same.
        child = self.children(self.gateway.program.pid)[0]
        self.gateway.program.process.kill()
        wait_until(lambda: not os.path.exists(f"/proc/{child}") or zombie(child), "the program dies with the gateway")

    def children(self, pid):
        with open(f"/proc/{pid}/task/{pid}/children") as children:
            return [int(child) for child in children.read().split()]


def zombie(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return ") Z " in stat.read()
    except FileNotFoundError:
        return True


if __name__ == "__main__":
    unittest.main()
