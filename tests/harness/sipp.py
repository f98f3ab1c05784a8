"""sipp: many handsets at once. Scenarios stand in `sipp/`; what it counted is read from its statistics file."""

import csv
import os

from tests.harness import tone
from tests.harness.program import Program

SCENARIOS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sipp")


class Sipp:
    """One run of a scenario from `address:port` towards `target`; calls last `talk` milliseconds."""

    def __init__(self, host, folder, name, scenario, address, *options, target=None, port=5060, rows=None, keys=None,
                 talk=1000):
        self.statistics = os.path.join(folder, f"{name}-statistics.csv")
        self.errors = os.path.join(folder, f"{name}-errors.log")
        argv = ["sipp", "-sf", f"{SCENARIOS}/{scenario}.xml", "-i", address, "-p", port, "-nostdin",
                "-trace_stat", "-stf", self.statistics, "-fd", 1, "-trace_err", "-error_file", self.errors,
                "-recv_timeout", 20000, "-d", talk, *options]
        if rows is not None:
            table = os.path.join(folder, f"{name}.csv")
            with open(table, "w") as file:
                file.write("SEQUENTIAL\n" + "".join(";".join(row) + "\n" for row in rows))
            argv += ["-inf", table]
        for key, value in (keys or {}).items():
            argv += ["-key", key, value]
        self.program = Program(host, folder, name, *argv, *([target] if target else []))

    def wait(self, seconds):
        """Waits for its end; what it counted, or an AssertionError with its own words."""
        code = self.program.wait(seconds)
        counted = self.counted()
        if code != 0:
            raise AssertionError(f"sipp {self.program.name} ended with {code}: {counted}\n{self.said()}")
        return counted

    def said(self):
        """The start of its error log."""
        if not os.path.exists(self.errors):
            return self.program.log()[-1500:]
        with open(self.errors, errors="replace") as file:
            return file.read(3000)

    def counted(self):
        """Calls made, succeeded and failed so far, and the retransmissions."""
        with open(self.statistics) as file:
            rows = list(csv.DictReader(file, delimiter=";"))
        last = rows[-1]
        return {"created": int(last["TotalCallCreated"]), "succeeded": int(last["SuccessfulCall(C)"]),
                "failed": int(last["FailedCall(C)"]), "retransmissions": int(last["Retransmissions(C)"])}

    def stop(self):
        self.program.stop()


def write_tone(folder, frequency, seconds=2):
    """`tone.ulaw`, what a sipp handset says: raw PCMU."""
    path = os.path.join(folder, "tone.wav")
    tone.write(path, frequency, seconds)
    samples, _ = tone.read(path)
    with open(os.path.join(folder, "tone.ulaw"), "wb") as out:
        out.write(tone.to_ulaw(samples))


def credentials(extension, password):
    """What a row holds for the digest answer (sipp wants the whole keyword from the table)."""
    return f"[authentication username={extension} password={password}]"
