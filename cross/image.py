"""A disk with Debian and our package on it, made without starting anything of it but by qemu-user, and without a loop
device: debootstrap's root, kept between runs, a copy of it with the package installed, mke2fs."""

import contextlib
import os
import platform
import shutil
import subprocess
import tempfile

from machine import CACHE

SUITE = "bookworm"
# systemd as it is on any Debian; no udev, for all devices are there from the start.
PACKAGES = "systemd-sysv,dbus,iproute2"
MIRRORED = "var/cache/apt/archives"
SIZE = "1G"
# How the kernel tells a program of another architecture: head and mask of its ELF header, as Debian's qemu-user-static has it.
FOREIGN = {"arm64": ("aarch64", "qemu-aarch64-static",
                     r"\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00",
                     r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff")}


def run(*command, **options):
    """A program that says nothing unless it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-3000:]}")
    return done.stdout


@contextlib.contextmanager
def emulated(target):
    """While this lasts, this kernel runs programs of the target (Documentation/admin-guide/binfmt-misc.rst)."""
    machine, emulator, head, mask = FOREIGN.get(target.debian, (platform.machine(), "", "", ""))
    if machine == platform.machine():
        yield
        return
    place = tempfile.mkdtemp()
    run("mount", "-t", "binfmt_misc", "binfmt_misc", place)
    entry = f"gateway-boot-{os.getpid()}"
    try:
        with open(f"{place}/register", "w") as register:
            # F: the emulator is opened now, so that the root needs no copy of it.
            register.write(f":{entry}:M::{head}:{mask}:{shutil.which(emulator)}:F")
        yield
    finally:
        if os.path.exists(f"{place}/{entry}"):
            with open(f"{place}/{entry}", "w") as file:
                file.write("-1")
        run("umount", place)
        os.rmdir(place)


def write(root, path, text, mode=0o644):
    os.makedirs(os.path.dirname(f"{root}/{path}"), exist_ok=True)
    with open(f"{root}/{path}", "wb") as file:
        file.write(text if isinstance(text, bytes) else text.encode())
    os.chmod(f"{root}/{path}", mode)


def debian(target):
    """The folder with Debian's root, from the cache or from Debian."""
    cache = f"{CACHE}/debian-{target.debian}"
    root = f"{cache}/root"
    if os.path.exists(f"{cache}/done"):
        return root
    shutil.rmtree(cache, ignore_errors=True)
    os.makedirs(cache)
    # Whoever turns the power off now begins anew.
    unsafe = "etc/dpkg/dpkg.cfg.d/unsafe-io"
    write(root, unsafe, "force-unsafe-io\n")
    with emulated(target):
        run("debootstrap", f"--arch={target.debian}", "--variant=minbase", f"--include={PACKAGES}", SUITE, root)
    os.remove(f"{root}/{unsafe}")
    shutil.rmtree(f"{root}/{MIRRORED}")
    open(f"{cache}/done", "w").close()
    return root


def make(target, folder, package, files, units):
    """`disk.img` in `folder`: Debian with the package, and besides `files` (path: text or bytes) and `units` (name: text), which
    are enabled."""
    root = f"{folder}/root"
    run("cp", "-a", "--reflink=auto", debian(target), root)
    shutil.copy(package, f"{root}/gateway.deb")
    with emulated(target):
        run("unshare", "--mount", "--pid", "--fork", "chroot", root, "/usr/bin/dpkg", "--install", "/gateway.deb")
    os.remove(f"{root}/gateway.deb")
    for path, text in files.items():
        write(root, path, text, 0o755 if text[:2] == "#!" else 0o644)
    for name, text in units.items():
        write(root, f"etc/systemd/system/{name}", text)
        enable(root, name)
    # Logins on consoles would wait for udev.
    for name in ("getty.target", f"serial-getty@{target.console}.service"):
        os.symlink("/dev/null", f"{root}/etc/systemd/system/{name}")
    write(root, "etc/fstab", "")
    write(root, "etc/hostname", "office\n")
    # A new one at the first start.
    write(root, "etc/machine-id", "")
    disk = f"{folder}/disk.img"
    with open(disk, "w"):
        pass
    run("mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", root, disk, SIZE)
    shutil.rmtree(root)
    return disk


def enable(root, unit):
    wants = f"{root}/etc/systemd/system/multi-user.target.wants"
    os.makedirs(wants, exist_ok=True)
    os.symlink(f"../{unit}", f"{wants}/{unit}")
