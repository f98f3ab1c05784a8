"""Twilio's way in through a tunnel: OpenSSH and nginx outside, and the ladder of failures, one after the other."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import signal
import ssl
import threading
import time
import unittest
import urllib.parse

import gateway
from network import Network
from program import Program, fresh_folder, stop_all, wait_until
from sshd import NAME, Nginx, Relay, Sshd

GATEWAY_LAN = "10.77.0.1"
GATEWAY_WAN = "10.78.0.1"
SERVER_WAN = "10.78.0.4"
CALLER_WAN = "10.78.0.5"
SSHD_PORT = 22
RELAY_PORT = 2222
URL = f"https://{NAME}"
TOKEN = "0" * 32
PROVE_EVERY = 10


class Caller:
    """Asks through the front five times a second, as Twilio would, and notes when it had no answer."""

    def __init__(self, host, ca_file):
        self.host = host
        self.context = ssl.create_default_context(cafile=ca_file)
        self.results = []  # (when asked, seconds it took, whether answered)
        self.stopped = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def request(self, method, path, body=None, headers=None, timeout=15):
        """Status and body of a request through the front."""
        with self.host.socket() as plain:
            plain.settimeout(timeout)
            plain.connect((SERVER_WAN, 443))
            with self.context.wrap_socket(plain, server_hostname=NAME) as secured:
                connection = http.client.HTTPConnection(NAME)
                connection.sock = secured
                connection.request(method, path, body, {"Connection": "close", **(headers or {})})
                answer = connection.getresponse()
                return answer.status, answer.read()

    def _run(self):
        while not self.stopped:
            began = time.monotonic()
            try:
                status, _ = self.request("GET", "/twilio/nonce/0123456789abcdef", timeout=15)
            except (OSError, http.client.HTTPException):
                status = 0
            self.results.append((began, time.monotonic() - began, status == 200))
            time.sleep(0.2)

    def gap(self, since):
        """Seconds from the first request without answer to the next one with, after a point in time."""
        failed = [began for began, _, answered in self.results if began >= since and not answered]
        if not failed:
            return 0.0
        answered = [began for began, _, answered in self.results if answered and began > failed[-1]]
        return (answered[0] if answered else time.monotonic()) - failed[0]

    def slowest(self, since):
        return max((took for began, took, _ in self.results if began >= since), default=0.0)

    def stop(self):
        self.stopped = True
        self.thread.join(20)


class Tunnel(unittest.TestCase):
    def setUp(self):
        self.folder = fresh_folder(self.id().split(".", 1)[1][:60])
        self.network = Network()
        self.addCleanup(self.network.close)
        self.addCleanup(stop_all)
        self.gw_host = self.network.host("gw", lan=GATEWAY_LAN, wan=GATEWAY_WAN)
        # `ip netns exec` puts these in place of the machine's own files; nobody answers at that DNS server.
        self.etc = f"/etc/netns/{self.gw_host.namespace}"
        os.makedirs(self.etc)
        self.addCleanup(self.remove_etc)
        self.write_etc("hosts", f"127.0.0.1 localhost\n{SERVER_WAN} {NAME}\n")
        self.write_etc("resolv.conf", "nameserver 10.78.0.99\noptions timeout:1 attempts:1\n")

    def write_etc(self, name, text):
        # In place: the file is bind-mounted where the gateway runs.
        with open(f"{self.etc}/{name}", "w") as file:
            file.write(text)

    def remove_etc(self):
        for name in os.listdir(self.etc):
            os.remove(f"{self.etc}/{name}")
        os.rmdir(self.etc)

    def started(self, program):
        self.addCleanup(program.stop)
        return program

    def start_gateway(self, tunnel, ca_file=None):
        trunk = {"domain": "office.sip.twilio.com", "servers": ["10.78.0.9:5061"]}
        twilio = {"account_sid": "AC" + "0" * 32, "api": "http://10.78.0.9:1"}
        if ca_file:
            twilio["ca_file"] = ca_file
        config = gateway.write_config(self.folder, GATEWAY_LAN, trunk, ["101"], twilio=twilio,
                                      webhook={"public_url": URL, "listen": "127.0.0.1:8081"})
        with open(config, "a") as file:
            file.write("[tunnel]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in tunnel.items()))
        gateway.write_secrets(self.folder, ["101"])
        path = f"{self.folder}/state/secrets.json"
        with open(path) as file:
            secrets = json.load(file)
        secrets["webhook"] = {"user": "twilio", "password": "Hooks-kept-4-tests-1234"}
        with open(path, "w") as file:
            json.dump(secrets, file)
        return self.started(gateway.Gateway(self.gw_host, self.folder, config))

    def tunnel(self):
        return self.gateway.status()["tunnel"]

    def wait_state(self, state, seconds):
        def reached():
            status = self.tunnel()
            return status if status["state"] == state else None
        try:
            return wait_until(reached, f"the tunnel is {state}", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.tunnel()}\n{self.gateway.program.log()[-3000:]}") from None

    def wait_reason(self, text, seconds):
        def told():
            reason = self.tunnel()["reason"]
            return reason if reason and text in reason else None
        try:
            return wait_until(told, f"the status tells {text!r}", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.tunnel()}\n{self.gateway.program.log()[-3000:]}") from None


class Ssh(Tunnel):
    """The ssh driver and a server of one's own."""

    def setUp(self):
        super().setUp()
        self.server = self.network.host("server", wan=SERVER_WAN)
        self.sshd = self.started(Sshd(self.server, self.folder, SSHD_PORT))
        self.nginx = self.started(Nginx(self.server, self.folder))
        self.relay = self.started(Relay(self.server, RELAY_PORT, SSHD_PORT))
        self.gateway = self.start_gateway({"driver": "ssh", "server": f"root@{NAME}:{RELAY_PORT}",
                                           "remote": "127.0.0.1:8080", "prove_every": PROVE_EVERY},
                                          self.nginx.ca_file)
        reason = self.wait_reason("authorized_keys", 10)
        self.line = reason.split("authorized_keys there: ", 1)[1]
        self.sshd.let_in(self.line)
        # A server that said no is asked rarely; a person who put the line there need not wait for it.
        self.gateway.command("reload")
        self.wait_state("proved", 60)
        self.caller = self.started(Caller(self.network.host("caller", wan=CALLER_WAN), self.nginx.ca_file))

    def test_each_failure_is_told_in_words_and_ends_by_itself_or_when_its_cause_does(self):
        table = []

        def step(name, cause, remedy=None, told=None, bound=60):
            began = time.monotonic()
            cause()
            told_after = None
            if told:
                self.wait_reason(told, 60)
                told_after = time.monotonic() - began
            if remedy:
                remedy()
                self.gateway.command("reload")
            self.wait_state("proved", 150)
            wait_until(lambda: self.caller.results and self.caller.results[-1][2], f"a caller is answered: {name}", 30)
            gap = self.caller.gap(began)
            table.append((name, told_after, gap))
            if not remedy:
                self.assertLess(gap, bound, name)

        def renew_host_key():
            self.sshd.stop()
            os.rename(f"{self.sshd.folder}/host_key", f"{self.sshd.folder}/kept")
            self.sshd.make_host_key()
            self.sshd.start()

        def old_host_key():
            self.sshd.stop()
            os.rename(f"{self.sshd.folder}/kept", f"{self.sshd.folder}/host_key")
            self.sshd.start()

        def kill():
            wait_until(self.sshd.sessions, "a session is there")
            self.sshd.signal_sessions(signal.SIGKILL)

        def restart(first=""):
            self.sshd.stop()
            self.sshd.start(first)

        def lock_out():
            self.sshd.let_in("")
            kill()

        def hide_name():
            self.write_etc("hosts", "127.0.0.1 localhost\n")
            kill()

        def swallow(yes):
            self.relay.swallows = yes

        # Connected but dead, and nobody says so: the keepalive does.
        step("session killed", kill, bound=30)
        step("server restarted", restart, bound=30)
        step("connected but dead", lambda: swallow(True), lambda: swallow(False), told="silent")
        step("key refused", lock_out, lambda: self.sshd.let_in(self.line), told="refuses the key of this box")
        step("forward refused", lambda: restart("AllowTcpForwarding no\n"), restart, told="AllowTcpForwarding")
        step("host key changed", renew_host_key, old_host_key, told="nothing was sent to it")
        step("name gone", hide_name, lambda: self.write_etc("hosts", f"{SERVER_WAN} {NAME}\n"),
             told="cannot be looked up")

        print(f"\n{'failure':<20}  {'told after':>10}  {'callers waited':>14}")
        for name, told_after, gap in table:
            told_after = f"{told_after:.1f} s" if told_after is not None else ""
            print(f"{name:<20}  {told_after:>10}  {gap:>12.1f} s")
        self.assertNotIn("panicked", self.gateway.program.log())

    def test_a_slow_line_is_told_as_slow_and_is_no_reason_to_restart(self):
        restarts = self.tunnel()["restarts"]
        self.relay.delay = 3
        status = wait_until(lambda: self.tunnel() if self.tunnel()["slow"] else None, "a slow proof is counted", 60)
        self.assertGreater(status["latency"], 5000)
        self.assertEqual(status["state"], "proved")
        self.assertIn("tunnel.slow", self.gateway.program.log())
        self.relay.delay = 0
        wait_until(lambda: "tunnel.fast" in self.gateway.program.log(), "the end is told, too", 60)
        self.assertEqual(self.tunnel()["restarts"], restarts)

    def test_what_twilio_signed_is_answered_and_nothing_but_webhooks_can_be_reached(self):
        fields = {"CallSid": "CA" + "1" * 32, "CallStatus": "completed"}
        signed = URL + "/twilio/status" + "".join(f"{name}{fields[name]}" for name in sorted(fields))
        mark = base64.b64encode(hmac.new(TOKEN.encode(), signed.encode(), hashlib.sha1).digest()).decode()
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        ask = self.caller.request
        body = urllib.parse.urlencode(fields)
        self.assertEqual(ask("POST", "/twilio/status", body, {**form, "X-Twilio-Signature": mark})[0], 204)
        self.assertEqual(ask("POST", "/twilio/status", body, form)[0], 403)
        for path in ("/", "/status", "/metrics", "/twilio", "/provision/101", "/twilio/../status"):
            self.assertEqual(ask("GET", path)[0], 404, path)

    def test_the_key_that_the_gateway_asks_for_opens_one_forward_and_nothing_else(self):
        key = f"{self.folder}/state/tunnel_key"
        self.assertEqual(os.stat(key).st_mode & 0o777, 0o600)
        ssh = ["ssh", "-i", key, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o",
               "BatchMode=yes", "-o", "ExitOnForwardFailure=yes", "-o", "ControlPath=none"]
        other = Program(self.gw_host, self.folder, "other-forward", *ssh, "-N", "-R", "127.0.0.1:9999:127.0.0.1:1",
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
                       f"n=$(cat {self.folder}/starts 2>/dev/null || echo 0); n=$((n + 1)); echo $n >{self.folder}/starts\n"
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
