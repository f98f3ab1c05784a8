"""A phone of few words: REGISTER over UDP with digest (RFC 2617), as much of SIP as the proofs need.

Needs nothing of this package: cross/prove-service copies it into its container."""

import hashlib
import re
import socket
import time


def _digest(*parts):
    return hashlib.md5(":".join(parts).encode()).hexdigest()


class Phone:
    """Extension `name` that talks to `address`, a pair of host and port; `make` makes its socket, `expires` is in seconds."""

    def __init__(self, address, name, password=None, make=lambda kind: socket.socket(socket.AF_INET, kind),
                 expires=60):
        self.socket = make(socket.SOCK_DGRAM)
        self.socket.connect(address)
        self.name = name
        self.password = password
        self.expires = expires
        self.sequence = 0
        self.local = "%s:%d" % self.socket.getsockname()
        self.call_id = f"{time.monotonic_ns():x}"

    def _request(self, authorization=""):
        self.sequence += 1
        name, local = self.name, self.local
        return (f"REGISTER sip:gateway SIP/2.0\r\nVia: SIP/2.0/UDP {local};rport;branch=z9hG4bK{self.call_id}{self.sequence}\r\n"
                f"Max-Forwards: 70\r\nFrom: <sip:{name}@gateway>;tag={self.call_id}\r\nTo: <sip:{name}@gateway>\r\n"
                f"Call-ID: {self.call_id}\r\nCSeq: {self.sequence} REGISTER\r\nContact: <sip:{name}@{local}>\r\n"
                f"Expires: {self.expires}\r\n{authorization}Content-Length: 0\r\n\r\n").encode()

    def _ask(self, request, deadline):
        """Sends again and again, as Timer E of RFC 3261 does but faster: who listens may not be there yet."""
        while time.monotonic() < deadline:
            try:
                self.socket.send(request)
                self.socket.settimeout(0.1)
                while True:
                    answer = self.socket.recv(65535).decode(errors="replace")
                    if f"CSeq: {self.sequence} " in answer and not answer.startswith("SIP/2.0 1"):
                        return answer
            except (TimeoutError, ConnectionRefusedError):
                time.sleep(0.001)
        raise TimeoutError(f"REGISTER of {self.name}: no answer")

    def challenge(self, seconds):
        """The answer to a REGISTER without credentials."""
        return self._ask(self._request(), time.monotonic() + seconds)

    def register(self, seconds):
        """The answer to a REGISTER with them."""
        deadline = time.monotonic() + seconds
        answer = self.challenge(seconds)
        # The challenges stand in the order of preference (RFC 8760); this phone knows MD5.
        for line in re.findall(r"(?m)^WWW-Authenticate: Digest (.*)\r$", answer):
            fields = dict(re.findall(r'(\w+)="?([^",]*)"?', line))
            if fields.get("algorithm", "MD5") == "MD5":
                break
        else:
            raise AssertionError(f"no challenge for MD5 in:\n{answer}")
        secret = _digest(self.name, fields["realm"], self.password)
        digest = _digest(secret, fields["nonce"], "00000001", "c0ffee", "auth", _digest("REGISTER", "sip:gateway"))
        return self._ask(self._request(
            f'Authorization: Digest username="{self.name}", realm="{fields["realm"]}", nonce="{fields["nonce"]}", '
            f'uri="sip:gateway", response="{digest}", algorithm=MD5, qop=auth, nc=00000001, cnonce="c0ffee"'
            f'{", opaque=" + chr(34) + fields["opaque"] + chr(34) if "opaque" in fields else ""}\r\n'), deadline)
