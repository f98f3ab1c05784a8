"""How tests speak to our own Twilio (tests/twilio), in whatever network it runs."""

import json


def ask(connection, method, path, body=None):
    """Asks the control API (tests/twilio/src/control.rs) on a connection of http.client, which it closes."""
    connection.request(method, f"/control/{path}", json.dumps(body) if body is not None else None)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    if answer.status != 200:
        raise AssertionError(f"{method} /control/{path}: {answer.status} {text!r}")
    return json.loads(text)


def tables(addresses, domain):
    """The tables [trunk] and [twilio] of a gateway.toml that lead to the simulator that printed these addresses."""
    return ({"domain": domain, "servers": [addresses["sip"]], "server_name": domain, "ca_file": addresses["ca_file"]},
            {"account_sid": addresses["account_sid"], "api": addresses["rest"]})
