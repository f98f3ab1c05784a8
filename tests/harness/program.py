"""Programs that run beside the test, on a host of the network, with a log file each."""

import atexit
import os
import shutil
import signal
import subprocess
import sys

from tests.harness.paths import TARGET
from tests.harness.wait import wait_until

LOGS = os.path.join(TARGET, "interop")

_running = []


def stop_all():
    """Ends what is still running, the latest first: a test that fails half-way leaves programs behind."""
    while _running:
        _running[-1].stop()


atexit.register(stop_all)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that atexit runs


class Program:
    """A running program. Leaves `NAME.log` in `folder`; ended with SIGTERM, and SIGKILL if it does not listen."""

    def __init__(self, host, folder, name, *argv, env=None, stdin=subprocess.DEVNULL):
        self.name = name
        self.log_path = os.path.join(folder, f"{name}.log")
        self.log_file = open(self.log_path, "w")
        self.process = subprocess.Popen(
            host.command(*argv), stdin=stdin, stdout=self.log_file, stderr=subprocess.STDOUT,
            cwd=folder, env={**os.environ, **(env or {})}, start_new_session=True)
        _running.append(self)

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        """What it has printed so far."""
        with open(self.log_path, errors="replace") as log:
            return log.read()

    def running(self):
        return self.process.poll() is None

    def wait_for_log(self, text, seconds=10):
        """Waits until it has printed `text`."""
        def printed():
            if text in self.log():
                return True
            if not self.running():
                raise AssertionError(f"{self.name} ended with {self.process.returncode} before it printed {text!r}:"
                                     f"\n{self.log()[-2000:]}")
            return False
        wait_until(printed, f"{self.name} prints {text!r} (log: {self.log_path})", seconds)

    def wait(self, seconds):
        """Waits for its end; the exit code."""
        wait_until(lambda: not self.running(), f"{self.name} ends (log: {self.log_path})", seconds)
        return self.process.returncode

    def stop(self, how=signal.SIGTERM, seconds=5):
        """Ends it, with all processes of its process group."""
        if self.running():
            self.process.send_signal(how)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.log_file.close()
        if self in _running:
            _running.remove(self)


def fresh_folder(name):
    """An empty folder for one test's files, below `target/interop`."""
    folder = os.path.join(LOGS, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    return folder
