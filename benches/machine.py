"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """Facts without which a figure means nothing."""

    cpu: str
    cores: int
    memory_gb: float
    kernel: str
    rustc: str
    profile: str
    when: str

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)

    def sentence(self) -> str:
        """In one line."""
        return (
            f"{self.when}; {self.cpu}, {self.cores} cores, {self.memory_gb:.0f} GB; Linux {self.kernel}; "
            f"{self.rustc}; {self.profile}"
        )


# Cargo.toml's `bench`, which inherits from `release`; no flag names a processor.
PROFILE = "profile bench (opt-level 3, thin LTO, 1 codegen unit, overflow checks on, x86-64 baseline)"


def cpu_name(cpuinfo: str) -> str:
    r"""The first processor's name, family and model from the text of /proc/cpuinfo.

    >>> cpu_name("processor : 0\ncpu family : 25\nmodel : 17\nmodel name : AMD EPYC\n")
    'AMD EPYC (family 25, model 17)'
    """
    fields: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        field, colon, value = line.partition(":")
        if colon:
            fields.setdefault(field.strip(), value.strip())
    name = fields.get("model name", "unknown processor")
    return f"{name} (family {fields.get('cpu family', '?')}, model {fields.get('model', '?')})"


def read_machine() -> Machine:
    """This one, now."""
    pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return Machine(
        cpu=cpu_name(Path("/proc/cpuinfo").read_text(encoding="utf-8")),
        cores=os.cpu_count() or 1,
        memory_gb=pages * page / 1e9,
        kernel=platform.release(),
        rustc=version_of("rustc"),
        profile=PROFILE,
        when=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def version_of(command: str) -> str:
    """The first line that `command --version` prints, without what is in brackets.

    >>> version_of("no such command")
    'no such command: absent'
    """
    try:
        done = subprocess.run([command, "--version"], capture_output=True, text=True, check=False, timeout=60)
    except OSError:
        return f"{command}: absent"
    return done.stdout.splitlines()[0].split(" (")[0] if done.stdout else f"{command}: no version"


def load() -> float:
    """Processes that ran or waited to run over the last minute, on average."""
    return os.getloadavg()[0]
