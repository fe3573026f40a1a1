"""Search without regard to case, the same in each store.

A word becomes a regular expression in which each letter is a class of all letters that
differ from it in case alone. The stores compare it with the text as it is: their own
functions for lower case differ from each other, and from Python's.
"""

import re
from functools import cache, lru_cache

# The characters that have a meaning in the expressions of Python, PostgreSQL, MariaDB
# (PCRE) and MySQL (ICU).
SPECIAL = re.compile(r"[\\.^$*+?{}\[\]|()]")

# No letter from here on has cases, up to Unicode 16; a test looks at all.
LAST_CASED = 0x20000


def fold(character: str) -> str:
    """One character that stands for all its cases. Where Unicode folds a letter into
    several, such as ``ß``, its lower case stands for it."""
    for folded in (character.casefold(), character.lower()):
        if len(folded) == 1:
            return folded
    return character


@cache
def cases() -> dict[str, str]:
    """All letters with the same fold, for each fold of more than one letter; made at
    the first search."""
    found: dict[str, str] = {}
    for number in range(LAST_CASED):
        character = chr(number)
        if character.lower() != character or character.upper() != character:
            folded = fold(character)
            found[folded] = found.get(folded, "") + character
    return {folded: letters for folded, letters in found.items() if len(letters) > 1}


@lru_cache(maxsize=1024)
def pattern_of(word: str) -> str:
    """A regular expression that finds a word in a text, in any case."""
    known = cases()
    parts = []
    for character in word:
        letters = known.get(fold(character))
        parts.append(f"[{letters}]" if letters else SPECIAL.sub(r"\\\g<0>", character))
    return "".join(parts)
