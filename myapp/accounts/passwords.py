"""Passwords: how they are kept, and which are refused, by NIST SP 800-63B-4.

They are hashed with Argon2id (RFC 9106). A password is long, and is not made of what
an attacker tries first: common passwords, sequences, repetitions, and words of the
account and of the service. No rule asks for digits or signs.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from flask import current_app

from myapp.core.errors import Problem, problem_at

# NIST SP 800-63B-4 section 3.1.1.2 asks for at least 64.
MOST_CHARACTERS = 256
PASSWORD = {
    "type": "string",
    "minLength": 1,
    "maxLength": MOST_CHARACTERS,
    "format": "password",
}
# How many characters have to be left without all that is easy to guess.
LEAST_LEFT = 6
# The shortest word, sequence or repetition that counts.
LEAST_RUN = 3
ROWS = (
    *("abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "qwertzuiop"),
    *("azertyuiop", "asdfghjkl", "zxcvbnm", "yxcvbnm"),
)
SEQUENCES = (*ROWS, *(row[::-1] for row in ROWS))
COMMON_FILE = Path(__file__).with_name("common_passwords.txt")
YEAR = re.compile(r"(19|20)\d\d")
NO_WORD = re.compile(r"[\W\d_]+")


@lru_cache
def hasher(memory: int, passes: int, lanes: int) -> PasswordHasher:
    """The hasher of a cost."""
    return PasswordHasher(time_cost=passes, memory_cost=memory, parallelism=lanes)


@lru_cache
def hash_of_nobody(memory: int, passes: int, lanes: int) -> str:
    """A hash that is compared where there is no user, so that this takes as long."""
    return hasher(memory, passes, lanes).hash("of nobody")


def cost() -> tuple[int, int, int]:
    """Memory in KiB, passes and lanes, as the configuration sets them."""
    return parse_cost(current_app.config["PASSWORD_COST"])


def parse_cost(text: str) -> tuple[int, int, int]:
    """A cost from its text, such as ``19456/2/1``.

    :raises ValueError: when it is none that Argon2 takes.
    """
    memory, passes, lanes = (int(part) for part in text.split("/"))
    if passes < 1 or lanes < 1 or memory < 8 * lanes:
        raise ValueError(text)
    return memory, passes, lanes


def normal(password: str) -> str:
    """One form of a password, however a keyboard makes its characters."""
    return unicodedata.normalize("NFKC", password)


def hash_password(password: str) -> str:
    """The hash that is stored."""
    return hasher(*cost()).hash(normal(password))


def is_password(password: str, stored: str | None) -> bool:
    """Whether a password is that of a hash; it takes as long without a hash."""
    nobody = hash_of_nobody(*cost())
    try:
        is_right = hasher(*cost()).verify(stored or nobody, normal(password))
    except (VerificationError, InvalidHashError):
        return False
    return is_right and bool(stored)


def is_outdated(stored: str) -> bool:
    """Whether a hash was made with another cost than that of the configuration."""
    return hasher(*cost()).check_needs_rehash(stored)


def check_password(password: str, words: Iterable[str], place: str) -> None:
    """Refuse a password that is short or easy to guess.

    :param words: of the account, such as its address.
    :param place: the JSON Pointer of the password in the body.
    :raises Problem: 400.
    """
    least, text = current_app.config["PASSWORD_MIN_LENGTH"], normal(password)
    detail = ""
    if len(text) < least:
        detail = f"must have at least {least} characters"
    elif len(left_to_guess(text, words)) < min(LEAST_LEFT, least):
        detail = "is easy to guess: take words that do not belong together"
    if detail:
        raise Problem("invalid-body", errors=[problem_at(place, detail, "password")])


@lru_cache
def common_passwords() -> tuple[str, ...]:
    """Passwords and words that are tried first, the longest ones first."""
    lines = COMMON_FILE.read_text(encoding="utf-8").splitlines()
    words = [line for line in lines if line and not line.startswith("#")]
    return tuple(sorted(words, key=lambda word: -len(word)))


def left_to_guess(password: str, words: Iterable[str]) -> str:
    """What is left of a password without repetitions, words that are tried first,
    years and sequences."""
    text = unrepeated(password.casefold())
    known = {part for word in words for part in parts_of(word)}
    for word in sorted(known, key=lambda one: -len(one)):
        text = text.replace(word, "\0")
    for word in common_passwords():
        text = text.replace(word, "\0")
    text = without_sequences(YEAR.sub("\0", text))
    return unrepeated(text.replace("\0", ""))


def parts_of(text: str) -> set[str]:
    """The words in a text of the account."""
    text = normal(text).casefold()
    found = {text, *NO_WORD.split(text), NO_WORD.sub("", text)}
    return {word for word in found if len(word) >= LEAST_RUN}


def unrepeated(text: str) -> str:
    """The part of a text that the whole repeats; the text itself when it does not."""
    for length in range(1, len(text) // 2 + 1):
        part = text[:length]
        if (part * (len(text) // length + 1))[: len(text)] == text:
            return part
    return text


def without_sequences(text: str) -> str:
    """A text without runs of the alphabet, of digits, of a row of keys, or of one
    character."""
    kept, place = [], 0
    while place < len(text):
        length = run_at(text, place)
        if length < LEAST_RUN:
            kept.append(text[place])
            length = 1
        place += length
    return "".join(kept)


def run_at(text: str, place: int) -> int:
    """The length of the longest run that begins at a place."""
    longest, first = 1, text[place]
    same = place
    while same < len(text) and text[same] == first:
        same += 1
    longest = max(longest, same - place)
    for sequence in SEQUENCES:
        where = sequence.find(first)
        length = 0
        while (
            where >= 0
            and text[place + length : place + length + 1]
            == sequence[where + length : where + length + 1]
            != ""
        ):
            length += 1
        longest = max(longest, length)
    return longest


def words_of(email: str, name: str | None) -> list[str]:
    """The words of which a password must not be made."""
    return [email, name or "", current_app.name]
