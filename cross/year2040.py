"""tests/python cross/year2040.py LIBFAKETIME COMMAND...: the service under a clock of 2040, past what 32 bits of seconds can count.

The emulator is what libfaketime is loaded into: the static binary inside asks it for the time.
"""

import sys

from tests.harness.office import lan_password
from tests.harness.phone import Phone
from tests.harness.service import Service

# Through env, so that only the emulator has the other clock.
fake = ["env", f"LD_PRELOAD={sys.argv[1]}", "FAKETIME=@2040-01-02 03:04:05", "DONT_FAKE_MONOTONIC=1", "TZ=UTC"]
with Service([*fake, *sys.argv[2:]]) as office:
    answer = Phone(office.address(), "101", lan_password("101")).register(60)
    date = next((line for line in answer.split("\r\n") if line.startswith("Date: ")), "no Date")
    if not answer.startswith("SIP/2.0 200 ") or " Jan 2040 " not in date:
        sys.exit(f"in the year 2040 a REGISTER gets:\n{answer}\n{office.program.log()}")
    if not office.program.running():
        sys.exit(f"the service ended:\n{office.program.log()}")
    print(f"the service in 2040: REGISTER 200, {date}")
