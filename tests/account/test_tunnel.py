"""A tunnel whose URL changes: Twilio is told by the running service, and every command knows it."""

import http.server
import json
import os
import signal
import socketserver
import ssl
import subprocess
import threading
import unittest
import urllib.request

from tests.account.account import Account, records
from tests.harness.wait import wait_until


class Front(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """The tunnel's public end: TLS, and the webhook listener behind it."""

    daemon_threads = True

    def __init__(self, inside, certificate):
        class Forward(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                with urllib.request.urlopen(f"http://127.0.0.1:{inside}{self.path}", timeout=10) as answer:
                    body = answer.read()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Forward)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.url = f"https://127.0.0.1:{self.server_address[1]}"

    def stop(self):
        self.shutdown()
        self.server_close()


class Tunnel(Account):
    def setUp(self):
        super().setUp()
        folder = self.office.folder
        self.certificate, self.says = f"{folder}/front.pem", f"{folder}/url"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", self.certificate, "-out", f"{folder}/cert.pem", "-days", "2", "-subj", "/CN=tunnel",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"],
                       check=True, capture_output=True)
        with open(f"{folder}/cert.pem") as cert, open(self.certificate, "a") as both:
            both.write(cert.read())
        script = f"{folder}/cloudflared"
        with open(script, "w") as file:
            # As cloudflared prints it.
            file.write(f"#!/bin/sh\necho \"2026-11-22T09:00:02Z INF |  $(cat {self.says})   |\" >&2\n"
                       f"echo $$ >{folder}/pid\nexec sleep 1000\n")
        os.chmod(script, 0o755)
        tunnel = {"driver": "command", "command": [script], "url_pattern": "127.0.0.1", "prove_every": 10}
        self.office.write(stage=False, tunnel=tunnel)
        with open(self.office.config) as file:
            text = file.read()
        # What the proof from outside trusts.
        text = text.replace("[trunk]", f'ca_file = "{folder}/cert.pem"\n[trunk]', 1)
        with open(self.office.config, "w") as file:
            file.write(text)

    def front(self):
        front = Front(self.office.webhook, self.certificate)
        self.addCleanup(front.stop)
        with open(self.says, "w") as file:
            file.write(front.url)
        return front.url

    def fields(self, kind):
        return next(r["fields"] for r in records(self.simulator) if r["kind"] == kind)

    def webhooks(self):
        domain, app = self.fields("domain"), self.fields("application")
        return [domain["voice_url"], domain["voice_status_callback_url"], app["voice_url"], app["status_callback"]]

    def assert_calm(self):
        plan = self.office.run("plan")
        self.assertEqual(plan.code, 0, str(plan))
        drift = json.loads(self.office.done("status", "--drift", "--json").out)["drift"]
        self.assertEqual(drift["changes"], 0, drift)

    def test_twilio_calls_a_new_url_within_seconds_and_no_command_writes_the_old_one_back(self):
        said = self.office.setup()
        self.assertIn("the public URL of prod is not known yet", said.out)
        self.assertEqual([url for url in self.webhooks() if url], [], "nothing is known that could be written")
        self.assertEqual(self.office.run("plan").code, 0, "and nothing is missed")

        for at in range(2):
            url = self.front()
            if at == 0:
                self.office.serve(self.addCleanup)
            else:
                with open(f"{self.office.folder}/pid") as pid:
                    os.kill(int(pid.read()), signal.SIGKILL)
            paths = ("outgoing", "status", "incoming", "status")
            wanted = [f"{url}/twilio/{path}" for path in paths]
            wait_until(lambda: self.webhooks() == wanted, f"Twilio is told of {url}")
            if at == 0:
                # The usage trigger of [spend] had to wait for a URL.
                wait_until(lambda: self.office.run("plan").code == 2, "the plan has the trigger")
                self.office.done("apply", "--yes")
            self.assertEqual(self.fields("usage_trigger")["callback_url"], f"{url}/twilio/usage")
            wait_until(lambda: self.office.run("tunnel", "status").code == 0, "the new URL is proved from outside")
            # The write is noted a moment after Twilio has it.
            shown = f"public URL   {url}\n"
            wait_until(lambda: shown in self.office.run("tunnel", "status").out, "the status shows that Twilio has it")
            self.assert_calm()
            check = self.office.run("check", "--account")
            self.assertEqual(check.code, 0, str(check))
            again = self.office.setup()
            self.assertEqual(again.requests[1], 0, str(again))
            self.assertEqual(self.webhooks(), wanted)

    def move(self):
        """The program ends, and its next run has another URL."""
        url = self.front()
        with open(f"{self.office.folder}/pid") as pid:
            os.kill(int(pid.read()), signal.SIGKILL)
        return url

    def test_set_up_proves_through_the_service_and_the_dialplan_offline_has_the_url_in_force(self):
        self.office.setup()
        url = self.front()
        self.office.serve(self.addCleanup)
        # Nothing but this waits for the tunnel and for Twilio to be told.
        said = self.office.done("setup", "--yes", "--no-ring")
        self.assertIn("tunnel: proved\n", said.out)
        self.assertIn(f"{url} leads to this box\n", said.out)
        self.assertEqual(self.webhooks()[0], f"{url}/twilio/outgoing")
        self.assertIn(f"{url}/twilio/", self.office.done("dial", "101", "5035551212", "--twiml").out)

    def written(self):
        return self.simulator.control("GET", "requests")["writes"]

    def test_a_url_that_does_not_lead_here_is_announced_and_never_written(self):
        self.office.setup()
        before = self.written()
        # Somebody's server, with a certificate for its name and no gateway behind it.
        class Stranger(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", "64")
                self.end_headers()
                self.wfile.write(b"0" * 64)

            def log_message(self, *_):
                pass
        stranger = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stranger)
        threading.Thread(target=stranger.serve_forever, daemon=True).start()
        self.addCleanup(stranger.server_close)
        self.addCleanup(stranger.shutdown)
        front = Front(stranger.server_address[1], self.certificate)
        self.addCleanup(front.stop)
        with open(self.says, "w") as file:
            file.write(front.url)
        self.office.serve(self.addCleanup)
        wait_until(lambda: "not what this box would" in self.office.run("tunnel", "status").out, "the proof fails")
        said = self.office.run("tunnel", "status").out
        self.assertIn(f"{front.url}, Twilio has not been told yet", said)
        self.assertEqual([url for url in self.webhooks() if url], [])
        self.assertEqual(self.written(), before)

    def test_sixty_aborted_requests_in_the_log_make_no_write(self):
        self.office.setup()
        url = self.front()
        with open(f"{self.office.folder}/cloudflared", "a+") as file:
            file.seek(0)
            text = file.read()
            file.truncate(0)
            flood = ("n=0; while [ ! -e FLOOD ]; do sleep 0.05; done\n"
                     f"while [ $n -lt 60 ]; do echo \"ERR Request failed dest={url}/x$n event=0\" >&2; "
                     f"echo \"INF |  https://127.0.0.1:$((1000 + n))  |\" >&2; n=$((n + 1)); done; touch FLOODED\n")
            flood = flood.replace("FLOODED", f"{self.office.folder}/flooded").replace("FLOOD", f"{self.office.folder}/flood")
            file.write(text.replace("exec sleep 1000\n", flood + "exec sleep 1000\n"))
        self.office.serve(self.addCleanup)
        wait_until(lambda: self.webhooks()[0] == f"{url}/twilio/outgoing", "Twilio is told")
        wait_until(lambda: self.office.run("tunnel", "status").code == 0, "it is proved")
        # Twilio has the URL before your box has written down that it has.
        wait_until(lambda: f"public URL   {url}\n" in self.office.done("tunnel", "status").out, "that is kept")
        before, wanted = self.written(), self.webhooks()
        open(f"{self.office.folder}/flood", "w").close()
        wait_until(lambda: os.path.exists(f"{self.office.folder}/flooded"), "the log is full of it")
        wait_until(lambda: "dest=" in self.office.log(), "the service has read it")
        wait_until(lambda: self.office.run("tunnel", "status").code == 0, "it is proved")
        self.assertIn(f"public URL   {url}\n", self.office.done("tunnel", "status").out)
        self.assertEqual((self.written(), self.webhooks()), (before, wanted))

    def test_a_broken_state_file_stops_a_moved_url_and_every_command_and_nothing_is_written(self):
        self.office.setup()
        url = self.front()
        self.office.serve(self.addCleanup)
        wait_until(lambda: f"public URL   {url}\n" in self.office.run("tunnel", "status").out, "Twilio is told")
        wait_until(lambda: self.office.run("tunnel", "status").code == 0, "it is proved")
        before = self.webhooks()
        broken = f"{self.office.folder}/state/twilio.json"
        with open(broken) as file:
            whole = file.read()
        with open(broken, "w") as file:
            file.write(whole[:len(whole) // 2])
        writes = self.simulator.control("GET", "requests")["writes"]
        moved = self.move()
        told = f"{broken} cannot be understood"
        wait_until(lambda: told in self.office.log(), "the service says why it does not write")
        for command in (["plan"], ["apply", "--yes"], ["undo", "--yes"], ["setup", "--yes", "--no-prove"],
                        ["extension", "rotate", "101"], ["number", "buy", "+15035550177", "--yes"],
                        ["promote", "--back", "prod", "--yes"], ["destroy", "--environment", "prod", "--prod", "--yes=prod"]):
            said = self.office.run(*command)
            self.assertEqual(said.code, 1, f"{command}: {said}")
            self.assertIn(told, said.err, command)
        self.assertEqual(self.simulator.control("GET", "requests")["writes"], writes)
        self.assertEqual(self.webhooks(), before)

        with open(broken, "w") as file:
            file.write(whole)
        self.office.done("reload")
        wait_until(lambda: self.webhooks()[0] == f"{moved}/twilio/outgoing", "mended, Twilio is told")


if __name__ == "__main__":
    unittest.main()
