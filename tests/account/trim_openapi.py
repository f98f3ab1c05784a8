#!/usr/bin/env python3
"""Cuts Twilio's OpenAPI files to what the simulator serves: the paths below and the components that they reference.

`trim_openapi.py FOLDER` reads FOLDER/twilio_*.json and writes openapi/*.json beside this file. The originals are those
of Twilio's public repository twilio-oai (spec/json), under Apache 2.0 as each file says of itself; what is cut out is
prose, examples, headers of answers, and everything that is not reachable from a path of ours. Nothing is changed.
"""

import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "openapi")
SOURCE = "twilio-oai, spec/json/{}, Twilio Inc., Apache 2.0; cut by tests/account/trim_openapi.py"
ACCOUNT = "/2010-04-01/Accounts/{AccountSid}"

# Beginnings of the paths that are kept.
PATHS = {
    "api_v2010": ["/2010-04-01/Accounts.json", "/2010-04-01/Accounts/{Sid}.json"] + [ACCOUNT + family for family in (
        "/Addresses", "/Applications", "/AvailablePhoneNumbers", "/Balance", "/Calls.json",
        "/Calls/{Sid}.json", "/IncomingPhoneNumbers.json",
        "/IncomingPhoneNumbers/{Sid}", "/IncomingPhoneNumbers/Local", "/IncomingPhoneNumbers/Mobile",
        "/IncomingPhoneNumbers/TollFree", "/Keys", "/OutgoingCallerIds", "/SIP/", "/Usage/Triggers",
        "/Usage/Records")],
    "serverless_v1": ["/v1/Services"],
    "voice_v1": ["/v1/DialingPermissions/", "/v1/Settings"],
    "iam_v1": ["/v1/Keys"],
    "accounts_v1": ["/v1/AuthTokens"],
}
METHODS = ("get", "post", "put", "delete")
PROSE = ("description", "summary", "example", "examples", "tags", "x-twilio", "headers", "externalDocs")


def without_prose(node, names=False):
    """A copy without what no validator looks at; `names` says that the keys are somebody's names, not OpenAPI's."""
    if isinstance(node, list):
        return [without_prose(each) for each in node]
    if not isinstance(node, dict):
        return node
    kept = {}
    for key, value in node.items():
        if names or key not in PROSE:
            kept[key] = without_prose(value, not names and key in ("properties", "responses"))
            if key == "responses" and not names:
                # OpenAPI demands a description of each.
                kept[key] = {status: {"description": "", **answer} for status, answer in kept[key].items()}
    return kept


def references(node):
    """All `$ref` below `node`."""
    if isinstance(node, list):
        for each in node:
            yield from references(each)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)


def trimmed(spec, source, beginnings):
    """The part of `spec` that the paths with one of these beginnings need."""
    paths = {}
    for path, item in spec["paths"].items():
        operations = {key: value for key, value in item.items() if key in METHODS}
        if operations and any(path.startswith(beginning) for beginning in beginnings):
            kept = {key: item[key] for key in ("servers", "parameters") if key in item}
            paths[path] = {**kept, **operations}
    schemas, wanted = {}, list(references(paths))
    while wanted:
        name = wanted.pop().removeprefix("#/components/schemas/")
        if name not in schemas:
            schemas[name] = spec["components"]["schemas"][name]
            wanted += references(schemas[name])
    return {
        "openapi": spec["openapi"],
        "info": {"title": spec["info"]["title"], "version": spec["info"]["version"],
                 "license": spec["info"]["license"], "x-source": SOURCE.format(source)},
        "servers": spec["servers"],
        "security": spec.get("security", []),
        "paths": without_prose(paths, names=True),
        "components": {"schemas": without_prose(dict(sorted(schemas.items())), names=True),
                       "securitySchemes": spec["components"]["securitySchemes"]},
    }


def main(folder):
    os.makedirs(OUT, exist_ok=True)
    for product, beginnings in PATHS.items():
        name = f"twilio_{product}.json"
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            spec = json.load(file)
        spec = trimmed(spec, name, beginnings)
        with open(os.path.join(OUT, name), "w", encoding="utf-8") as file:
            json.dump(spec, file, ensure_ascii=False, separators=(",", ":"))
            file.write("\n")
        print(f"{name}: {len(spec['paths'])} paths, {os.path.getsize(file.name)} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
