import os
import subprocess
import sys

import pytest

from edgeclf import __version__
from edgeclf.__main__ import COMMANDS, main


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    assert caught.value.code == 0
    assert "usage: " in capsys.readouterr().out


def test_hyphens_are_accepted_in_names(capsys):
    with pytest.raises(SystemExit):
        main(["label-image", "--help"])
    assert "--top_k" in capsys.readouterr().out


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"edgeclf {__version__}\n"


def test_no_command_and_unknown_commands_are_wrong_usage(capsys):
    assert main([]) == 2
    assert main(["train"]) == 2
    printed = capsys.readouterr()
    assert not printed.out
    assert "Received: train" in printed.err


def test_a_missing_package_is_named_and_doctor_recommended(tmp_path):
    (tmp_path / "numpy.py").write_text("raise ModuleNotFoundError(name='numpy')")
    done = subprocess.run(
        [sys.executable, "-m", "edgeclf", "label_image", "--help"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "error: Expected numpy to be installed; `edgeclf doctor` prints the line that "
        "installs what is missing.\n"
    )


EXTRAS = [
    *("ai_edge_quantizer", "flatbuffers", "scipy", "threadpoolctl", "tqdm"),
    *("tensorboardX", "tensorflow", "telegram", "fastapi", "uvicorn", "httpx"),
    *("pyarrow", "fsspec", "ray", "ddgs", "cv2"),
]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_without_its_extra_is_help_or_a_sentence(name):
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({EXTRAS}));"
        f"from edgeclf.__main__ import main; sys.exit(main([{name!r}, '--help']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    if done.returncode:
        assert done.returncode == 1
        assert "pip install" in done.stderr
    else:
        assert "usage: " in done.stdout
