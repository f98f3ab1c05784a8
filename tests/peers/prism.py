"""prism, stoplight's proxy for OpenAPI files, between the gateway's commands and the simulator: one for each product, and in
front of them a proxy of ours that picks the right one, for the gateway knows one address."""

import http.client
import http.server
import json
import os
import threading
import urllib.parse

from tests.account.validate import HERE, PRODUCTS
from tests.harness.network import Local
from tests.harness.owner import free_port
from tests.harness.paths import TARGET
from tests.harness.program import Program

PRISM = os.path.join(TARGET, "prism", "node_modules", ".bin", "prism")
# Headers that belong to one connection.
HOPS = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


def is_known(violation, form):
    """Whether it is no fault of ours: Twilio's own examples have paths where the file says "uri"; an empty value takes a
    reference away; and prism takes a list with one value in a form for that value."""
    code, message, name = violation.get("code"), violation["message"], violation["location"][-1]
    return (code == "format" and message.endswith('match format "uri"') or form.get(name) == [""]
            or code == "type" and message.endswith("must be array") and len(form.get(name, [])) == 1)


class Prisms:
    """`address` is what stands in `[twilio] api`. `refused` has what a prism found wrong."""

    def __init__(self, folder, simulator):
        self.upstream = simulator.addresses["rest"].removeprefix("http://")
        self.ports, self.refused, self.passed = {}, [], 0
        self.programs = []
        for product in sorted(set(PRODUCTS.values())):
            self.ports[product] = free_port()
            spec = os.path.join(HERE, "openapi", f"twilio_{product}.json")
            self.programs.append(Program(
                Local(), folder, f"prism-{product}", PRISM, "proxy", "--host", "127.0.0.1",
                "--port", self.ports[product], spec, f"http://{self.upstream}"))
        for program in self.programs:
            program.wait_for_log("Prism is listening", 60)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _product(self, path):
        return next((product for begins, product in PRODUCTS.items() if path.startswith(begins)), None)

    def _handler(prisms):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self):
                product = prisms._product(self.path)
                # Uploads of assets go to a host of their own, which no OpenAPI file describes.
                upload = self.command == "POST" and self.path.endswith("/Versions")
                direct = product is None or upload
                at = prisms.upstream if direct else f"127.0.0.1:{prisms.ports[product]}"
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                connection = http.client.HTTPConnection(at, timeout=60)
                headers = {name: value for name, value in self.headers.items() if name.lower() not in HOPS}
                connection.request(self.command, self.path, body or None, headers)
                answer = connection.getresponse()
                content = answer.read()
                form = urllib.parse.parse_qs(body.decode(errors="replace"), keep_blank_values=True)
                violations = [v for v in json.loads(answer.headers.get("sl-violations") or "[]") if not is_known(v, form)]
                if violations:
                    prisms.refused.append(f"{self.command} {self.path}: {answer.status} {violations}")
                elif not direct:
                    prisms.passed += 1
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in HOPS:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_DELETE = pass_on

            def log_message(self, *_):
                pass
        return Handler

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        for program in self.programs:
            program.stop()
