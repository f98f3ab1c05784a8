#!/usr/bin/env python3
"""Replays recorded REST traffic through openapi-core against Twilio's own OpenAPI files.

`validate.py RECORDING...` reads what `twilio-simulator --record FILE` wrote, prints how many requests and answers were
validated for each path and every violation, and fails when there is one (or nothing to validate). It is strict: an
unknown parameter, an undocumented field of an answer and a missing one are violations. Values of secret fields are
masked.
"""

import collections
import email.utils
import functools
import json
import os
import re
import sys
import urllib.parse

import jsonschema
from openapi_core import Config, OpenAPI
from openapi_core.testing import MockRequest, MockResponse
from werkzeug.datastructures import MultiDict

HERE = os.path.dirname(os.path.abspath(__file__))

# All products share one address at the simulator; the beginning of the path tells which one is meant.
PRODUCTS = {
    "/2010-04-01/": "api_v2010",
    "/v1/Services": "serverless_v1",
    "/v1/DialingPermissions": "voice_v1",
    "/v1/Settings": "voice_v1",
    "/v1/Keys": "iam_v1",
    "/v1/AuthTokens": "accounts_v1",
}
# Known not to be in the OpenAPI files: the upload host's only path.
UPLOAD = ("POST", re.compile(r"^/v1/Services/[^/]+/Assets/[^/]+/Versions$"))
# Of a validator's message, which may have the whole body in it.
LONGEST = 300
FORM = "application/x-www-form-urlencoded"
SECRET = re.compile("password|secret|token", re.IGNORECASE)
# The OpenAPI files say nothing about refusals; TWILIO.md "API errors" does.
REFUSAL = {
    "type": "object",
    "properties": {"code": {"type": "integer"}, "message": {"type": "string"}, "more_info": {"type": "string"},
                   "status": {"type": "integer"}},
    "required": ["code", "message", "more_info", "status"],
    "additionalProperties": False,
}


class Product:
    """One OpenAPI file."""

    def __init__(self, name):
        path = os.path.join(HERE, "openapi", f"twilio_{name}.json")
        with open(path, encoding="utf-8") as file:
            self.spec = json.load(file)
        self.server = self.spec["servers"][0]["url"]
        self.templates = [(re.compile("^" + re.sub(r"\\\{.*?\\\}", "[^/]+?", re.escape(template)) + "$"), template)
                          for template in self.spec["paths"]]
        # A template with more fixed words is the better match: .../Local.json is no {Sid}.json.
        self.templates.sort(key=lambda pair: pair[1].count("{"))
        self.openapi = OpenAPI.from_dict(open_maps(self.spec), config=Config(
            additional_properties_default_policy="forbid", response_properties_default_policy="required",
            extra_format_validators={"date-time-rfc-2822": is_rfc_2822, "uri": is_uri}))

    def template(self, path):
        """The path template that `path` is an instance of; None if there is none."""
        return next((template for pattern, template in self.templates if pattern.match(path)), None)

    def query_names(self, template, method):
        """The query parameters of an operation."""
        item = self.spec["paths"][template]
        parameters = item.get("parameters", []) + item.get(method.lower(), {}).get("parameters", [])
        return {parameter["name"] for parameter in parameters if parameter["in"] == "query"}

    def form_names(self, template, method):
        """The parameters of an operation's form."""
        body = self.spec["paths"][template][method.lower()].get("requestBody", {})
        return set(body.get("content", {}).get(FORM, {}).get("schema", {}).get("properties", {}))


def open_maps(node):
    """A copy in which an object without properties may have any: `links`, `capabilities`, a key's `policy`."""
    if isinstance(node, list):
        return [open_maps(each) for each in node]
    if not isinstance(node, dict):
        return node
    copy = {key: open_maps(value) for key, value in node.items()}
    if copy.get("type") == "object" and "properties" not in copy:
        copy["additionalProperties"] = True
    return copy


def is_rfc_2822(text):
    """`Mon, 20 Jul 2015 17:27:10 +0000`"""
    try:
        return not isinstance(text, str) or email.utils.parsedate_to_datetime(text) is not None
    except ValueError:
        return False


def is_uri(text):
    """A URI or a path: Twilio's own examples of this format have both."""
    return not isinstance(text, str) or not re.search(r"\s", text)


@functools.cache
def product(name):
    """Each file is read once."""
    return Product(name)


