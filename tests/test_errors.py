"""What a user can cause is one sentence; what the program does wrong keeps its traceback."""

from __future__ import annotations

import inspect
from importlib import import_module
from pkgutil import walk_packages

import numpy as np
import pytest

import spherecorr
from spherecorr import cli
from spherecorr.errors import SpherecorrError
from spherecorr.files import FileError, write_atomic
from spherecorr.images import ImageError
from spherecorr.ui.failures import INTERNAL_ERROR, sentence


def test_every_error_of_the_package_has_the_one_base():
    names = [module.name for module in walk_packages(spherecorr.__path__, "spherecorr.")]
    names = [name for name in names if not name.startswith(("spherecorr.checkpoints", "spherecorr.examples"))]
    modules = [import_module(name) for name in names if name != "spherecorr.__main__"]
    errors = {
        error
        for module in modules
        for _, error in inspect.getmembers(module, inspect.isclass)
        if issubclass(error, Exception) and error.__module__.startswith("spherecorr")
    }
    assert ImageError in errors and len(errors) > 10
    assert not [error for error in errors if not issubclass(error, SpherecorrError)]


def numpy_fault(options):
    np.zeros(2) + np.zeros(3)


def users_mistake(options):
    raise SpherecorrError("Use another file.")


@pytest.fixture
def run(monkeypatch):
    """Run the command line with `match` replaced by another function."""

    def run(command, *flags: str) -> int:
        monkeypatch.setattr("spherecorr.cli.match.run_match", command)
        return cli.main(["match", "a.png", "b.png", "--point", "1,1", *flags])

    return run


def test_a_users_mistake_is_one_line_and_exit_code_2(run, capsys):
    assert run(users_mistake) == 2
    assert capsys.readouterr().err == "spherecorr: Use another file.\n"


def test_a_fault_of_numpy_does_not_look_like_a_users_mistake(run):
    with pytest.raises(ValueError, match="could not be broadcast"):
        run(numpy_fault)


def test_debug_shows_the_traceback_of_a_users_mistake(run):
    with pytest.raises(SpherecorrError):
        run(users_mistake, "--debug")


def test_the_page_says_internal_error_and_the_log_has_the_traceback(caplog):
    with pytest.raises(ValueError, match="could not be broadcast") as fault:
        numpy_fault(None)
    assert sentence(fault.value) == INTERNAL_ERROR
    assert "could not be broadcast" in caplog.text and "Traceback" in caplog.text


def test_the_page_says_what_a_user_did_wrong_and_the_log_says_nothing(caplog):
    assert sentence(SpherecorrError("Use another file.")) == "Use another file."
    assert not caplog.text


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileError, match=r"'.*file/below\.json' cannot be written \(.+\)"):
        write_atomic(tmp_path / "file" / "below.json", b"{}")
