"""Rehearse two machines behind a balancer: releases on both, and one that is cut off.

Each machine is a network namespace with an sshd and an nginx of its own, so this needs
root on Linux. While clients read and write through deploy/nginx/balancer.conf, no read
may fail, and no acknowledged write may be lost or made twice. At the end a backup is
restored into other databases, and compared with what was acknowledged.
"""

import argparse
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import rehearse
from rehearsal.machine import Machine, Tree
from rehearsal.proxy import Nginx

ROOT = rehearse.ROOT
faults, ledgers = rehearse.faults, rehearse.ledgers
sign_in = rehearse.sign_in

NUMBERS = (1, 2)
# Seconds that a machine is cut off: longer than the balancer waits for a response.
CUT = 25
SETTINGS = """
SECRET_KEY = "{secret}"
SQLALCHEMY_DATABASE_URI = "postgresql+psycopg://postgres@{host}:{sql}/myapp"
REDIS_URL = "redis://{host}:{redis}/0"
"""
# Runs a command with the folder of a site in the place where each machine has it.
ENTER = 'mount --bind "$1" "$2"; shift 2; exec "$@"'


class Namespace:
    """The network of one machine, connected to this one."""

    def __init__(self, number):
        self.name, self.link = f"myapp-{os.getpid()}-{number}", f"myapp{number}"
        self.host, self.address = f"10.213.{number}.1", f"10.213.{number}.2"
        self.ip(f"netns add {self.name}")
        self.ip(f"link add {self.link} type veth peer name eth0 netns {self.name}")
        self.ip(f"addr add {self.host}/24 dev {self.link}")
        self.ip(f"link set {self.link} up")
        self.ip(f"-n {self.name} addr add {self.address}/24 dev eth0")
        self.ip(f"-n {self.name} link set eth0 up")
        self.ip(f"-n {self.name} link set lo up")

    def ip(self, arguments):
        """Run ip, of the package iproute2."""
        subprocess.run(["ip", *arguments.split()], check=True)

    def cut(self):
        """Let no packet in or out."""
        self.ip(f"link set {self.link} down")

    def join(self):
        """Connect it again."""
        self.ip(f"link set {self.link} up")

    def remove(self):
        """Remove it."""
        self.ip(f"netns delete {self.name}")

    def enter(self, site, seen):
        """Return the command that runs another one there."""
        command = ["ip", "netns", "exec", self.name, "sh", "-ec", ENTER, "enter"]
        return [*command, str(site), str(seen)]


class Client(rehearse.Client):
    """A client that notes reads that fail."""

    def send(self, resource, method, path, body=None, headers=None):
        """Send a request."""
        found = super().send(resource, method, path, body, headers)
        if method == "GET" and found[0] not in (200, 404):
            self.ledger.refuse(f"GET {path}: {found[0]} {found[2][:200]}")
        return found


