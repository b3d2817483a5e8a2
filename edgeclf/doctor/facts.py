"""What can be known of a machine and of what is installed on it."""

from __future__ import annotations

from dataclasses import dataclass, field

BASE = ("numpy", "pillow")
INTERPRETERS = ("ai-edge-litert", "tflite-runtime", "tensorflow")  # in this order
EXTRAS = {
    "train": ("ai-edge-quantizer", "scipy", "threadpoolctl", "tqdm", "tensorboardX"),
    "camera": ("cv2", "picamera2"),  # modules: of OpenCV there are several packages
}
MODULES = {
    "numpy": "numpy",
    "pillow": "PIL.Image",
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "tflite-runtime": "tflite_runtime.interpreter",
    "tensorflow": "tensorflow",
}
BACKBONE = "mobilenet_v2_1.00_224_torchvision.tflite"  # comes with the package
CORAL_LIBRARY = "libedgetpu.so.1"


@dataclass(frozen=True)
class Package:
    """An installed package.

    Attributes:
        version: What its metadata says, "" if it has none.
        error: Why it cannot be imported; "" if it can, or if nobody tried.
    """

    version: str
    error: str = ""


@dataclass(frozen=True)
class SelfTest:
    """How loading a model and running it on a drawn picture went.

    Attributes:
        model: Its path, or the bundled backbone's file name.
        interpreter: The package that ran it.
        load_ms: Importing everything and loading the model.
        run_ms: One picture, prepared and run, the second time.
        answer: The best label and its score, or the backbone's largest feature.
        xnnpack: The interpreter said that it uses this delegate for processors.
        error: Why it failed; the rest is then empty.
    """

    model: str
    interpreter: str = ""
    load_ms: float = 0.0
    run_ms: float = 0.0
    answer: str = ""
    xnnpack: bool = False
    error: str = ""


@dataclass(frozen=True)
class Facts:
    """All that the diagnosis is made from.

    Attributes:
        board: As the device tree names it, "" on a PC.
        system: Such as "Linux", and "Darwin" on a Mac.
        release: The distribution with its version.
        kernel: Its release.
        machine: The kernel's architecture, such as "aarch64".
        bits: 32 or 64, of this Python.
        libc: Name and version, such as ("glibc", "2.36"); ("", "") if unknown.
        memory_mb: Of the machine, 0 if unknown.
        processors: How many this process may use.
        python: Major, minor, micro.
        executable: The path of this Python.
        command: What starts it in this shell: "python3", "python" or the path.
        in_venv: It is a virtual environment's.
        externally_managed: pip refuses to install into it (PEP 668).
        has_pip: pip can be imported.
        has_ensurepip: `python3 -m venv` can make an environment with pip.
        packages: Those of `BASE`, `INTERPRETERS` and `EXTRAS` that are installed;
            `cv2` stands for any OpenCV.
        coral: Whether the Coral library loads: "loads", "not found" or the error.
        self_test: None if it was not run.
    """

    board: str = ""
    system: str = "Linux"
    release: str = ""
    kernel: str = ""
    machine: str = "x86_64"
    bits: int = 64
    libc: tuple[str, str] = ("glibc", "2.36")
    memory_mb: int = 0
    processors: int = 1
    python: tuple[int, int, int] = (3, 11, 2)
    executable: str = "/usr/bin/python3"
    command: str = "python3"
    in_venv: bool = False
    externally_managed: bool = False
    has_pip: bool = True
    has_ensurepip: bool = True
    packages: dict[str, Package] = field(default_factory=dict)
    coral: str = "not found"
    self_test: SelfTest | None = None