class Report:
    """What was validated and what was found."""

    def __init__(self):
        self.requests = collections.Counter()
        self.answers = collections.Counter()
        self.refusals = collections.Counter()
        self.outside = collections.Counter()
        # Where the real API is known to differ from its OpenAPI file.
        self.known = collections.Counter()
        self.violations = []

    def add(self, line):
        """Validates one recorded request and its answer."""
        url = urllib.parse.urlsplit(line["url"])
        method = line["method"]
        name = next((name for prefix, name in PRODUCTS.items() if url.path.startswith(prefix)), None)
        template = name and product(name).template(url.path)
        known = template and method.lower() in product(name).spec["paths"][template]
        refused = line["status"] >= 400
        if not known:
            if UPLOAD[0] == method and UPLOAD[1].match(url.path):
                self.outside[f"{method} upload of an asset version"] += 1
            elif refused:
                self.outside[f"{method} of unknown paths, refused"] += 1
            else:
                self.violations.append(f"{method} {url.path}: not in the OpenAPI files, yet answered")
            return
        key = (name, template, method)
        mask = masker(line)

        def found(what, error):
            self.violations.append(f"{method} {template}: {what}: {mask(explain(error))}")

        request = request_of(product(name).server, url, line)
        if request.content_type == FORM:
            request.body = self.without_cleared(request.body)
        self.requests[key] += 1
        for error in product(name).openapi.iter_request_errors(request):
            found("request", error)
        # openapi-core drops parameters that it does not know, as Twilio does; a typo would stay unseen.
        for unknown in sorted(names_of(url.query) - product(name).query_names(template, method)):
            found("request", f"unknown query parameter {unknown}")
        if request.content_type == FORM:
            for unknown in sorted(names_of(line.get("body") or "") - product(name).form_names(template, method)):
                found("request", f"unknown parameter {unknown}")
        if line.get("fault"):
            return
        if refused:
            self.refusals[key] += 1
            for error in jsonschema.Draft202012Validator(REFUSAL).iter_errors(line["answer"]):
                found(f"refusal {line['status']}", error)
            return
        self.answers[key] += 1
        answer = self.as_documented(template, line["answer"])
        body = b"" if answer is None else json.dumps(answer).encode()
        for error in product(name).openapi.iter_response_errors(request, MockResponse(body, line["status"])):
            found(f"answer {line['status']}", error)

    def without_cleared(self, form):
        """A form without what it clears: an empty value clears a SID, which the patterns do not allow for.

        TWILIO.md "API requests"."""
        pairs = urllib.parse.parse_qsl(form.decode(), keep_blank_values=True)
        kept = [(name, value) for name, value in pairs if value or not name.endswith("Sid")]
        if kept == pairs:
            return form
        self.known["an empty value that clears a SID"] += len(pairs) - len(kept)
        return urllib.parse.urlencode(kept).encode()

    def as_documented(self, template, answer):
        """An answer with `SMS` and `MMS` as `sms` and `mms`: so they are documented, and not so sent.

        TWILIO.md "Numbers for sale"."""
        if "/AvailablePhoneNumbers/" not in template or not isinstance(answer, dict):
            return answer
        numbers = []
        for number in answer.get("available_phone_numbers", []):
            capabilities = number["capabilities"]
            lower = {name.lower(): able for name, able in capabilities.items()}
            if lower.keys() != capabilities.keys():
                self.known["capabilities of available numbers in capitals"] += 1
            numbers.append({**number, "capabilities": lower})
        return {**answer, "available_phone_numbers": numbers} if numbers else answer

    def read(self, path):
        """Validates a recording; itself."""
        with open(path, encoding="utf-8") as file:
            for line in file:
                self.add(json.loads(line))
        return self

    def __str__(self):
        rows = [("product", "method", "path", "requests", "answers", "refusals")]
        for key in sorted(self.requests):
            name, template, method = key
            rows.append((name, method, template.replace("/2010-04-01/Accounts/{AccountSid}", "..."),
                         *(str(counter[key]) for counter in (self.requests, self.answers, self.refusals))))
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
        lines += [f"not in the OpenAPI files: {what}: {count}" for what, count in sorted(self.outside.items())]
        lines += [f"known difference of the real API: {what}: {count}" for what, count in sorted(self.known.items())]
        violations = collections.Counter(self.violations)
        lines += [f"VIOLATION ({count} times) {text}" for text, count in sorted(violations.items())]
        lines.append(f"{self.requests.total()} requests, {self.answers.total()} answers and {self.refusals.total()} "
                     f"refusals validated on {len(self.requests)} operations, {len(self.violations)} violations")
        return "\n".join(lines)


def names_of(text):
    """The names in a query or a form."""
    return {name for name, _ in urllib.parse.parse_qsl(text, keep_blank_values=True)}


def request_of(server, url, line):
    """A recorded request as openapi-core takes it, at Twilio's own address."""
    content_type = line["headers"].get("content-type", "")
    body = (line.get("body") or "").encode()
    # The recording has no credentials: whoever they belonged to, the simulator has looked at them.
    headers = {"Authorization": "Basic recorded"}
    query = MultiDict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
    # A request without a body has no type either; a form is what this API takes.
    kind = content_type.split(";")[0] if body and content_type else FORM
    return MockRequest(server, line["method"], url.path, args=query, headers=headers, data=body, content_type=kind)


def explain(error):
    """The words of an error: those of the schema, where it comes from one, and else of the whole chain of causes."""
    words = []
    while error is not None:
        if isinstance(error, str):
            return error
        if isinstance(error, jsonschema.ValidationError):
            return at(error)
        nested = getattr(error, "schema_errors", None)
        if nested:
            return "; ".join(map(at, nested))
        words.append(str(error) or type(error).__name__)
        error = error.__cause__
    return "; ".join(words)


def at(error):
    """A schema error with the field that it is about; the field's place in a list is left out."""
    path = ".".join(part for part in map(str, error.absolute_path) if not part.isdigit())
    return f"{path or 'body'}: {error.message[:LONGEST]}"


def masker(line):
    """A function that masks the values of secret fields of this request and answer in a text."""
    secrets = set()

    def collect(name, value):
        if isinstance(value, dict):
            for key, each in value.items():
                collect(key, each)
        elif isinstance(value, list):
            for each in value:
                collect(name, each)
        elif isinstance(value, str) and value and SECRET.search(name) and not name.startswith("Page"):
            secrets.add(value)

    collect("", line["answer"])
    for name, value in urllib.parse.parse_qsl(line.get("body") or ""):
        collect(name, value)

    def mask(text):
        for secret in sorted(secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text
    return mask


def main(recordings):
    report = Report()
    for path in recordings:
        report.read(path)
    print(report)
    return 1 if report.violations or not report.answers else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
