"""Two hundred calls come in while the tunnel flaps: none in progress is lost, and each refused one has its reason."""

import json
import signal
import threading
import time
import unittest

from tests.harness.gateway import Gateway
from tests.harness.lab import GATEWAY_LAN, Office
from tests.harness.network import run
from tests.harness.office import NUMBER, write_config
from tests.harness.simulator import Simulator
from tests.harness.sipp import Sipp, credentials
from tests.harness.sshd import Sshd
from tests.harness.wait import wait_until

DOMAIN = "interop.sip.twilio.com"
WEBHOOK = "127.0.0.1:8081"
SERVER_WAN = "10.78.0.4"
HANDSET_LAN = "10.77.0.11"
URL = f"http://{SERVER_WAN}:8080"
CALLS = 200
LONG_CALLS = 3
LONG_HZ, SHORT_HZ = 600, 1004
#: A call begins every so many seconds, at most so many are under way at once, and talk so long.
EVERY, AT_ONCE, TALK_MS = 0.2, 20, 1000
#: Longer than all of them take, with the tunnel's way back.
LONG_MS = 60_000
#: The session is killed so long after a proof came through; every so many times the line is cut for a while instead.
KILL_EVERY, CUT_EVERY_NTH, CUT_FOR = 2.0, 4, 1.5
BOUND = 90
#: A kill takes half a second off each two. With waits that grow as if nothing had ever come through, it was 29 %.
ANSWERED = 0.6


class Caller(threading.Thread):
    """A party calls; what the simulator says of it, and how long it took."""

    def __init__(self, simulator, number, hertz, talk_ms):
        super().__init__(daemon=True)
        self.simulator, self.number = simulator, number
        self.party = {"tone_hz": hertz, "hang_up_after_ms": talk_ms}
        self.outcome, self.seconds = None, None
        self.start()

    def run(self):
        began = time.monotonic()
        self.outcome = self.simulator.control("POST", "pstn/call", {
            "from": self.number, "to": NUMBER, "party": self.party})
        self.seconds = time.monotonic() - began

    @property
    def connected(self):
        """Twilio answers a call without TwiML, too, to say so; only 101 sends back what it hears."""
        return self.outcome["answered"] and abs(self.outcome["heard"]["hertz"] - self.party["tone_hz"]) < 3


class Flapper(threading.Thread):
    """Kills the ssh session again and again, and cuts the line outside now and then."""

    def __init__(self, sshd, server):
        super().__init__(daemon=True)
        self.sshd, self.server = sshd, server
        self.ended = threading.Event()
        self.killed = self.cut = 0
        self.start()

    def run(self):
        turn = 0
        while not self.ended.wait(KILL_EVERY):
            turn += 1
            if turn % CUT_EVERY_NTH == 0:
                self.line("down")
                self.ended.wait(CUT_FOR)
                self.line("up")
                self.cut += 1
            elif self.sshd.signal_sessions(signal.SIGKILL):
                self.killed += 1

    def line(self, state):
        run("ip", "-n", self.server.namespace, "link", "set", "wan", state)

    def stop(self):
        self.ended.set()
        self.join(10)


