"""The ladder of failures of a tunnel, one after the other, while somebody talks: callers wait, the talk goes on."""

import json
import os
import signal
import subprocess
import time
import unittest

from tests.harness import tone
from tests.harness.baresip import Baresip
from tests.harness.gateway import Gateway
from tests.harness.lab import GATEWAY_LAN
from tests.harness.office import NUMBER
from tests.harness.simulator import Simulator
from tests.harness.sshd import NAME
from tests.harness.tunnel import PROVE_EVERY, RELAY_PORT, SERVER_WAN, Outside, ssh
from tests.harness.wait import wait_until

DOMAIN = "interop.sip.twilio.com"
HANDSET_LAN = "10.77.0.11"
CALLED, CALLER = "5035551212", "+15035550111"
TONE_OF_101, TONE_OF_PSTN = 440, 600
PACKETS_PER_SECOND = 50
#: Seconds that 101 has something to say.
TALK = 240
#: What is heard is looked at in pieces of so many seconds, and reaches the file a little late.
PIECE, LATE = 0.5, 2.0


class Talk:
    """A call of 101's to the world outside: what it hears is recorded, what the far end hears the simulator counts."""

    def __init__(self, handset, simulator):
        self.handset, self.simulator = handset, simulator
        party = {"tone_hz": TONE_OF_PSTN, "answer_after_ms": 100}
        simulator.control("POST", "pstn/party", {"number": f"+1{CALLED}", "party": party})
        handset.dial(CALLED)
        handset.wait_for("CALL_ESTABLISHED")
        handset.wait_to_hear(TONE_OF_PSTN)
        self.began = time.monotonic()

    def mark(self):
        """Now, and how much has been recorded."""
        return time.monotonic(), len(self.handset.heard()[0])

    def since(self, mark):
        """Seconds since a mark, and how many of them 101 has heard the far end's tone."""
        began, first = mark
        samples, rate = self.handset.heard()
        piece = int(rate * PIECE)
        pieces = [samples[at:at + piece] for at in range(first, len(samples) - piece, piece)]
        good = sum(tone.level(part) > -30 and tone.share(part, rate, TONE_OF_PSTN) > 0.9 for part in pieces)
        return time.monotonic() - began, good * PIECE

    def end(self):
        """Hangs up; how long it was, and what the far end heard."""
        seconds = time.monotonic() - self.began
        self.handset.hang_up()

        def ended():
            return [e for e in self.simulator.journal("pstn_ended") if e["number"] == f"+1{CALLED}"]
        return seconds, wait_until(ended, "the far end's call ends")[0]["heard"]


class Talking(Outside):
    """With a Twilio and a handset."""

    def begin(self, tunnel):
        self.simulator = self.started(Simulator(self.gw_host, self.folder, "--webhook-ca", self.nginx.ca_file))
        trunk, twilio = self.simulator.tables(DOMAIN)
        config = self.write_config(tunnel, trunk, {**twilio, "ca_file": self.nginx.ca_file}, extensions=["101", "102"],
                                   ring=["102"])
        self.simulator.set_up(config)
        self.gateway = self.started(Gateway(self.gw_host, self.folder, config))

    def talk(self):
        password = json.loads(self.gateway.command("handset", "101", "--json").stdout)["password"]
        host = self.network.host("h101", lan=HANDSET_LAN)
        handset = self.started(Baresip(
            host, self.folder, "handset-101", HANDSET_LAN,
            f"<sip:101@{GATEWAY_LAN}>;auth_user=101;auth_pass={password};regint=120;"
            "audio_codecs=PCMU/8000/1;answermode=manual", TONE_OF_101))
        # Longer than any ladder: baresip ends a call whose file has ended.
        tone.write(os.path.join(handset.folder, "plays.wav"), TONE_OF_101, TALK)
        handset.wait_registered()
        self.gateway.wait_registered_at_trunk(["101"])
        return Talk(handset, self.simulator)

    def assert_heard(self, talk):
        """The call was one call to its end, and nothing of it was lost."""
        seconds, heard = talk.end()
        print(f"the call in progress lasted {seconds:.0f} s; the far end heard {heard['packets']} packets, "
              f"lost {heard['lost']}")
        self.assertAlmostEqual(heard["hertz"], TONE_OF_101, delta=3)
        self.assertEqual(heard["lost"], 0)
        self.assertGreater(heard["packets"], seconds * PACKETS_PER_SECOND * 0.97)


