"""A server outside as a user of ours would have it: OpenSSH's sshd, nginx as TLS front, and a name."""

import os
import subprocess

from tests.harness.certificates import make_ca
from tests.harness.program import Program
from tests.harness.wait import wait_until

NAME = "hooks.example"
SSHD_CONFIG = """
ListenAddress {address}:{port}
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
ClientAliveInterval 5
ClientAliveCountMax 2
LogLevel VERBOSE
"""
NGINX_CONFIG = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr notice;
worker_processes 1;
user root;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {address}:443 ssl;
        ssl_certificate {folder}/server.pem;
        ssl_certificate_key {folder}/server.key;
        location / {{
            proxy_pass http://127.0.0.1:8080;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_connect_timeout 3s;
            proxy_read_timeout 15s;
        }}
    }}
}}
"""


class Sshd:
    """sshd on a host; its configuration, its host key and who may come in can be changed between two starts."""

    def __init__(self, host, folder, port=22):
        self.host, self.port = host, port
        self.folder = os.path.join(folder, "sshd")
        os.makedirs(self.folder)
        os.makedirs("/run/sshd", exist_ok=True)
        self.make_host_key()
        self.let_in("")
        self.start()

    def make_host_key(self):
        path = f"{self.folder}/host_key"
        for old in (path, f"{path}.pub"):
            if os.path.exists(old):
                os.remove(old)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)

    def fingerprint(self):
        """What its owner would tell: SHA256:…"""
        told = subprocess.run(["ssh-keygen", "-lf", f"{self.folder}/host_key.pub"], capture_output=True, text=True,
                              check=True)
        return told.stdout.split()[1]

    def let_in(self, line):
        with open(f"{self.folder}/authorized_keys", "w") as keys:
            keys.write(line + "\n")

    def start(self, first=""):
        """With a line that goes before the others: sshd takes the first of a keyword."""
        path = f"{self.folder}/sshd_config"
        with open(path, "w") as config:
            config.write(first + SSHD_CONFIG.format(address=self.host.wan, port=self.port, folder=self.folder))
        self.program = Program(self.host, self.folder, "sshd", "/usr/sbin/sshd", "-D", "-e", "-f", path)
        self.program.wait_for_log("Server listening")

    def sessions(self):
        """The processes of sessions, those of the user below those of root."""
        found, waiting = [], [self.program.pid]
        while waiting:
            below = subprocess.run(["pgrep", "-P", str(waiting.pop())], capture_output=True, text=True).stdout.split()
            waiting += below
            found += [int(pid) for pid in below]
        return found

    def signal_sessions(self, number):
        """The signal's number to each of them; how many there were."""
        sessions = self.sessions()
        for pid in sessions:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        return len(sessions)

    def stop(self):
        sessions = self.sessions()
        self.program.stop()
        for pid in sessions:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass


class Nginx:
    """TLS on port 443 for NAME and names below it, towards the tunnel's end on 127.0.0.1:8080."""

    def __init__(self, host, folder):
        self.folder = os.path.join(folder, "nginx")
        os.makedirs(self.folder)
        self.ca_file = make_ca(self.folder, "front", NAME, also=[f"*.{NAME}"])
        path = f"{self.folder}/nginx.conf"
        with open(path, "w") as config:
            config.write(NGINX_CONFIG.format(address=host.wan, folder=self.folder))
        self.program = Program(host, self.folder, "nginx", "nginx", "-p", self.folder, "-c", path)
        wait_until(lambda: os.path.exists(f"{self.folder}/nginx.pid") or not self.program.running(), "nginx starts")
        if not self.program.running():
            raise AssertionError(self.program.log())

    def stop(self):
        self.program.stop()
