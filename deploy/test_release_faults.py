"""deploy/release on two machines, with a kill at each of its steps in turn.

The folders and links of the steps are real; the locks are left out, and notes stand for
the units, the copy and the build, so that each kill takes milliseconds. test_release.py
releases for real.
"""

from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from itertools import count
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("release")
UNIT = ["unit"]


class Killed(BaseException):
    """The step was killed: none of its code runs any more."""


class Steps:
    """Counts the steps of all machines, and kills one of them."""

    def __init__(self) -> None:
        self.done, self.last = 0, 0

    def kill_at(self, number: int) -> None:
        """Kill the step with a number, counted from now; 0 is none."""
        self.done, self.last = 0, number

    def tick(self) -> None:
        """A step begins."""
        self.done += 1
        if self.done == self.last:
            raise Killed


def here_class(program: Any, steps: Steps, units: set[str]) -> Any:
    """The steps of a machine, where each may be killed."""

    class Here(program.Here):  # type: ignore[name-defined,misc]
        def build(self, name: str) -> None:
            steps.tick()

        migrate = build

        def wait_until_healthy(self, name: str, before: str) -> None:
            assert name in units
            steps.tick()

        def link(self, path: str, target: str) -> None:
            steps.tick()
            super().link(path, target)
            steps.tick()

        def remove_old(self) -> None:
            steps.tick()
            super().remove_old()

    return Here


def machine_class(
    program: Any, steps: Steps, units: set[str], working: set[str]
) -> Any:
    """A machine whose steps run in this process."""

    def run(command: list[str]) -> None:
        steps.tick()
        action, name = command[len(UNIT) :]
        if action == "start":
            units.add(name)
        elif action == "work":
            working.add(name)
        else:
            units.discard(name)
            working.discard(name)
        steps.tick()

    class Machine(program.Machine):  # type: ignore[name-defined,misc]
        def __init__(self, folder: Path, here: Any) -> None:
            self.address, self.folder = folder.name, str(folder)
            self.here, self.units, self.working = here, units, working

        def copy(self, tree: Path, name: str) -> None:
            (self.here.releases / name).mkdir()

        def step(self, release: str, step: str, *arguments: str) -> Any:
            if not (self.here.folder / release).is_dir():
                raise program.Failed("there is no such code")
            program.run = run
            try:
                return getattr(self.here, step)(*arguments)
            except Killed as error:
                raise program.Failed("killed") from error

    return Machine


class Site:
    """The program, loaded, and two machines for it."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        loader = SourceFileLoader("release_program", str(PROGRAM))
        spec = spec_from_loader(loader.name, loader)
        assert spec is not None
        self.program: Any = module_from_spec(spec)
        patch.setattr("sys.dont_write_bytecode", True)
        loader.exec_module(self.program)
        self.steps, self.said = Steps(), []
        self.commits = (f"{number:07x}" for number in count(1))
        for name, value in {
            "UNIT": UNIT,
            "say": self.said.append,
            "lock_all": lambda machines: self.program.contextlib.nullcontext(),
            "files_of": lambda ref, into: (next(self.commits), into),
            "ask": lambda path, url: None,
        }.items():
            patch.setattr(self.program, name, value)
        patch.setattr(self.program.time, "sleep", lambda seconds: None)
        self.machines = [self.machine(folder / name) for name in ("one", "two")]

    def machine(self, folder: Path) -> Any:
        """A machine whose steps run here."""
        for name in ("releases", "run"):
            (folder / name).mkdir(parents=True)
        units: set[str] = set()
        working: set[str] = set()
        here = here_class(self.program, self.steps, units)(folder)
        kind = machine_class(self.program, self.steps, units, working)
        return kind(folder, here)

    def release(self) -> str:
        """Release, and return what serves on the first machine."""
        self.program.release(self.machines, "HEAD")
        return str(self.machines[0].here.serving())

    def check(self) -> set[str]:
        """Check that each machine serves something whole, and return what."""
        for machine in self.machines:
            name = machine.here.serving()
            assert (machine.here.releases / name).is_dir()
            assert name in machine.units
        return {machine.here.serving() for machine in self.machines}

    def check_clean(self, name: str) -> None:
        """Check that a release, and nothing else, serves and runs on each machine."""
        assert self.check() == {name}
        for machine in self.machines:
            assert machine.units == machine.working == {name}
            assert (machine.here.folder / "current").resolve().name == name


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Two machines that serve their second release."""
    one = Site(tmp_path, monkeypatch)
    one.release()
    one.check_clean(one.release())
    yield one


# A release has fewer steps, and a rollback fewer still; what is beyond kills nothing.
KILLS = range(1, 31)


@pytest.mark.parametrize("number", KILLS)
def test_a_release_that_is_killed_leaves_the_former_on_each_machine(
    site: Site, number: int
) -> None:
    former = site.machines[0].here.serving()
    site.steps.kill_at(number)
    try:
        site.release()
    except site.program.Failed:
        site.steps.kill_at(0)
        assert site.check() == {former}
        assert site.said[-1] == "the release before, if there is one, goes on serving"
    site.steps.kill_at(0)
    site.check_clean(site.release())


@pytest.mark.parametrize("number", KILLS)
def test_a_rollback_that_is_killed_goes_on_when_it_is_called_again(
    site: Site, number: int
) -> None:
    (former,) = {name for name in site.machines[0].here.served()} - site.check()
    site.steps.kill_at(number)
    try:
        site.program.rollback(site.machines)
    except site.program.Failed:
        site.steps.kill_at(0)
        site.check()
        site.program.rollback(site.machines)
    site.steps.kill_at(0)
    site.check_clean(former)
    for machine in site.machines:
        assert machine.here.served() == [former]
    with pytest.raises(site.program.Failed, match="no release before"):
        site.program.rollback(site.machines)
