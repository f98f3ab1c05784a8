"""A person at a terminal: a program runs in a pty, what it asks is waited for, answers are typed."""

import os
import pty
import selectors
import signal
import termios
import time

from tests.harness.wait import LIMIT

CTRL_C = b"\x03"


class Person:
    """A program on a terminal of its own; `seen` is all that stood on the screen."""

    def __init__(self, argv, env):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            try:
                os.execve(argv[0], argv, env)
            finally:
                os._exit(127)
        self.seen = ""
        self.read_to = 0
        self.code = None
        with open(f"/proc/{self.pid}/cmdline", "rb") as file:
            self.command_line = file.read().decode()
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.terminal, selectors.EVENT_READ)

    def _read(self, seconds):
        """Takes what comes within the time; False at the end of the program."""
        if not self.selector.select(seconds):
            return True
        try:
            data = os.read(self.terminal, 65536)
        except OSError:  # EIO: the other side is closed
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)

    def expect(self, text):
        """Waits until `text` is shown, behind what was waited for before."""
        end = time.monotonic() + 3 * LIMIT
        while (at := self.seen.find(text, self.read_to)) < 0:
            if not self._read(0.1):
                raise AssertionError(f"it ended without {text!r}:\n{self.seen}")
            if time.monotonic() > end:
                raise AssertionError(f"it does not show {text!r}:\n{self.seen}")
        self.read_to = at + len(text)
        return self

    def type(self, line):
        """Types a line; nothing is the Enter key alone."""
        os.write(self.terminal, line.encode() + b"\r")
        return self

    def answer(self, prompt, line=""):
        return self.expect(prompt).type(line)

    def answer_hidden(self, prompt, line):
        """Waits until the terminal shows nothing of what is typed; then it is typed."""
        return self.hidden(prompt).type(line)

    def hidden(self, prompt):
        """Waits for a question until the terminal shows nothing of what is typed."""
        self.expect(prompt)
        end = time.monotonic() + LIMIT
        while termios.tcgetattr(self.terminal)[3] & termios.ECHO:
            if time.monotonic() > end:
                raise AssertionError(f"{prompt!r} would show what is typed")
            self._read(0.01)
        return self

    def interrupt(self):
        """Ctrl-C, and the end."""
        os.write(self.terminal, CTRL_C)
        return self.end()

    def end(self):
        """Waits for the end of the program; its exit code, negative for a signal."""
        end = time.monotonic() + 3 * LIMIT
        while self._read(0.1):
            if time.monotonic() > end:
                raise AssertionError(f"it does not end:\n{self.seen}")
        self.echoes = bool(termios.tcgetattr(self.terminal)[3] & termios.ECHO)
        self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self.selector.close()
        os.close(self.terminal)
        return self.code

    def stop(self):
        """Ends what a failed test left behind."""
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self.terminal)
            self.code = -signal.SIGKILL