class Site:
    """Two machines, their balancer and their stores."""

    def __init__(self, folder, stack):
        self.folder, self.seen = folder, folder / "site"
        for name in ("postgres", "redis", "other-redis", "site", "balancer", "tree"):
            (folder / name).mkdir()
        self.networks = [Namespace(number) for number in NUMBERS]
        for network in self.networks:
            stack.callback(network.remove)
        self.start_stores(stack)
        wheels = folder / "wheels"
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
        pip += ["--disable-pip-version-check", "--wheel-dir", wheels]
        pip += ["-r", ROOT / "requirements.txt"]
        subprocess.run(pip, check=True, stderr=subprocess.DEVNULL)
        secret = secrets.token_urlsafe(48)
        self.machines = [self.machine(one, secret, wheels) for one in self.networks]
        for machine in self.machines:
            stack.callback(machine.stop)
            machine.start()
        ssh = "".join(f"Include {one.folder}/ssh\n" for one in self.machines)
        (folder / "ssh").write_text(ssh)
        self.ssh = ["ssh", "-F", str(folder / "ssh")]
        addresses = {
            f"api{number}.internal:443": f"{one.address}:{one.nginx.port}"
            for number, one in zip(NUMBERS, self.machines)
        }
        self.balancer = Nginx(
            self.seen, folder / "balancer", addresses, file="balancer.conf"
        )
        process = self.balancer.start()
        stack.callback(process.terminate)

    def start_stores(self, stack):
        """Start PostgreSQL and Redis, which both machines reach."""
        hosts = ["127.0.0.1", *(one.host for one in self.networks)]
        self.postgres = faults.Postgres(self.folder / "postgres", faults.programs(None))
        self.postgres.command += ["-c", f"listen_addresses={','.join(hosts)}"]
        with open(self.folder / "postgres" / "pg_hba.conf", "a") as file:
            file.write("host all all 10.213.0.0/16 trust\n")
        self.redis = faults.Redis(self.folder / "redis")
        self.redis.command += ["--bind", *hosts, "--protected-mode", "no"]
        self.other_redis = faults.Redis(self.folder / "other-redis")
        for store in (self.postgres, self.redis, self.other_redis):
            store.start()
            stack.callback(store.end, signal.SIGKILL)
            faults.wait_for(store.is_ready)
        faults.create_database(self.postgres)

    def machine(self, network, secret, wheels):
        """Return a machine in a network, which has the packages."""
        folder = self.folder / network.link
        settings = SETTINGS.format(
            secret=secret,
            host=network.host,
            sql=self.postgres.port,
            redis=self.redis.port,
        )
        enter = network.enter(folder / "srv", self.seen)
        machine = Machine(
            folder, settings, network.link, network.address, enter, self.seen
        )
        shutil.copytree(wheels, folder / "srv" / "wheels")
        return machine

    def release(self, tree, *arguments):
        """Release a tree on both machines, or what the arguments say."""
        names = [one.name for one in self.machines]
        command = [sys.executable, "deploy/release", *names, "--folder", self.seen]
        ended = subprocess.run(
            [*command, *arguments],
            cwd=tree.folder,
            env={**os.environ, "DEPLOY_SSH": " ".join(self.ssh)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if ended.returncode:
            sys.exit(f"the release has failed: {ended.stdout}")

    def answered(self):
        """Return how many requests each machine has answered."""
        logs = [one.folder / "access.log" for one in self.machines]
        return [log.read_text().count("\n") for log in logs]

    def backup(self):
        """Make a backup on the second machine."""
        python = f"{self.seen}/current/.venv/bin/python -m flask backup create"
        settings = f"MYAPP_ENV=production MYAPP_INSTANCE_PATH={self.seen}/instance"
        command = f"cd {self.seen}/current && env {settings} {python}"
        subprocess.run([*self.ssh, self.machines[1].name, command], check=True)

    def restore(self):
        """Restore the newest backup into other databases; return their texts."""
        database = f"127.0.0.1:{self.postgres.port}/restored"
        kept = self.machines[1].folder / "srv" / "instance" / "backups"
        settings = {
            "ENV": "production",
            "SECRET_KEY": secrets.token_urlsafe(48),
            "INSTANCE_PATH": str(self.folder / "elsewhere"),
            "SQLALCHEMY_DATABASE_URI": f"postgresql+psycopg://postgres@{database}",
            "REDIS_URL": f"redis://127.0.0.1:{self.other_redis.port}/0",
            "BACKUP_URL": str(kept),
        }
        environment = {f"MYAPP_{name}": settings[name] for name in settings}
        flask = [sys.executable, "-m", "flask"]
        for arguments in (
            ["create-database"],
            ["backup", "check"],
            ["backup", "restore", "newest", "--yes"],
        ):
            subprocess.run(
                [*flask, *arguments],
                cwd=ROOT,
                env={**os.environ, **environment},
                check=True,
            )
        return faults.stored(self.postgres, self.other_redis, "restored")


def act(site, tree, ledger):
    """Release, cut a machine off and connect it, go back, and make a backup."""
    tree.commit("the second release")
    site.release(tree)
    failed = failures(ledger)
    print(f"a release on both machines under load: {sum(failed.values())} failed")
    if failed:
        ledger.refuse(f"the release under load: {failed}")
    before = site.answered()
    site.networks[0].cut()
    time.sleep(CUT)
    site.networks[0].join()
    after = site.answered()
    print(f"cut off for {CUT} s: the other one answered {after[1] - before[1]:,}")
    print(f"writes without an answer, or with 502 to 504: {failures(ledger)}")
    deadline = time.monotonic() + 30
    while site.answered()[0] < after[0] + 100:
        if time.monotonic() > deadline:
            ledger.refuse("the machine does not serve again after it is connected")
            break
        time.sleep(0.1)
    site.backup()
    site.release(tree, "--rollback")


def failures(ledger):
    """Return the responses that are failures, by status."""
    counts = sorted(ledger.statuses.items())
    return {status: count for status, count in counts if not 200 <= status < 500}


def run(site, count):
    """Do it all under load; return the status of the program."""
    ledger, stop = ledgers.Ledger(), threading.Event()
    tree = Tree(site.folder / "tree")
    site.release(tree)
    site.machines[0].make_user()
    base = f"https://127.0.0.1:{site.balancer.port}"
    ledgers.Client.session = sign_in(base, site.balancer.tls)
    clients = [Client(number, site.balancer, ledger, stop) for number in range(count)]
    for client in clients:
        client.start()
    try:
        act(site, tree, ledger)
    finally:
        stop.set()
        for client in clients:
            client.join()
    print(f"{sum(ledger.statuses.values()):,} requests, {ledger.acknowledged:,} writes")
    wrong = list(ledger.wrong)
    stores = faults.stored(site.postgres, site.redis)
    site.backup()
    for what, texts in (("stores", stores), ("restored backup", site.restore())):
        lost, doubled, other = ledgers.compare(ledger, texts)
        print(f"{what}: {len(lost)} lost, {len(doubled)} doubled, {len(other)} other")
        wrong += [*lost, *doubled, *other]
    for one in wrong[:20]:
        print(f"  {one}")
    return 1 if wrong else 0


def main():
    """Run, and print the figures; the status is 1 when a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("two machines need network namespaces: run this as root on Linux")
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="myapp-machines-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)
        sys.exit(run(Site(folder, stack), options.clients))


if __name__ == "__main__":
    main()
