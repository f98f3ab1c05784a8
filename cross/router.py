"""The emulated router of cross/boot: Debian's kernel and systemd, a disk, a LAN and a WAN, and a way to give it commands."""

import base64
import os
import re
import socket
import subprocess
import time

from machine import MODULES, Machine, initramfs, modules

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for module in $(cat /modules/order); do insmod /modules/$module; done
# The kernel takes what the last power cut left in the journal.
mkdir /root; mount -t ext4 /dev/vda /root
umount /proc /sys; mount --move /dev /root/dev
exec switch_root /root /sbin/init
"""

# Commands come in one by one as base64, and go out with their exit code after a line that nothing else prints.
CONTROL = """#!/bin/bash
for port in /dev/vport*p1; do exec 3<>"$port"; done
while read -r line <&3; do
    said=$(bash -c "$(base64 -d <<<"$line")" </dev/null 2>&1 3>&-)
    printf '%s\\n%s %s\\n' "$said" "${line: -16}" "$?" >&3
done
"""

UNITS = {
    "boot-control.service": """[Unit]
Description=Commands of the boot test
[Service]
ExecStart=/usr/local/sbin/boot-control
Restart=always
""",
    "boot-network.service": """[Unit]
Description=LAN and WAN
DefaultDependencies=no
Before=network.target network-online.target
Wants=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/ip address add {lan}/24 dev eth0
ExecStart=/bin/ip address add {wan}/24 dev eth1
ExecStart=/bin/ip link set eth0 up
ExecStart=/bin/ip link set eth1 up
""",
    # systemd itself never begins before the day that it was built.
    "boot-1970.service": """[Unit]
Description=The clock of a box without a battery
DefaultDependencies=no
Before=boot-network.service gateway-setup.service gateway.service
ConditionKernelCommandLine=boot.clock=1970
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/date --utc --set 1970-01-01T00:01:00
""",
}


def files():
    return {"usr/local/sbin/boot-control": CONTROL}


def units(lan, wan):
    return {name: text.replace("{lan}", lan).replace("{wan}", wan) for name, text in UNITS.items()}


class Router:
    """One router in the course of its life: powered on, cut off, powered on again. What was on the disk stays."""

    def __init__(self, target, folder, network, disk, limit):
        self.target, self.folder, self.network, self.limit = target, folder, network, limit
        self.disk, self.boots = disk, 0
        self.machine, self.log = None, []
        initramfs(f"{folder}/initramfs", {
            "init": INIT.encode(), "bin/busybox": open(target.find("bin/busybox"), "rb").read(),
            **modules(target, [*MODULES, "virtio_blk", "virtio_console"])})
        self.taps = [self._tap(switch) for switch in ("lan", "wan")]

    def _tap(self, switch):
        """An interface of the emulator at one of the switches."""
        namespace, name = f"{self.network.name}-switch", f"{switch}-router"
        subprocess.run(["ip", "-n", namespace, "tuntap", "add", name, "mode", "tap"], check=True)
        subprocess.run(["ip", "-n", namespace, "link", "set", name, "master", switch, "up"], check=True)
        return name

    def on(self, options=""):
        """The power comes. What is written from now on is in a file of its own (qcow2), whose tables the emulator keeps in
        memory until the guest flushes or they are too many. So a killed emulator loses what the guest's kernel had not
        written, and much of what it had written and not flushed; it does not tear sectors, nor wear flash."""
        self.boots += 1
        disk = f"{self.folder}/disk-{self.boots}.qcow2"
        below = "raw" if self.boots == 1 else "qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", below, "-b", self.disk, disk], check=True)
        self.disk = disk
        control = f"{self.folder}/control-{self.boots}"
        self.machine = Machine(self.target, [
            "ip", "netns", "exec", f"{self.network.name}-switch", *self.target.emulator, "-smp", "2", "-m", "512",
            "-drive", f"file={disk},if=none,id=disk,cache=writeback", "-device", "virtio-blk-pci,drive=disk",
            *(word for name in self.taps for word in (
                "-netdev", f"tap,id={name},ifname={name},script=no,downscript=no",
                "-device", f"virtio-net-pci,netdev={name},romfile=,mac=52:54:00:00:00:0{1 + self.taps.index(name)}")),
            "-device", "virtio-serial-pci", "-chardev", f"socket,id=control,path={control},server=on,wait=off",
            "-device", "virtserialport,chardev=control",
        ], f"{self.folder}/initramfs", f"systemd.journald.forward_to_console=1 {options}", self.limit)
        self.control = self._connect(control)
        return self

    def _connect(self, path):
        connection = socket.socket(socket.AF_UNIX)
        while True:
            try:
                connection.connect(path)
                return connection
            except OSError:
                if self.machine.process.poll() is not None or self.machine.left() < 0:
                    said = "\n".join(text for _, text in self.machine.lines)
                    raise AssertionError(f"the emulator does not run:\n{said}") from None
                time.sleep(0.01)

    def run(self, script, check=True, seconds=240):
        """What a script said, run by bash as root, and with `check=False` its exit code, too."""
        line = base64.b64encode(f"{script}\n#{os.urandom(16).hex()}".encode())
        self.control.settimeout(seconds)
        self.control.sendall(line + b"\n")
        end = re.compile(rb"(?s)(.*)\n" + re.escape(line[-16:]) + rb" (\d+)\n$")
        said = b""
        while not (found := end.match(said)):
            more = self.control.recv(65536)
            if not more:
                raise AssertionError(f"the power went while the router did {script!r}")
            said += more
        text, code = found[1].decode(errors="replace"), int(found[2])
        if not check:
            return text, code
        if code != 0:
            raise AssertionError(f"{script}: exit {code}\n{text}")
        return text

    def cut(self):
        """The power goes, at once."""
        self.machine.end()
        self.control.close()
        self._keep()

    def off(self, seconds):
        """A clean end; how long it took."""
        began = time.monotonic()
        self.run("systemctl --no-block poweroff")
        self.machine.process.wait(seconds)
        self.cut()
        return time.monotonic() - began

    def _keep(self):
        self.log.append((0, f"=== boot {self.boots}"))
        self.log += self.machine.lines
        self.machine = None