class Flapping(Office):
    def setUp(self):
        super().setUp()
        self.server = self.network.host("server", wan=SERVER_WAN)
        self.sshd = self.started(Sshd(self.server, self.folder))
        # The port of the forward is outside, as the simulator asks without TLS.
        self.sshd.stop()
        self.sshd.start("GatewayPorts clientspecified\n")
        self.simulator = self.started(Simulator(self.gw_host, self.folder))
        trunk, twilio = self.simulator.tables(DOMAIN)
        self.config = write_config(
            self.folder, GATEWAY_LAN, trunk, ["101"], twilio=twilio,
            webhook={"public_url": URL, "listen": WEBHOOK}, ring=["101"])
        with open(self.config, "a") as file:
            file.write(f'[tunnel]\ndriver = "ssh"\nserver = "root@{SERVER_WAN}"\nremote = "{SERVER_WAN}:8080"\n'
                       "prove_every = 10\n")
        self.simulator.set_up(self.config)
        self.gateway = self.started(Gateway(self.gw_host, self.folder, self.config))
        self.gateway.wait_registered_at_trunk(["101"])
        told = "authorized_keys there: "
        reason = wait_until(lambda: self.reason_with(told), "the gateway tells the line for authorized_keys")
        self.sshd.let_in(reason.split(told, 1)[1])
        self.gateway.command("reload")
        self.wait_proved()
        self.answer_at_101()

    def reason_with(self, text):
        reason = self.gateway.status()["tunnel"]["reason"]
        return reason if reason and text in reason else None

    def wait_proved(self, seconds=60):
        wait_until(lambda: self.gateway.status()["tunnel"]["state"] == "proved", "the tunnel is proved", seconds)

    def answer_at_101(self):
        """sipp answers every call to 101 and sends back what it hears."""
        handset = self.network.host("h101", lan=HANDSET_LAN)
        secret = json.loads(self.gateway.command("handset", "101", "--json").stdout)["password"]
        registration = self.started(Sipp(
            handset, self.folder, "register", "register", HANDSET_LAN, "-m", 1, target=f"{GATEWAY_LAN}:5060",
            keys={"expires": "3600"}, rows=[("101", credentials("101", secret))]))
        self.assertEqual(registration.wait(20)["succeeded"], 1)
        # It waits for the BYE of a long call as long as the test takes.
        self.handset = self.started(Sipp(handset, self.folder, "answer", "answer", HANDSET_LAN, "-rtp_echo",
                                         "-mi", HANDSET_LAN, "-recv_timeout", 1000 * 2 * BOUND))

    def test_two_hundred_calls_come_in_while_the_tunnel_flaps_and_none_in_progress_is_lost(self):
        began = time.monotonic()
        lasting = [Caller(self.simulator, f"+150355520{n:02}", LONG_HZ, LONG_MS) for n in range(LONG_CALLS)]
        numbers = {caller.number for caller in lasting}

        def all_talk():
            return {entry["number"] for entry in self.simulator.journal("pstn_answered")} >= numbers
        wait_until(all_talk, "the long calls are answered", 15)

        flapper = Flapper(self.sshd, self.server)
        self.addCleanup(flapper.stop)
        first, short = time.monotonic(), []
        while len(short) < CALLS:
            due = first + len(short) * EVERY
            wait_until(lambda: time.monotonic() >= due and sum(caller.is_alive() for caller in short) < AT_ONCE,
                       "a caller's turn", 30)
            short.append(Caller(self.simulator, f"+1503555{1000 + len(short)}", SHORT_HZ, TALK_MS))
        wait_until(lambda: not any(caller.is_alive() for caller in short), "all callers end", 30)
        flapper.stop()
        self.assertTrue(all(caller.is_alive() for caller in lasting), [caller.outcome for caller in lasting])
        self.wait_proved(30)
        wait_until(lambda: not any(caller.is_alive() for caller in lasting), "the long calls end", LONG_MS / 1000)
        took = time.monotonic() - began

        refused = self.reasons([caller for caller in short if not caller.connected])
        self.show(short, lasting, refused, flapper, took)
        for caller in lasting:
            heard = caller.outcome["heard"]
            self.assertEqual(caller.outcome["cause"], "completed")
            self.assertTrue(caller.connected, caller.outcome)
            self.assertAlmostEqual(heard["hertz"], LONG_HZ, delta=3)
            # 50 packets a second, to the end; the echo may begin a little late on a busy machine.
            self.assertGreater(heard["packets"], LONG_MS / 20 * 0.97)
            self.assertLess(heard["lost"], LONG_MS / 20 * 0.01)
        for caller in short:
            if caller.connected:
                self.assertEqual(caller.outcome["cause"], "completed", "it was in progress, and was lost")
        self.assertEqual([caller.number for caller in refused.get(None, [])], [], "refused, and no log says why")
        self.assertGreater(sum(caller.connected for caller in short), CALLS * ANSWERED, "the tunnel comes back soon")
        self.assertTrue(refused, "the flapping is felt, or this test could not fail")
        self.assertGreater(flapper.killed, 6)
        self.assertGreater(flapper.cut, 1)
        # The gateway's side of the same story: each end of a session with its reason.
        self.assertRegex(self.gateway.program.log(), r"tunnel\.(down|doubtful)")
        self.assertNotIn("panicked", self.gateway.program.log())
        self.assertLess(took, BOUND)

    def reasons(self, refused):
        """The refused callers by what the simulator wrote of their webhook, as Twilio's debugger would."""
        told = {e["call"]: f"{e['error']} {e['text']}" for e in self.simulator.journal("webhook_failed")}
        by_reason = {}
        for caller in refused:
            by_reason.setdefault(told.get(caller.outcome["call"]), []).append(caller)
        return by_reason

    def show(self, short, lasting, refused, flapper, took):
        # Twilio answers a refused caller, too, and says so: what is left without the talk is the wait for that.
        def waits(callers):
            return sorted(caller.seconds - caller.outcome["answered"] * TALK_MS / 1000 for caller in callers)
        answered = waits([caller for caller in short if caller.connected])
        print(f"\n{len(short)} calls in {took:.0f} s, session killed {flapper.killed} times, "
              f"line cut {flapper.cut} times, tunnel restarts {self.gateway.status()['tunnel']['restarts']}")
        lost = sum(caller.outcome["cause"] != "completed" for caller in lasting)
        print(f"in progress the whole time: {len(lasting)}, lost: {lost}, packets lost: "
              f"{[caller.outcome['heard']['lost'] for caller in lasting]}")
        print(f"{'outcome':<60}  {'calls':>5}  {'waited':>6}  {'longest':>7}")
        rows = [("101 answered", answered)] if answered else []
        rows += [(f"refused: {reason}", waits(callers)) for reason, callers in refused.items()]
        for name, times in rows:
            print(f"{name:<60}  {len(times):>5}  {times[len(times) // 2]:>4.1f} s  {times[-1]:>5.1f} s")


if __name__ == "__main__":
    unittest.main()
