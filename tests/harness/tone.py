"""Tones in wave files: written for a handset to play, measured in what the far end recorded."""

import bisect
import math
import struct
import wave

RATE = 8000


def write(path, frequency, seconds=30.0, level=0.4, rate=RATE):
    """A sine of `frequency` Hz, `level` of full scale, mono, 16 bit."""
    samples = (int(32767 * level * math.sin(2 * math.pi * frequency * n / rate)) for n in range(int(rate * seconds)))
    with wave.open(path, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(b"".join(struct.pack("<h", s) for s in samples))


def read(path):
    """The samples (-1 to 1) and the rate of a mono or stereo 16 bit file; a file still being written will do."""
    with open(path, "rb") as file:
        data = file.read()
    if len(data) < 44 or data[:4] != b"RIFF":
        return [], RATE
    channels, rate = struct.unpack_from("<HI", data, 22)
    start = data.find(b"data") + 8
    count = (len(data) - start) // 2
    values = struct.unpack_from(f"<{count}h", data, start)
    return [v / 32768 for v in values[::channels]], rate


def growing(path):
    """The samples of a mono file at [`RATE`] whose header its writer fills in at the end; none before it is there."""
    try:
        with open(path, "rb") as file:
            data = file.read()[44:]
    except FileNotFoundError:
        return []
    return [v / 32768 for v in struct.unpack(f"<{len(data) // 2}h", data[:len(data) // 2 * 2])]


def share(samples, rate, frequency):
    """How much of the signal's power is at `frequency`: 1 for the pure tone, 0 for none (Goertzel's algorithm)."""
    power = sum(s * s for s in samples)
    if not samples or power == 0:
        return 0.0
    turn = 2 * math.cos(2 * math.pi * frequency / rate)
    before, now = 0.0, 0.0
    for s in samples:
        before, now = now, s + turn * now - before
    at = now * now + before * before - turn * now * before
    return 2 * at / (power * len(samples))


def level(samples):
    """Root mean square in dB below full scale."""
    if not samples:
        return -math.inf
    power = sum(s * s for s in samples) / len(samples)
    return 10 * math.log10(power) if power else -math.inf


def loud_part(samples, rate):
    """The signal without the silence before and after it."""
    step = rate // 50
    loud = [n for n in range(0, len(samples), step) if level(samples[n:n + step]) > -40]
    return samples[loud[0]:loud[-1] + step] if loud else []


def ulaw(octets):
    """PCMU (G.711) to samples."""
    return [_ULAW[o] for o in octets]


def _expand(octet):
    octet = ~octet & 0xFF
    value = (((octet & 0x0F) << 3) + 0x84 << (octet >> 4 & 7)) - 0x84
    return (-value if octet & 0x80 else value) / 32768


_ULAW = [_expand(o) for o in range(256)]


def to_ulaw(samples):
    """Samples to PCMU: of the 256 values that there are, the nearest."""
    order = sorted(range(256), key=_ULAW.__getitem__)
    values = [_ULAW[o] for o in order]

    def nearest(s):
        at = bisect.bisect_left(values, s)
        near = [i for i in (at - 1, at) if 0 <= i < 256]
        return order[min(near, key=lambda i: abs(values[i] - s))]
    return bytes(map(nearest, samples))
