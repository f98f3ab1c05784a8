"""Hosts on two switches, made of network namespaces: the office LAN 10.77.0.0/24 and the world outside 10.78.0.0/24.

Nothing here can reach, or be reached from, the machine's own network. Names carry this process's PID, so that two runs
do not meet, and everything is removed at the end; what a killed run left behind goes when the next one starts.
"""

import atexit
import ctypes
import os
import re
import socket
import subprocess

PREFIX = "gwlab"
CLONE_NEWNET = 0x40000000


def run(*command):
    """Runs a command to its end; its standard output. A failure names the command and what it said."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


class Host:
    """One host: a namespace with an address on the LAN, outside, or both."""

    def __init__(self, namespace, addresses):
        self.namespace = namespace
        self.addresses = addresses

    @property
    def lan(self):
        """The address on the LAN."""
        return self.addresses["lan"]

    @property
    def wan(self):
        """The address outside."""
        return self.addresses["wan"]

    def command(self, *argv):
        """The argument vector that runs `argv` on this host. `ip netns exec` becomes the program: same PID."""
        return ["ip", "netns", "exec", self.namespace, *map(str, argv)]

    def socket(self, kind=socket.SOCK_STREAM):
        """A socket of this test process that lives on this host (a socket stays where it was made)."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{self.namespace}") as there:
            if libc.setns(there.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"setns {self.namespace}")
            try:
                return socket.socket(socket.AF_INET, kind)
            finally:
                if libc.setns(home.fileno(), CLONE_NEWNET) != 0:
                    os._exit(70)  # never go on in the wrong network


class Local:
    """This machine in the place of a [`Host`]: everything is on loopback."""

    lan = wan = "127.0.0.1"

    def command(self, *argv):
        """The argument vector as it is."""
        return list(map(str, argv))

    def socket(self, kind=socket.SOCK_STREAM):
        """A socket of this test process."""
        return socket.socket(socket.AF_INET, kind)


class Network:
    """The two switches and the hosts on them."""

    _made = 0

    def __init__(self):
        if os.geteuid() != 0:
            raise RuntimeError("network namespaces need root: run the tests as root")
        if Network._made == 0:
            remove_leftovers()
        Network._made += 1
        self.name = f"{PREFIX}-{os.getpid()}-{Network._made}"
        self.namespaces = []
        atexit.register(self.close)
        self._add("switch")
        for switch in ("lan", "wan"):
            run("ip", "-n", f"{self.name}-switch", "link", "add", switch, "type", "bridge")
            run("ip", "-n", f"{self.name}-switch", "link", "set", switch, "up")

    def _add(self, host):
        namespace = f"{self.name}-{host}"
        try:
            run("ip", "netns", "add", namespace)
        except RuntimeError as error:
            raise RuntimeError(f"this machine does not permit network namespaces: {error}") from None
        self.namespaces.append(namespace)
        run("ip", "-n", namespace, "link", "set", "lo", "up")
        return namespace

    def host(self, name, **addresses):
        """Adds a host: `host("gw", lan="10.77.0.1", wan="10.78.0.1")`; its interfaces are called `lan` and `wan`."""
        namespace = self._add(name)
        for switch, address in addresses.items():
            port = f"{switch}-{name}"  # the switch's end, at most 15 characters
            run("ip", "-n", f"{self.name}-switch", "link", "add", port, "type", "veth",
                "peer", "name", switch, "netns", namespace)
            run("ip", "-n", f"{self.name}-switch", "link", "set", port, "master", switch, "up")
            run("ip", "-n", namespace, "address", "add", f"{address}/24", "dev", switch)
            run("ip", "-n", namespace, "link", "set", switch, "up")
        return Host(namespace, addresses)

    def close(self):
        """Removes everything."""
        for namespace in self.namespaces:
            subprocess.run(["ip", "netns", "del", namespace], stderr=subprocess.DEVNULL)
        self.namespaces = []
        atexit.unregister(self.close)


def remove_leftovers():
    """Removes namespaces of test processes that no longer run."""
    if not os.path.isdir("/run/netns"):
        return
    for namespace in os.listdir("/run/netns"):
        owner = re.match(rf"{PREFIX}-(\d+)-", namespace)
        if owner and not os.path.exists(f"/proc/{owner.group(1)}"):
            subprocess.run(["ip", "netns", "del", namespace], stderr=subprocess.DEVNULL)
