"""Upgrades of small trees in git: what is merged, numbered, refused and left."""

import subprocess
from pathlib import Path

import pytest

from myapp.core.scaffold.upgrade import main

MIGRATION = 'revision = "{}"\ndown_revision = "{}"\n'


class Tree:
    """A tree in git."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def git(self, *arguments: str) -> str:
        """What git prints."""
        named = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
        done = subprocess.run(
            ["git", *named, *arguments],
            cwd=self.root,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def write(self, place: str, text: str) -> None:
        """Write a file."""
        path = self.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def migrate(self, number: int, name: str) -> None:
        """Write a migration."""
        place = f"migrations/versions/{number:04d}_{name}.py"
        self.write(place, MIGRATION.format(f"{number:04d}", f"{number - 1:04d}"))

    def commit(self) -> None:
        """Commit all."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "x")


@pytest.fixture
def trees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Tree, Tree]:
    """A tree, and a clone of it in which commands run."""
    theirs, mine = Tree(tmp_path / "theirs"), Tree(tmp_path / "mine")
    theirs.root.mkdir()
    theirs.git("init", "--quiet", "--initial-branch", "main")
    theirs.migrate(1, "first")
    theirs.write("a.txt", "a\nb\nc\nd\ne\n")
    theirs.write("openapi.json", "{}")
    theirs.commit()
    theirs.git("clone", "--quiet", str(theirs.root), str(mine.root))
    for name, value in (("user.name", "test"), ("user.email", "test@example.com")):
        mine.git("config", name, value)
    monkeypatch.chdir(mine.root)
    return theirs, mine


def upgrade(theirs: Tree, tag: str = "main") -> str:
    """Why an upgrade is refused; empty when it is not."""
    return main([str(theirs.root), tag])


def test_new_migrations_of_the_other_side_follow(
    trees: tuple[Tree, Tree], capsys: pytest.CaptureFixture[str]
) -> None:
    theirs, mine = trees
    for number, name in ((2, "second"), (3, "third")):
        theirs.migrate(number, name)
    theirs.write("a.txt", "A\nb\nc\nd\ne\n")
    theirs.write("openapi.json", '{"theirs": 1}')
    theirs.commit()
    for number, name in ((2, "own"), (3, "more"), (4, "last")):
        mine.migrate(number, name)
    mine.write("a.txt", "a\nb\nc\nd\nE\n")
    mine.write("openapi.json", '{"mine": 1}')
    mine.commit()
    assert upgrade(theirs) == ""
    told = capsys.readouterr().out
    assert "migration 0002_second.py is 0005_second.py here" in told
    assert "changed on both sides, and merged: a.txt" in told
    assert "conflict" not in told and "flask openapi --save" in told
    names = sorted(path.name for path in mine.root.glob("migrations/versions/*"))
    assert [name[:4] for name in names] == [f"{n:04d}" for n in range(1, 7)]
    text = (mine.root / "migrations/versions/0006_third.py").read_text()
    assert text == MIGRATION.format("0006", "0005")
    assert (mine.root / "a.txt").read_text() == "A\nb\nc\nd\nE\n"
    assert (mine.root / "openapi.json").read_text() == '{"mine": 1}'
    assert mine.git("status", "--porcelain") == ""
    assert upgrade(theirs) == "this tree has main already"


def test_a_conflict_is_left_to_a_person(
    trees: tuple[Tree, Tree], capsys: pytest.CaptureFixture[str]
) -> None:
    theirs, mine = trees
    for tree, text in ((theirs, "theirs\n"), (mine, "mine\n")):
        tree.write("a.txt", text)
        tree.commit()
    assert upgrade(theirs) == ""
    assert "conflict in a.txt: edit it" in capsys.readouterr().out
    assert "UU a.txt" in mine.git("status", "--porcelain")
    assert "not committed" in upgrade(theirs)


def test_what_cannot_be_merged_is_refused(
    trees: tuple[Tree, Tree], tmp_path: Path
) -> None:
    theirs, _ = trees
    assert "make upgrade FROM=<url> TO=<tag>" in main([str(theirs.root), ""])
    assert "git fetch" in upgrade(theirs, "v9")
    other = Tree(tmp_path / "other")
    other.root.mkdir()
    other.git("init", "--quiet", "--initial-branch", "main")
    other.write("b.txt", "b")
    other.commit()
    assert "no history in common" in upgrade(other)
