"""Emulated machines with Debian's kernel: what cross/test and cross/boot share."""

import atexit
import dataclasses
import glob
import gzip
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
CACHE = os.path.join(os.environ.get("CROSS_HOME") or
                     os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "gateway-cross"))
# In the order in which they want to be loaded; a kernel that has one of them inside has no file of it.
MODULES = ["virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "failover",
           "net_failover", "virtio_net"]


@dataclasses.dataclass
class Target:
    """How a machine of this kind is emulated: processors are the weakest that the binary is for."""

    name: str
    debian: str
    package: str
    emulator: list
    console: str

    @property
    def binary(self):
        return f"{ROOT}/target/cross/{self.name}/gateway"

    @property
    def cache(self):
        return f"{CACHE}/boot-{self.debian}"

    def find(self, pattern):
        """A file of Debian's packages, or nothing."""
        return next(iter(glob.glob(f"{self.cache}/root/{pattern}", recursive=True)), None)


TARGETS = {target.name: target for target in (
    Target("aarch64", "arm64", "qemu-system-arm", ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a53"], "ttyAMA0"),
    Target("x86-64", "amd64", "qemu-system-x86", ["qemu-system-x86_64", "-M", "q35", "-cpu", "qemu64"], "ttyS0"),
)}


def end_when_told():
    """SIGTERM ends this program as a failure does: what was begun is ended, and no second signal interrupts that."""
    def end(*_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.exit(128 + signal.SIGTERM)
    signal.signal(signal.SIGTERM, end)


def install(*entries):
    """Installs what is not there: COMMAND:PACKAGE..."""
    script = f". '{HERE}/common'; install_packages \"$@\""
    subprocess.run(["bash", "-c", script, "install", *entries], check=True)


def fetch(target):
    """Kernel and busybox, perhaps of another architecture, from Debian's packages, with package lists of their own."""
    cache, debian = target.cache, target.debian
    if os.path.exists(f"{cache}/done"):
        return
    shutil.rmtree(cache, ignore_errors=True)
    os.makedirs(f"{cache}/lists/partial")
    os.makedirs(f"{cache}/archives/partial")
    options = ["-o", f"APT::Architecture={debian}", "-o", f"APT::Architectures::={debian}",
               "-o", "Dir::State::status=/dev/null", "-o", f"Dir::State::Lists={cache}/lists", "-o", f"Dir::Cache={cache}",
               "-o", "APT::Sandbox::User=root"]
    subprocess.run(["apt-get", *options, "-qq", "update"], check=True)
    found = subprocess.run(["apt-cache", *options, "search", "-n", rf"^linux-image-[0-9.]+-[0-9]+-cloud-{debian}$"],
                           check=True, capture_output=True, text=True)
    kernels = [line.split()[0] for line in found.stdout.splitlines()]
    newest = max(kernels, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])
    subprocess.run(["apt-get", *options, "-qq", "download", newest, "busybox-static"], check=True, cwd=cache)
    for name in os.listdir(cache):
        if name.endswith(".deb"):
            subprocess.run(["dpkg", "-x", f"{cache}/{name}", f"{cache}/root"], check=True)
            os.remove(f"{cache}/{name}")
    shutil.rmtree(f"{cache}/lists")
    shutil.rmtree(f"{cache}/archives")
    open(f"{cache}/done", "w").close()


def modules(target, names):
    """Those of the kernel's modules that are files, and `modules/order`, for the initramfs."""
    files, order = {}, []
    for name in names:
        path = target.find(f"lib/modules/**/{name}.ko")
        if path:
            order.append(f"{name}.ko")
            with open(path, "rb") as file:
                files[f"modules/{name}.ko"] = file.read()
    files["modules/order"] = "\n".join(order).encode()
    return files


def initramfs(path, files, private=()):
    """An archive in the kernel's format (newc), as Documentation/driver-api/early-userspace/buffer-format.rst says.
    What is below one of the folders `private` is root's alone."""
    folders = {"proc", "sys", "dev", "tmp", "run"}
    for name in files:
        parts = name.split("/")[:-1]
        folders.update("/".join(parts[:i + 1]) for i in range(len(parts)))
    entries = [(name, 0o40700 if name in private else 0o40755, b"", (0, 0)) for name in sorted(folders)]
    entries += [(name, 0o100600 if os.path.dirname(name) in private else 0o100755, data, (0, 0))
                for name, data in sorted(files.items())]
    entries += [("dev/console", 0o20600, b"", (5, 1)), ("TRAILER!!!", 0, b"", (0, 0))]
    archive = b""
    for inode, (name, mode, data, (major, minor)) in enumerate(entries, 1):
        name = name.encode() + b"\0"
        fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
        head += b"\0" * (-len(head) % 4)
        archive += head + data + b"\0" * (-len(data) % 4)
    with open(path, "wb") as file:
        file.write(gzip.compress(archive, 1))


class Machine:
    """The emulated router; its console is a list of lines with the seconds since power-on. `command` is the emulator with
    what is particular to this machine, `limit` the seconds for everything that is waited for."""

    def __init__(self, target, command, initramfs, options, limit):
        self.start = time.monotonic()
        self.limit = limit
        self.lines, self.changed = [], threading.Condition()
        self.process = subprocess.Popen(
            [*command, "-nographic", "-no-reboot", "-rtc", "base=1970-01-01T00:00:00", "-monitor", "none", "-serial", "stdio",
             "-kernel", target.find("boot/vmlinuz-*"), "-initrd", initramfs,
             "-append", f"console={target.console} panic=-1 {options}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        atexit.register(self.process.kill)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            text = line.decode(errors="replace").rstrip()
            with self.changed:
                self.lines.append((time.monotonic() - self.start, text))
                self.changed.notify_all()

    def type(self, command):
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()

    def wait(self, pattern, since=0):
        """The first line of the console from number `since` on that `pattern` finds."""
        def found():
            return next((entry for entry in self.lines[since:] if re.search(pattern, entry[1])), None)
        with self.changed:
            self.changed.wait_for(lambda: found() or self.process.poll() is not None,
                                  max(0, self.start + self.limit - time.monotonic()))
            if not found():
                raise AssertionError(f"the console never said /{pattern}/")
            return found()

    def end(self):
        """The power goes."""
        self.process.kill()
        self.process.wait()
        self.reader.join(5)

    def seconds(self):
        return time.monotonic() - self.start

    def left(self):
        return self.limit - self.seconds()


def expect(condition, what):
    if not condition:
        raise AssertionError(what)
