"""The command nstrep: help, versions, errors and completion."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from nstrep import __main__ as command
from nstrep import __version__
from nstrep.base.errors import InputError
from nstrep.config import help_page
from nstrep.config.fields import declared
from nstrep.config.folder import compose
from nstrep.config.schema import ExperimentConfig
from nstrep.fast.config import TrainConfig
from nstrep.overrides import arranged

ROOT = Path(__file__).parents[2]
SLOW = ("mxnet", "hydra", "pandas", "matplotlib", "scipy", "PIL")


def nstrep(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Run ``python -m nstrep``, then print which slow packages were loaded."""
    code = (
        "import atexit, runpy, sys; sys.argv = ['nstrep', *sys.argv[1:]];"
        f" atexit.register(lambda: print('loaded', *[m for m in {SLOW} if m in sys.modules],"
        " file=sys.stderr)); runpy.run_module('nstrep', run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.mark.parametrize("arguments", [(), ("run",), ("train",)])
def test_the_help_loads_nothing_slow(arguments):
    done = nstrep(*arguments, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: nstrep {arguments[0] if arguments else 'COMMAND'}")
    assert done.stderr == "loaded\n"


@pytest.mark.parametrize("name", command.COMMANDS)
def test_every_command_has_help_in_one_form_and_a_version(name, monkeypatch, capsys):
    for option in ("--help", "--version"):
        monkeypatch.setattr(sys, "argv", ["nstrep", name, option])
        with pytest.raises(SystemExit) as ended:
            command.main()
        assert not ended.value.code
        shown = capsys.readouterr().out
        start = f"usage: nstrep {name}" if option == "--help" else f"nstrep {__version__}\n"
        assert shown.startswith(start)
    assert f"  {name} " in command._usage()


@pytest.mark.parametrize(
    ("module", "schema", "name", "absent"),
    [
        ("nstrep.run", ExperimentConfig, "config", ("claim=", "scale=", "fast/")),
        ("nstrep.fast.train", TrainConfig, "fast", ("claim=", "content=", "experiment=")),
    ],
)
def test_the_help_shows_what_belongs_with_true_defaults(
    module, schema, name, absent, monkeypatch, capsys
):
    monkeypatch.setattr(sys, "argv", [module, "--help"])
    with pytest.raises(SystemExit):
        __import__(module, fromlist=["main"]).main()
    page = capsys.readouterr().out
    composed = compose(name)
    common = [key for key in declared(schema).values() if key.common]
    assert 10 <= len(common) <= 14
    for key in common:
        default = help_page._typed(OmegaConf.select(composed, key.name))
        assert f"\n  {key.name}={default} " in page
    assert all(f"\n  {group}= " in page for group in schema.GROUPS)
    assert not any(f"\n  {word}" in page for word in absent)
    assert len(page.splitlines()) < 80


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["runn"], "runn: must be one of run, report, .*did you mean run"),
        (["style=monet"], "style=monet: the command is missing, as in  nstrep run style=monet"),
        (["plot"], "the following arguments are required: folder"),
        (["collect", "x", "--nope"], "unrecognized arguments: --nope"),
        (["run", "--nope"], "--nope: there is no such option"),
        (["run", "--cfg", "nope"], "argument --cfg/-c: invalid choice: 'nope'"),
        (["stylize", "image"], "image: must be KEY=VALUE"),
    ],
)
def test_errors_are_one_line_with_code_2(arguments, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["nstrep", *arguments])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("nstrep: error: ")
    assert re.search(message, line), line


def test_a_sweep_is_not_shown_as_a_configuration():
    with pytest.raises(InputError, match="--multirun --cfg: only one can be given"):
        arranged(["seed=1,2", "-m", "--cfg", "job"])
    with pytest.raises(InputError, match="--run --multirun: only one can be given"):
        arranged(["-m", "-r"])
    with pytest.raises(InputError, match="--resolve: needs --cfg"):
        arranged(["--resolve"])


def test_paths_of_nothing_and_addresses_are_refused(config):
    with pytest.raises(InputError, match="content_image=: no value is given"):
        config("content_image=")
    with pytest.raises(InputError, match="styles=https.*: must be a file on this machine"):
        config("styles=['https://example.com/a.jpg']")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("nstrep r", " ".join(command.COMMANDS)),
        ("nstrep run style=mo", "style=monet style=mosaic"),
        ("nstrep plot ", ""),
    ],
)
def test_arguments_are_completed(line, words):
    assert nstrep("-sc", "query=bash", COMP_LINE=line).stdout.strip() == words


def test_the_completion_is_of_the_command():
    script = nstrep("run", "-sc", "install=bash").stdout
    assert script.rstrip().endswith("hydra_bash_completion nstrep")
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0
