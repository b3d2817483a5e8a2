"""The container: what its files say, and its steps in a clean folder, engine or not.

    EDGECLF_CONTAINER=1 python -m pytest tests/test_container.py

installs from the package registry, which takes a minute; without the variable only the
files are looked at.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import model_files as models
import pytest
from teaching import jpeg

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = ROOT / "Dockerfile"
HEALTH = ROOT / "container" / "health.py"
if not DOCKERFILE.is_file():
    pytest.skip("no checkout around these tests", allow_module_level=True)

MOST_MB = 300  # of the installed tree
UID = 10001
TOKEN = "a-token-of-enough-length"  # noqa: S105
CPUS = ("x86_64", "aarch64")
ALL_ADDRESSES = "0.0.0.0"  # noqa: S104 - the container has its own
# What every image of Debian has; whatever else is linked must lie in the wheels.
SYSTEM = ("ld-linux", "libc.", "libm.", "libpthread", "libdl.", "librt.", "libutil.")
SYSTEM += ("libgcc_s", "libstdc++", "libz.", "linux-vdso")


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions with what follows, continued lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n", " ", text).splitlines()
    return [
        (name, rest.strip())
        for name, _, rest in (line.partition(" ") for line in lines if line.strip())
    ]


def copied() -> list[str]:
    """What the Dockerfile copies from the checkout."""
    return [
        source
        for name, rest in instructions()
        if name == "COPY" and not rest.startswith("--from=")
        for source in rest.split()[:-1]
        if not source.startswith("--")
    ]


def values(name: str) -> list[str]:
    return [rest for given, rest in instructions() if given == name]


def test_what_is_copied_is_there_and_sent_to_the_engine():
    ignored = (ROOT / ".dockerignore").read_text().split()
    sent = [line[1:] for line in ignored if line.startswith("!")]
    assert "*" in ignored
    assert copied()
    for source in copied():
        assert (ROOT / source).exists(), source
        inside = [name for name in sent if name.startswith(f"{source}/")]
        assert inside or any(fnmatch(source, name) for name in sent), source
    for name in sent:  # and no more than that
        assert name in copied() or name.rpartition("/")[0] in copied(), name


def test_no_model_of_the_user_gets_into_the_image():
    done = subprocess.run(
        ["git", "ls-files", "models"], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip("no git around this checkout")
    sent = re.findall(r"^!(models.*)$", (ROOT / ".dockerignore").read_text(), re.M)
    assert sorted(sent) == sorted(done.stdout.split())


def test_stages_are_there_and_the_last_one_serves():
    stages = [rest.split()[-1] for rest in values("FROM")]
    assert stages[-1] == "serve"
    for _, rest in instructions():
        if found := re.match(r"--from=(\S+)", rest):
            assert found[1] in stages[:-1]


def test_nobody_is_root_and_the_health_is_checked():
    assert values("USER") == [f"{UID}:{UID}"]
    (run,) = [rest for rest in values("RUN") if "useradd" in rest]
    assert f"--uid {UID} --gid {UID}" in run
    (health,) = values("HEALTHCHECK")
    command = json.loads(health.partition("CMD ")[2])
    assert any(
        rest.split()[-2:] == ["container/health.py", command[1]]
        for rest in values("COPY")
    )
    (port,) = values("EXPOSE")
    assert f'"http://127.0.0.1:{port}/healthz"' in HEALTH.read_text()
    (entry,) = values("ENTRYPOINT")
    assert json.loads(entry)[-5:] == [
        "--host",
        ALL_ADDRESSES,
        "--port",
        port,
        "--allow_remote",
    ]


def is_well(url: str) -> bool:
    """What the health check says of a server; a proxy of the host is not asked."""
    command = [sys.executable, str(HEALTH)]
    environment = {"EDGECLF_HEALTH_URL": url, "http_proxy": "http://127.0.0.1:9"}
    return subprocess.run(command, env=environment, capture_output=True).returncode == 0


@contextlib.contextmanager
def answering(status: int, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server that answers once; yields its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.timeout = 10
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/healthz"
        thread.join()


@pytest.mark.parametrize(("status", "expected"), [(200, True), (503, False)])
def test_health_is_asked_where_the_variable_says(status, expected):
    with answering(status) as url:
        assert is_well(url) is expected
    assert not is_well(url)


def test_health_is_asked_of_a_server_with_a_certificate_for_another_name(tmp_path):
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    pem = tmp_path / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes"]
    command += ["-subj", "/CN=pictures.example.org", "-keyout", str(pem), "-out", "-"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    with pem.open("a") as file:
        file.write(done.stdout)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    with answering(200, context) as url:
        assert is_well(url.replace("http:", "https:"))


def options_of(arguments: list[str]) -> set[str]:
    return {part.partition("=")[0] for part in arguments if part.startswith("--")}


@pytest.fixture(scope="module")
def known_options() -> set[str]:
    pytest.importorskip("fastapi", reason="fastapi is not installed: edgeclf[web]")
    done = subprocess.run(
        [sys.executable, "-m", "edgeclf", "serve", "--help"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(re.findall(r"--[a-z_]+", done.stdout))


def test_the_options_are_those_of_the_command(known_options):
    given = [
        json.loads(rest) for name in ("ENTRYPOINT", "CMD") for rest in values(name)
    ]
    assert len(given) == 3
    for arguments in given:
        assert options_of(arguments) <= known_options
        # EDGECLF_TOKEN beside it would be refused: who runs the image chooses.
        assert "--token_file" not in arguments


def test_compose_fits_the_image(known_options):
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    (port,) = values("EXPOSE")
    stages = [rest.split()[-1] for rest in values("FROM")]
    own = {
        name: service
        for name, service in compose["services"].items()
        if "build" in service
    }
    assert own.keys() == {"serve", "teach", "serve-with-chat"}
    assert compose["secrets"].keys() == {"edgeclf_token"}
    for service in own.values():
        assert service["build"]["target"] in stages
        assert service["user"] == f"{UID}:{UID}"
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["mem_limit"]
        assert service["secrets"] == ["edgeclf_token"]
        assert [each.rpartition(":")[2] for each in service["ports"]] == [port]
        assert options_of(service["command"]) <= known_options
        assert "--token_file=/run/secrets/edgeclf_token" in service["command"]
        assert service["restart"] == "on-failure:5"
        assert "healthcheck" not in service  # the image's own
        for volume in service["volumes"]:
            target = volume.split(":")[1]
            assert target in ("/models", "/data")
            assert volume.partition(":")[0] in ("./serving", "projects")
    assert own["teach"]["volumes"] == ["projects:/data"]
    assert values("VOLUME") == ["/data"]


def test_the_unit_starts_the_command(known_options):
    text = (ROOT / "examples" / "edgeclf-serve.service").read_text()
    command = re.search(r"^ExecStart=((?:.*\\\n)*.*)$", text, re.MULTILINE)
    arguments = command[1].replace("\\\n", " ").split()
    assert arguments[1:4] == ["-m", "edgeclf", "serve"]
    assert options_of(arguments) <= known_options
    for name in re.findall(r"(?<!\S)--[a-z_]+", text):
        assert name in known_options


# From here on: the steps of the Dockerfile, in a clean folder.
installing = pytest.mark.skipif(
    not os.environ.get("EDGECLF_CONTAINER"),
    reason="installs from the package registry: EDGECLF_CONTAINER=1",
)


def python_for_others() -> str:
    """A Python that another user may start, with what makes environments."""
    names = [*(f"python3.{minor}" for minor in (13, 12, 11, 10)), "python3"]
    found = [
        str(folder / name)
        for name in names
        for folder in (Path("/usr/local/bin"), Path("/usr/bin"))
    ]
    for path in filter(os.path.exists, [*found, sys.executable]):
        open_to_all = all(
            part.stat().st_mode & 1 for part in Path(path).resolve().parents
        )
        made = subprocess.run(
            [path, "-c", "import ensurepip, venv"], capture_output=True
        )
        if open_to_all and made.returncode == 0:
            return path
    pytest.skip("no Python that other users may start")


def size_mb(folder: Path) -> float:
    """Sizes of the files below a folder, MB (10^6 bytes), links not followed."""
    files = (path for path in folder.rglob("*") if not path.is_symlink())
    return sum(path.stat().st_size for path in files if path.is_file()) / 1e6


@pytest.fixture(scope="module")
def work() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="edgeclf-container-"))
    folder.chmod(0o755)  # pytest's own folders are closed to other users
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def source(work) -> Path:
    """What the Dockerfile copies, and nothing else."""
    folder = work / "source"
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in copied():
        to = folder / name
        to.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, to, ignore=ignore)
        else:
            shutil.copy(ROOT / name, to)
    return folder


def install(work: Path, source: Path, extras: str) -> Path:
    prefix = work / f"opt-{extras}"
    environment = {**os.environ, "PYTHON": python_for_others()}
    environment.pop("PYTHONPATH", None)
    script = source / "container" / "install.sh"
    done = subprocess.run(
        ["sh", str(script), str(prefix), str(source), extras],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return prefix


@pytest.fixture(scope="module")
def installed(work, source) -> Path:
    return install(work, source, "web")


@contextlib.contextmanager
def contained(prefix: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a server as the container does: another user, nothing that can be written.

    But one folder, as the container's /tmp is.
    """
    if os.geteuid() or not shutil.which("unshare") or not shutil.which("setpriv"):
        pytest.skip("needs root, unshare and setpriv to play a container")
    work = prefix.parent
    scratch = work / "tmp"
    scratch.mkdir(exist_ok=True)
    script = """
        set -e
        mount --make-rprivate /
        mount --bind "$1" "$1"
        mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
        mount -o remount,bind,ro "$1"
        mount -o remount,bind,ro /
        ! touch "$1/written" 2> /dev/null
        ! touch /written 2> /dev/null
        user=$2
        shift 2
        exec setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs \
            --bounding-set=-all --inh-caps=-all "$@"
    """
    process = subprocess.Popen(
        [
            "unshare",
            "--mount",
            "sh",
            "-c",
            script,
            "sh",
            str(work),
            str(UID),
            str(prefix / "bin" / "edgeclf"),
            "serve",
            "--port",
            "0",
            *arguments,
        ],
        cwd="/",
        env={
            "PATH": f"{prefix / 'bin'}:/usr/bin:/bin",
            "HOME": str(scratch),
            "TMPDIR": str(scratch),
            "PYTHONDONTWRITEBYTECODE": "1",
            "EDGECLF_TOKEN": TOKEN,
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def address_of(process: subprocess.Popen[str]) -> str:
    said = []
    assert process.stderr is not None
    for line in process.stderr:
        said.append(line)
        if found := re.search(r"^Serving .* on (http://\S+)$", line):
            return f"http://127.0.0.1:{found[1].rpartition(':')[2]}"
    if "permission denied" in "".join(said).lower() and "mount" in "".join(said):
        pytest.skip(f"this machine does not let folders be mounted: {said}")
    raise AssertionError("".join(said))


@installing
@pytest.mark.slow
@pytest.mark.parametrize("extras", ["web", "web,train"])
def test_the_tree_is_small(request, work, source, extras):
    if extras == "web":
        prefix = request.getfixturevalue("installed")
    else:
        prefix = install(work, source, extras)
    assert 50 < size_mb(prefix) < MOST_MB
    assert not list(prefix.rglob("pip"))


@installing
@pytest.mark.slow
def test_nothing_is_linked_that_the_image_has_not(installed):
    libraries = sorted(path for path in installed.rglob("*.so*") if path.is_file())
    assert libraries
    done = subprocess.run(["ldd", *map(str, libraries)], capture_output=True, text=True)
    assert "not found" not in done.stdout
    outside = {
        match[1]
        for match in re.finditer(r"^\s+(\S+) => (\S+)", done.stdout, re.MULTILINE)
        if str(installed) not in os.path.realpath(match[2])
    }
    assert [each for each in outside if not each.startswith(SYSTEM)] == []


@installing
@pytest.mark.slow
def test_it_serves_as_another_user_without_writing(installed):
    model, picture = installed.parent / "model.tflite", jpeg("blue")
    model.write_bytes(models.own())
    arguments = ("--host", ALL_ADDRESSES, "--allow_remote", "--model", str(model))
    with contained(installed, *arguments) as process:
        url = address_of(process)
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert re.search(rf"^Uid:\s+{UID}\s+{UID}", status, re.MULTILINE)
        assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
        assert is_well(f"{url}/healthz")
        asked = urllib.request.Request(f"{url}/v1/classify", picture)
        asked.add_header("Content-Type", "image/jpeg")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(asked, timeout=10)
        with caught.value as error:
            assert error.code == 401
        asked.add_header("Authorization", f"Bearer {TOKEN}")
        with urllib.request.urlopen(asked, timeout=10) as response:
            (result,) = json.load(response)["results"]
        assert result["categories"][0]["label"] == "blue"
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert time.monotonic() - began < 5
        # Who asks for its health then is told that it has none.
        assert not is_well(f"{url}/healthz")


@installing
@pytest.mark.slow
@pytest.mark.parametrize("cpu", CPUS)
def test_wheels_are_there_for_both_processors(work, cpu):
    image = re.search(
        r"^ARG PYTHON_IMAGE=python:(\d\.\d+)-slim", DOCKERFILE.read_text(), re.MULTILINE
    )
    assert image is not None
    setup = (ROOT / "setup.cfg").read_text()
    target = work / f"site-{cpu}"
    platforms = [f"manylinux_2_{minor}_{cpu}" for minor in (28, 27, 24, 17)]
    platforms.append(f"manylinux2014_{cpu}")
    wanted = [
        line.partition(";")[0].strip()
        for section in ("install_requires =", "web =")
        for line in re.search(rf"^{section}\n((?: +.*\n)+)", setup, re.M)[
            1
        ].splitlines()
    ]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-compile",
            "--disable-pip-version-check",
            "--target",
            str(target),
            "--only-binary=:all:",
            "--implementation=cp",
            f"--python-version={image[1]}",
            *(f"--platform={platform}" for platform in platforms),
            *wanted,
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert size_mb(target) < MOST_MB - 20  # edgeclf itself and its models come to it
    (core,) = target.glob("numpy/_core/_multiarray_umath*.so")
    machine = int.from_bytes(core.read_bytes()[18:20], "little")
    # Source: System V ABI, e_machine.
    assert machine == {"x86_64": 62, "aarch64": 183}[cpu]
