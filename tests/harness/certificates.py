"""A certificate authority made for one test, and a server's certificate by it."""

from tests.harness.network import run


def make_ca(folder, name, host, valid=True, also=()):
    """A CA `NAME-ca.pem` and, signed by it, `server.pem` and `server.key` for a host name, and `also` for others."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run("openssl", "req", "-x509", *key, "-days", "2", "-subj", f"/CN={name} test CA",
        "-keyout", f"{folder}/{name}-ca.key", "-out", f"{folder}/{name}-ca.pem",
        "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    if valid:
        rsa = ["-newkey", "rsa:2048", "-nodes"]  # Twilio's ciphers are all RSA (TWILIO.md "TLS")
        run("openssl", "req", "-x509", *rsa, "-days", "2", "-subj", f"/CN={host}",
            "-CA", f"{folder}/{name}-ca.pem", "-CAkey", f"{folder}/{name}-ca.key",
            "-keyout", f"{folder}/server.key", "-out", f"{folder}/server.pem",
            "-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in (host, *also)),
            "-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth")
    return f"{folder}/{name}-ca.pem"
