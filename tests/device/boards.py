"""The small computers that are emulated."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Board:
    """A small computer to emulate.

    Attributes:
        architecture: Debian's name of it.
        machine: Python's name of it, as in names of wheels.
        qemu: The emulator's program.
        cpu: What qemu emulates. Source: `qemu-arm-static -cpu help`.
        cpuinfo: One processor's lines in /proc/cpuinfo. LiteRT reads them, and stops
            with a segmentation fault at those of a PC.
        packages: Debian packages that make the user space.
        libraries: Folders below /usr/lib that Debian's alternatives would link to.
    """

    architecture: str
    machine: str
    qemu: str
    cpu: str
    cpuinfo: str
    packages: tuple[str, ...]
    libraries: tuple[str, ...] = ()


PI_4 = Board(
    architecture="arm64",
    machine="aarch64",
    qemu="qemu-aarch64-static",
    cpu="cortex-a72",
    cpuinfo="""\
processor\t: {number}
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3
""",
    packages=("python3", "libstdc++6"),
)
PI_3 = Board(
    architecture="armhf",
    machine="armv7l",
    qemu="qemu-arm-static",
    cpu="cortex-a15",  # ARMv7 with NEON and VFPv4, as 32-bit code on a Pi 3 sees it
    cpuinfo="""\
processor\t: {number}
model name\t: ARMv7 Processor rev 4 (v7l)
BogoMIPS\t: 38.40
Features\t: half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae
CPU implementer\t: 0x41
CPU architecture: 7
CPU variant\t: 0x0
CPU part\t: 0xd03
CPU revision\t: 4
""",
    packages=("python3", "python3-numpy", "python3-pil", "libstdc++6"),
    libraries=("arm-linux-gnueabihf/blas", "arm-linux-gnueabihf/lapack"),
)
