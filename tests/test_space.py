"""A Hugging Face Space: where weights are kept, and a GPU that is lent by the call."""

import os
import pickle
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch
from app_driver import App

from spherecorr.ui.space import device_without_gpu, on_gpu, prepare_space

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("space", "own", "kept"),
    [(True, None, "{storage}/huggingface"), (True, "/elsewhere", "/elsewhere"), (False, None, None)],
)
def test_weights_are_kept_on_a_spaces_storage(monkeypatch, tmp_path, space, own, kept):
    for name, value in (("SPACE_ID", "somebody/space" if space else None), ("HF_HOME", own)):
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    prepare_space(tmp_path)
    assert os.environ.get("HF_HOME") == (kept and kept.format(storage=tmp_path))
    monkeypatch.delenv("HF_HOME", raising=False)
    prepare_space(tmp_path / "nothing is mounted")
    assert "HF_HOME" not in os.environ


def test_the_storage_is_chosen_before_anything_asks_where_it_is():
    """What app.py imports first must not import huggingface_hub, which reads HF_HOME once."""
    first = (ROOT / "app.py").read_text(encoding="utf-8").split("prepare_space()")[0].split('"""')[2]
    code = f"{first}\nimport sys; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(result.stdout.split())
    assert "spherecorr.ui.space" in loaded and not loaded & {"huggingface_hub", "gradio", "torch"}


def test_elsewhere_nothing_is_wrapped(monkeypatch):
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    assert on_gpu(len) is len and device_without_gpu("cuda") == "cuda"
    monkeypatch.setenv("SPACES_ZERO_GPU", "1")
    monkeypatch.setitem(sys.modules, "spaces", None)  # not installed
    assert on_gpu(len) is len and device_without_gpu("cuda") == "cuda"


def test_where_a_gpu_is_lent_extraction_runs_in_a_process_of_its_own(monkeypatch, tiny_app, controls):
    """`spaces` as it is where GPUs are lent: it forks, and arguments and result travel as bytes."""
    calls = []

    def lend(duration):
        def decorate(function):
            def call(*args):
                calls.append(duration)
                arguments, (reader, writer) = pickle.dumps(args), os.pipe()
                if (child := os.fork()) == 0:
                    os.close(reader)
                    torch.set_num_threads(1)  # its threads stayed with the parent
                    with open(writer, "wb") as pipe:
                        pickle.dump(function(*pickle.loads(arguments)), pipe)
                    os._exit(0)
                os.close(writer)
                with open(reader, "rb") as pipe:
                    answer = pickle.load(pipe)
                os.waitpid(child, 0)
                return answer

            return call

        return decorate

    alone = App(tiny_app)
    expected = alone.engine.features(alone.open(controls).visit.source, controls)
    monkeypatch.setenv("SPACES_ZERO_GPU", "1")
    monkeypatch.setitem(sys.modules, "spaces", types.SimpleNamespace(GPU=lend))
    lent = App(tiny_app)
    features = lent.engine.features(lent.open(controls).visit.source, controls)
    assert calls == [60, 60]  # once for each image of the pair
    assert torch.equal(features.features, expected.features) and features.features.device.type == "cpu"
    assert device_without_gpu("cuda") == "cpu"
