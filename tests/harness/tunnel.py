"""A gateway whose webhooks come in through a tunnel: a server outside with OpenSSH and nginx, and somebody who asks."""

import http.client
import json
import os
import ssl
import threading
import time

from tests.harness.gateway import Gateway
from tests.harness.lab import GATEWAY_LAN, Office
from tests.harness.office import NOBODY, write_config, write_secrets
from tests.harness.relay import Relay
from tests.harness.sshd import NAME, Nginx, Sshd
from tests.harness.wait import wait_until

SERVER_WAN = "10.78.0.4"
CALLER_WAN = "10.78.0.5"
WEBHOOK = "127.0.0.1:8081"
SSHD_PORT = 22
RELAY_PORT = 2222
URL = f"https://{NAME}"
PROVE_EVERY = 10


def ssh(port):
    """The ssh driver, towards sshd itself or the relay before it."""
    return {"driver": "ssh", "server": f"root@{NAME}:{port}", "remote": "127.0.0.1:8080", "prove_every": PROVE_EVERY}


class Caller:
    """Asks through the front five times a second, as Twilio would, and notes when it had no answer."""

    def __init__(self, host, ca_file):
        self.host = host
        self.context = ssl.create_default_context(cafile=ca_file)
        self.results = []  # (when asked, seconds it took, whether answered)
        self.stopped = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def secured(self, plain):
        return self.context.wrap_socket(plain, server_hostname=NAME)

    def request(self, method, path, body=None, headers=None, timeout=15):
        """Status and body of a request through the front."""
        with self.host.socket() as plain:
            plain.settimeout(timeout)
            plain.connect((SERVER_WAN, 443))
            with self.secured(plain) as secured:
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


class Tunnel(Office):
    """An office whose gateway resolves names by files of its own."""

    def setUp(self):
        super().setUp()
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

    def write_config(self, tunnel, trunk, twilio, extensions=("101",), **options):
        webhook = {"listen": WEBHOOK} if "url_pattern" in tunnel else {"public_url": URL, "listen": WEBHOOK}
        return write_config(self.folder, GATEWAY_LAN, trunk, extensions, twilio=twilio, webhook=webhook, tunnel=tunnel,
                            **options)

    def start_gateway(self, tunnel, ca_file=None):
        """Without a Twilio: nobody is there to be called or told."""
        trunk = {"domain": "office.sip.twilio.com", "servers": ["10.78.0.9:5061"]}
        twilio = {**NOBODY, "api": "http://10.78.0.9:1"}
        if ca_file:
            twilio["ca_file"] = ca_file
        config = self.write_config(tunnel, trunk, twilio)
        write_secrets(self.folder, ["101"])
        path = f"{self.folder}/state/secrets.json"
        with open(path) as file:
            secrets = json.load(file)
        secrets["webhook"] = {"user": "twilio", "password": "Hooks-kept-4-tests-1234"}
        with open(path, "w") as file:
            json.dump(secrets, file)
        return self.started(Gateway(self.gw_host, self.folder, config))

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


class Outside(Tunnel):
    """A server of one's own: sshd behind a relay that can be slow or dead, and nginx as TLS front."""

    def setUp(self):
        super().setUp()
        self.server = self.network.host("server", wan=SERVER_WAN)
        self.sshd = self.started(Sshd(self.server, self.folder, SSHD_PORT))
        self.nginx = self.started(Nginx(self.server, self.folder))
        self.relay = self.started(Relay(self.server, RELAY_PORT, SSHD_PORT))

    def let_in(self):
        """Puts the line that the gateway asks for into authorized_keys, and waits for the proof."""
        self.line = self.wait_reason("authorized_keys", 10).split("authorized_keys there: ", 1)[1]
        self.sshd.let_in(self.line)
        # A server that said no is asked rarely; a person who put the line there need not wait for it.
        self.gateway.command("reload")
        self.wait_state("proved", 60)

    def start_caller(self):
        self.caller = self.started(Caller(self.network.host("caller", wan=CALLER_WAN), self.nginx.ca_file))