class Ladder(Talking):
    def setUp(self):
        super().setUp()
        self.begin(ssh(RELAY_PORT))
        self.let_in()
        self.start_caller()

    def test_each_failure_is_told_in_words_and_mended_and_the_call_in_progress_is_held(self):
        table, talk = [], self.talk()

        def step(name, cause, remedy=None, told=None, bound=60):
            mark, began = talk.mark(), time.monotonic()
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
            table.append((name, told_after, gap, *talk.since(mark)))
            self.assertLess(told_after or 0, 20, name)
            if not remedy:
                self.assertLess(gap, bound, name)

        def kill():
            wait_until(self.sshd.sessions, "a session is there")
            self.sshd.signal_sessions(signal.SIGKILL)

        def restart(first=""):
            self.sshd.stop()
            self.sshd.start(first)

        def lock_out():
            self.sshd.let_in("")
            kill()

        def renew_host_key():
            self.known = self.sshd.fingerprint()
            self.sshd.stop()
            self.sshd.make_host_key()
            self.sshd.start()

        def hide_name():
            self.write_etc("hosts", "127.0.0.1 localhost\n")
            kill()

        def swallow(yes):
            self.relay.swallows = yes

        step("session killed", kill, bound=10)
        step("server restarted", restart, bound=15)
        # Nobody says so: the keepalive does.
        step("connected but dead", lambda: swallow(True), lambda: swallow(False), told="silent")
        table.append(self.slow(talk))
        step("key refused", lock_out, lambda: self.sshd.let_in(self.line), told="refuses the key of this box")
        step("forward refused", lambda: restart("AllowTcpForwarding no\n"), restart, told="AllowTcpForwarding")
        step("host key changed", renew_host_key, self.accept_host_key, told="nothing was sent to it")
        step("name gone", hide_name, lambda: self.write_etc("hosts", f"{SERVER_WAN} {NAME}\n"),
             told="cannot be looked up")

        self.show(table)
        self.assert_heard(talk)
        for name, _, _, seconds, heard in table:
            self.assertGreater(heard, seconds * 0.95 - LATE, f"{name}: 101 did not hear the far end all the time")
        self.assertNotIn("panicked", self.gateway.program.log())

    def slow(self, talk):
        """A slow line is told as slow, and is no reason to restart."""
        mark, began, restarts = talk.mark(), time.monotonic(), self.tunnel()["restarts"]
        self.relay.delay = 3
        status = wait_until(lambda: self.tunnel() if self.tunnel()["slow"] else None, "a slow proof is counted", 60)
        told_after = time.monotonic() - began
        self.assertGreater(status["latency"], 5000)
        self.assertEqual(status["state"], "proved")
        self.assertIn("tunnel.slow", self.gateway.program.log())
        self.relay.delay = 0
        wait_until(lambda: "tunnel.fast" in self.gateway.program.log(), "the end is told, too", 60)
        self.assertEqual(self.tunnel()["restarts"], restarts)
        return "slow", told_after, self.caller.slowest(began), *talk.since(mark)

    def accept_host_key(self):
        """Nobody but a person with the right fingerprint makes the box take another host key."""
        known, new = self.known, self.sshd.fingerprint()
        self.assertNotEqual(known, new)
        reason = self.tunnel()["reason"]
        for text in (known, new, '"gateway tunnel accept-host-key"'):
            self.assertIn(text, reason)
        # However often it is tried.
        self.gateway.command("reload")
        self.wait_state("waiting", 10)

        def accept(*arguments):
            done = self.gateway.command("tunnel", "accept-host-key", *arguments, check=False)
            return done.returncode, done.stdout + done.stderr
        code, text = accept()
        self.assertEqual(code, 1, text)
        for part in (f"known  {known}", f"new    {new}", f"gateway tunnel accept-host-key --yes {new}"):
            self.assertIn(part, text)
        code, text = accept("--yes", known)
        self.assertEqual(code, 1, text)
        self.assertIn("nothing was changed", text)
        self.assertEqual(self.tunnel()["state"], "waiting")
        code, text = accept("--yes", new)
        self.assertEqual(code, 0, text)
        self.wait_state("proved", 10)
        self.assertIn("has shown no other host key", accept()[1])

    def show(self, table):
        print(f"\n{'failure':<20}  {'told after':>10}  {'callers waited':>14}  call in progress")
        for name, told_after, gap, seconds, heard in table:
            told_after = f"{told_after:.1f} s" if told_after is not None else ""
            print(f"{name:<20}  {told_after:>10}  {gap:>12.1f} s  held, {heard:.1f} s of sound in {seconds:.1f} s")


