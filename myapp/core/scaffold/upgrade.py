"""``make upgrade FROM=<url or path> TO=<tag>``: brings the changes of the project that
this tree was cloned from.

It is a merge by git. What git cannot know is done here: new migrations of both sides
get one order, and files that are made by a command are made again. Run as ``python -m
myapp.core.scaffold.upgrade FROM TO``, also while the application cannot start.
"""

import re
import subprocess
import sys
from pathlib import Path

VERSIONS = Path("migrations") / "versions"
NUMBERED = re.compile(r"(\d{4})_(\w+\.py)")
#: Files that a command writes, with the command; no person merges them.
MADE = {
    "openapi.json": "MYAPP_ENABLED_FEATURES=all .venv/bin/flask openapi --save",
    "docs/settings.md": ".venv/bin/flask settings --save",
}


class Refused(Exception):
    """Why there is no upgrade; one sentence."""


def git(*arguments: str, check: bool = True) -> str:
    """What git prints.

    :raises Refused: with its error, when it fails.
    """
    done = subprocess.run(["git", *arguments], capture_output=True, text=True)
    if check and done.returncode:
        raise Refused(f"git {arguments[0]}: {(done.stderr or done.stdout).strip()}")
    return done.stdout.strip()


def upgrade(source: str, tag: str) -> list[str]:
    """Merge a version; return what a person has to look at.

    :raises Refused: before anything has changed.
    """
    if git("status", "--porcelain"):
        raise Refused("there are changes that are not committed; commit them first")
    git("fetch", "--quiet", "--no-tags", source, tag)
    theirs, mine = git("rev-parse", "FETCH_HEAD"), git("rev-parse", "HEAD")
    base = git("merge-base", mine, theirs, check=False)
    if not base:
        raise Refused(f"this tree has no history in common with {source}")
    if base == theirs:
        raise Refused(f"this tree has {tag} already")
    both = changed_since(base, mine) & changed_since(base, theirs)
    git("merge", "--no-ff", "--no-commit", theirs, check=False)
    renumbered = renumber(base, mine, theirs)
    for name in MADE:
        if name in conflicts():
            git("checkout", "--ours", "--", name)
            git("add", "--", name)
    left = conflicts()
    if not left:
        git("-c", "core.editor=true", "merge", "--continue")
    told = [f"conflict in {name}: edit it, and git add it" for name in left]
    told += ["then: git commit"] if left else []
    told += renumbered
    merged = sorted(both - set(left) - set(MADE))
    told += [f"changed on both sides, and merged: {name}" for name in merged]
    return told + ["then:", *MADE.values(), "make format lint test"]


def changed_since(base: str, commit: str) -> set[str]:
    """The files that differ between two commits."""
    return {*git("diff", "--name-only", base, commit).splitlines()}


def conflicts() -> list[str]:
    """The files that git could not merge."""
    return git("diff", "--name-only", "--diff-filter=U").splitlines()


def migrations_in(commit: str) -> list[str]:
    """The names of the migrations of a commit, in their order."""
    listed = git("ls-tree", "--name-only", commit, f"{VERSIONS.as_posix()}/")
    names = [Path(line).name for line in listed.splitlines()]
    return sorted(name for name in names if NUMBERED.fullmatch(name))


def renumber(base: str, mine: str, theirs: str) -> list[str]:
    """Let the new migrations of the other side follow those of this one, which
    databases may have run already.

    :returns: what has another number now.
    """
    known = set(migrations_in(base))
    own = [name for name in migrations_in(mine) if name not in known]
    new = [name for name in migrations_in(theirs) if name not in {*known, *own}]
    if not own or not new:
        return []
    last = own[-1][:4]
    told: list[str] = []
    # From the end, so that no name is taken when a file gets it.
    numbers = [f"{int(last) + place:04d}" for place in range(1, len(new) + 1)]
    for name, number, before in [*zip(new, numbers, [last, *numbers])][::-1]:
        path, renamed = VERSIONS / name, f"{number}_{name[5:]}"
        text = git("show", f"{theirs}:{path.as_posix()}") + "\n"
        for field, value in (("revision", number), ("down_revision", before)):
            pattern = rf'^{field} = "\d+"$'
            text = re.sub(pattern, f'{field} = "{value}"', text, flags=re.MULTILINE)
        git("rm", "--quiet", "--force", "--", path.as_posix())
        (VERSIONS / renamed).write_text(text, encoding="utf-8")
        git("add", "--", (VERSIONS / renamed).as_posix())
        told.insert(0, f"migration {name} is {renamed} here")
    return told


def main(arguments: list[str]) -> str:
    """Upgrade; return why it is refused, or an empty text."""
    if len(arguments) != 2 or not all(arguments):
        return "say from where and to which version: make upgrade FROM=<url> TO=<tag>"
    try:
        told = upgrade(*arguments)
    except Refused as refused:
        return str(refused)
    print("\n".join(told))
    return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) or 0)
