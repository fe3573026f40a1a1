"""A short run of the faults; the long one is ``make faults``."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("faults.py")
# Enough for each fault on each store.
SHORT = ["--writes", "3000", "--kills", "30", "--clients", "8", "--workers", "2"]


@pytest.mark.external
def test_no_acknowledged_write_is_lost_or_made_twice() -> None:
    ended = subprocess.run(
        [sys.executable, PROGRAM, *SHORT], capture_output=True, text=True, timeout=600
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "lost: 0, doubled: 0" in ended.stdout