class NewUrl(Talking):
    """A program whose URL is another one with each start, as that of cloudflared's quick tunnels; it does carry."""

    def setUp(self):
        super().setUp()
        key = f"{self.folder}/key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        with open(f"{key}.pub") as line:
            self.sshd.let_in(line.read())
        names = " ".join(f"word-{n}.{NAME}" for n in range(1, 5))
        self.write_etc("hosts", f"127.0.0.1 localhost\n{SERVER_WAN} {NAME} {names}\n")
        script = f"{self.folder}/quick-tunnel"
        with open(script, "w") as file:
            file.write("#!/bin/sh\n"
                       f"n=$(cat {self.folder}/starts 2>/dev/null || echo 0); n=$((n + 1))\n"
                       f"echo $n >{self.folder}/starts\n"
                       f"echo \"INF |  https://word-$n.{NAME}   |\" >&2\n"
                       f"exec ssh -N -i {key} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "
                       "-o BatchMode=yes -o ControlPath=none -o LogLevel=ERROR -o ExitOnForwardFailure=yes "
                       f"-R 127.0.0.1:8080:$1 root@{SERVER_WAN}\n")
        os.chmod(script, 0o755)
        self.begin({"driver": "command", "command": [script, "{address}"], "url_pattern": f"*.{NAME}",
                    "prove_every": PROVE_EVERY})
        self.wait_state("proved", 30)

    def test_when_the_url_changes_callers_come_in_by_the_new_one_and_the_call_in_progress_is_held(self):
        talk = self.talk()
        self.assertEqual(self.tunnel()["public_url"], f"https://word-1.{NAME}")
        self.assertEqual(self.call_in(), f"https://word-1.{NAME}")
        mark, began = talk.mark(), time.monotonic()
        os.kill(self.child(), signal.SIGKILL)
        wait_until(lambda: self.call_in() == f"https://word-2.{NAME}", "a caller comes in by the new URL", 30)
        waited = time.monotonic() - began
        self.wait_state("proved", 30)
        self.assertTrue(self.tunnel()["written"])
        seconds, heard = talk.since(mark)
        print(f"\n{'url changed':<20}  {'':>10}  {waited:>12.1f} s  held, {heard:.1f} s of sound in {seconds:.1f} s")
        self.assertGreater(heard, seconds * 0.95 - LATE)
        self.assertLess(waited, 15)
        self.assert_heard(talk)

    def call_in(self):
        """A party calls 102, which nobody has registered: at which URL Twilio was told what to do, if it was."""
        before = len(self.simulator.control("GET", "journal?from=0"))
        self.simulator.control("POST", "pstn/call", {
            "from": CALLER, "to": NUMBER, "party": {"hang_up_after_ms": 100}})
        asked = [e for e in self.simulator.control("GET", f"journal?from={before}")
                 if e["event"] == "webhook" and "/twilio/incoming" in e["url"] and e["status"] == 200]
        return asked[0]["url"].split("/twilio/")[0] if asked else None

    def child(self):
        pid = self.gateway.program.pid
        with open(f"/proc/{pid}/task/{pid}/children") as children:
            return int(children.read().split()[0])


if __name__ == "__main__":
    unittest.main()
