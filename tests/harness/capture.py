"""What went over a wire: tshark writes it, this reads it, and tshark's own dissectors give a second opinion."""

import collections
import os
import signal
import struct
import subprocess

from tests.harness import tone
from tests.harness.program import Program

Datagram = collections.namedtuple("Datagram", "time source source_port destination destination_port payload")


class Capture:
    """A capture on one interface of a host, running until `stop`."""

    def __init__(self, host, folder, interface, filter=""):
        self.path = os.path.join(folder, f"{interface}.pcap")
        self.program = Program(host, folder, f"capture-{interface}", "tshark", "-i", interface, "-F", "pcap",
                               "-q", "-w", self.path, *(["-f", filter] if filter else []))
        self.program.wait_for_log("Capturing on", 20)

    def stop(self):
        self.program.stop(signal.SIGINT, 10)

    def frames(self):
        """Seconds and bytes of every frame."""
        with open(self.path, "rb") as file:
            data = file.read()
        order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
        unit = 1e-9 if b"\x3c\xb2" in data[:4] else 1e-6
        at = 24
        while at + 16 <= len(data):
            seconds, fraction, length, _ = struct.unpack_from(order + "IIII", data, at)
            yield seconds + fraction * unit, data[at + 16:at + 16 + length]
            at += 16 + length

    def datagrams(self):
        """Every UDP datagram over IPv4."""
        for time, frame in self.frames():
            if frame[12:14] != b"\x08\x00" or frame[23] != 17:
                continue
            ip = frame[14:]
            udp = ip[(ip[0] & 15) * 4:]
            source_port, destination_port, length = struct.unpack_from(">HHH", udp)
            yield Datagram(time, address(ip[12:16]), source_port, address(ip[16:20]), destination_port, udp[8:length])

    def holds(self, text):
        """How many frames hold these bytes in the clear."""
        return sum(text in frame for _, frame in self.frames())

    def rtp_streams(self):
        """RTP-shaped UDP payloads (version 2, payload type 0) by (source, port, destination, port), in order of
        arrival, without header. What SRTP hides looks the same from outside: its payload is there, encrypted."""
        streams = collections.defaultdict(list)
        for d in self.datagrams():
            if len(d.payload) > 12 and d.payload[0] >> 6 == 2 and d.payload[1] & 0x7F == 0:
                streams[d.source, d.source_port, d.destination, d.destination_port].append(d.payload[12:])
        return streams

    def tshark(self, display_filter, decode=()):
        """How many packets tshark itself finds for a display filter."""
        argv = ["tshark", "-n", "-r", self.path, "-Y", display_filter, "-T", "fields", "-e", "frame.number"]
        for rule in decode:
            argv += ["-d", rule]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        return len(done.stdout.split())


def tone_share(payloads, frequency):
    """How much of a stream's power, read as plain PCMU, is at `frequency`. Best of half a second at its beginning,
    middle and end: a call has silence in it."""
    half = 25
    parts = {0, max(0, len(payloads) // 2 - half // 2), max(0, len(payloads) - half)}
    return max(tone.share(tone.ulaw(b"".join(payloads[p:p + half])), tone.RATE, frequency) for p in parts)


def address(octets):
    return ".".join(map(str, octets))
