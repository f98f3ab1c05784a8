"""Where the project, its build and the binaries under test are."""

import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TARGET = os.path.join(ROOT, os.environ.get("CARGO_TARGET_DIR", "target"))
# The gateway of `tests/run build`; GATEWAY names another one.
BINARY = os.path.abspath(os.environ.get("GATEWAY", os.path.join(TARGET, "debug", "gateway")))
SIMULATOR = os.path.join(TARGET, "debug", "twilio-simulator")


def release_binary():
    """The gateway that a benchmark measures: the one that GATEWAY names, else a release build made now."""
    if "GATEWAY" in os.environ:
        return BINARY
    subprocess.run(["cargo", "build", "--locked", "--release", "--package", "gateway"], cwd=ROOT, check=True)
    return os.path.join(TARGET, "release", "gateway")
