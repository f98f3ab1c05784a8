"""SRTP (RFC 3711), enough to send a prepared stream at a high rate: AES from the openssl program, HMAC from Python.

All packets are made before the clock runs, so that sending them costs next to nothing.
"""

import hashlib
import hmac
import subprocess

MASTER_KEY = bytes(range(16))
MASTER_SALT = bytes(range(16, 30))


def _aes(key, blocks):
    """AES-128 of each block on its own."""
    return subprocess.run(["openssl", "enc", "-aes-128-ecb", "-nopad", "-K", key.hex()],
                          input=blocks, capture_output=True, check=True).stdout


def _counters(iv, octets):
    """The counter blocks whose AES is the keystream for so many octets (section 4.1.1)."""
    return b"".join((iv + n).to_bytes(16, "big") for n in range(-(-octets // 16)))


def _derive(label, octets):
    """A key for one purpose (section 4.3.1, key derivation rate 0)."""
    iv = int.from_bytes(MASTER_SALT, "big") << 16 ^ label << 64
    return _aes(MASTER_KEY, _counters(iv, octets))[:octets]


def prepare(payload, packets, ssrc=0x5EC0DE):
    """A stream of PCMU packets of 20 ms that say `payload` over and over, protected by AES_CM_128_HMAC_SHA1_80."""
    cipher, authentication, salt = _derive(0, 16), _derive(1, 20), int.from_bytes(_derive(2, 14), "big")
    size = 160
    blocks = b"".join(_counters(salt << 16 ^ ssrc << 64 ^ n << 16, size) for n in range(packets))
    keystream = _aes(cipher, blocks)
    stream = []
    for n in range(packets):
        at = n * size % (len(payload) - size + 1)
        clear = int.from_bytes(payload[at:at + size], "big")
        hidden = (clear ^ int.from_bytes(keystream[n * size:(n + 1) * size], "big")).to_bytes(size, "big")
        packet = b"\x80\x00" + (n & 0xFFFF).to_bytes(2, "big") + (n * 160).to_bytes(4, "big") \
            + ssrc.to_bytes(4, "big") + hidden
        tag = hmac.digest(authentication, packet + (n >> 16).to_bytes(4, "big"), hashlib.sha1)[:10]
        stream.append(packet + tag)
    return stream
