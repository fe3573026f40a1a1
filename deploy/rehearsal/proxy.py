"""nginx with the configuration of deploy/nginx, in one folder and without root."""

import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

NGINX = Path(__file__).parents[1] / "nginx"
# What is shortened, so that nothing waits; and so many requests at once.
LIMITS = {
    "uwsgi_read_timeout 15s": "uwsgi_read_timeout 4s",
    "max_conns=2500": "max_conns=8",
    "rate=100r/s": "rate=1000r/s",
    "burst=200": "burst=2000",
}


def free_port() -> int:
    """A port that is free now."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return int(server.getsockname()[1])


class Nginx:
    """nginx for one site.

    :param site: what is ``/srv/myapp`` on a machine.
    :param folder: for the certificate, the logs and temporary files.
    :param limits: parts of the configuration that are replaced.
    :param address: where it listens.
    :param enter: a command that runs another one where that address is.
    :param file: the configuration, in deploy/nginx.
    """

    def __init__(
        self,
        site: Path,
        folder: Path,
        limits: dict[str, str] | None = None,
        address: str = "127.0.0.1",
        enter: Sequence[str] = (),
        file: str = "nginx.conf",
    ) -> None:
        self.site, self.folder, self.limits = site, folder, limits or LIMITS
        self.address, self.enter, self.file = address, enter, file
        self.port, self.plain_port = free_port(), free_port()
        self.tls = ssl.create_default_context()
        self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE

    def start(self) -> "subprocess.Popen[bytes]":
        """Start it, with a certificate of its own."""
        subprocess.run(
            "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost "
            "-keyout privkey.pem -out fullchain.pem".split(),
            cwd=self.folder,
            check=True,
            capture_output=True,
        )
        (self.folder / "nginx.conf").write_text(self.configuration())
        program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
        assert program, "this needs nginx; on Debian: apt-get install nginx-light"
        place = str(self.folder)
        command = [*self.enter, program, "-p", place, "-c", f"{place}/nginx.conf"]
        command += ["-g", f"daemon off; error_log {place}/nginx.log;"]
        return subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def configuration(self) -> str:
        """The file of deploy/nginx, with the paths and ports of this folder."""
        text = (NGINX / self.file).read_text()
        folder = str(self.folder)
        errors = (NGINX / "errors.conf").read_text()
        (self.folder / "errors.conf").write_text(
            errors.replace("/etc/nginx/problem.conf", str(NGINX / "problem.conf"))
        )
        temporary = "".join(
            f"{kind}_temp_path {folder}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        for old, new in {
            **self.limits,
            # The folders belong to the user that runs this.
            "user www-data;": "user root;" if os.getuid() == 0 else "",
            "worker_rlimit_nofile 32768;": "",
            "worker_connections 8192": "worker_connections 2048",
            "/run/nginx.pid": f"{folder}/nginx.pid",
            "/etc/nginx/tls": folder,
            "/etc/nginx/errors.conf": f"{folder}/errors.conf",
            "/var/log/nginx": folder,
            "listen 80 ": f"listen {self.address}:{self.plain_port} ",
            "listen 443 ": f"listen {self.address}:{self.port} ",
            "http {\n": "http {\n" + temporary,
        }.items():
            assert old in text, f"{old} is not in the file any more"
            text = text.replace(old, new)
        return text.replace("/srv/myapp", str(self.site))
