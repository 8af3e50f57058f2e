"""What is wrong with the options of vLLM is one line of the configuration check; needs no vLLM."""

import subprocess
import sys

import pytest

from rftlab import doctor
from rftlab.config import check, compose
from rftlab.core import InputError
from rftlab.engines import vllm_install, vllm_options

SERVER = ["engine=vllm", "engine.mode=server", "engine.urls=[http://localhost:8000]"]
ADDRESS = "is no address; wanted one as in engine.urls=[http://localhost:8000]"


def refused(*overrides):
    with pytest.raises(InputError) as error:
        check(compose(overrides))
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("engine.mode=serve", "engine.mode=serve: wanted colocated or server"),
        ("engine.max_num_seqs=0", "engine.max_num_seqs=0: wanted at least 1"),
        ("engine.gpu_memory_utilization=3", "engine.gpu_memory_utilization=3: wanted a share above 0 and at most 1"),
        ("engine.gpu_memory_utilization=0", "engine.gpu_memory_utilization=0: wanted a share above 0 and at most 1"),
        ("engine.kv_cache_gib=0", "engine.kv_cache_gib=0: wanted more than 0, or null"),
        ("engine.sleep_level=5", "engine.sleep_level=5: wanted 0, 1 or 2"),
        ("engine.tensor_parallel=0", "engine.tensor_parallel=0: wanted at least 1"),
        ("engine.deadline=0", "engine.deadline=0: wanted more than 0"),
        ("engine.max_num_seqs=many", "engine.max_num_seqs=many, wanted a whole number"),
        ("engine.urls=[]", "engine.mode=server needs the servers' addresses: engine.urls=[http://localhost:8000]"),
        ("engine.urls=[localhost:8000]", f"engine.urls: localhost:8000 {ADDRESS}"),
        ("engine.urls=[ftp://a]", f"engine.urls: ftp://a {ADDRESS}"),
        ("engine.urls=['http://a:b']", f"engine.urls: http://a:b {ADDRESS}"),
        ("model.quantize=4bit", "model.quantize=4bit: vLLM would sample from the base before its rounding"),
        ("model.lora.dora=true", "model.lora.dora=true: vLLM serves no DoRA adapters; give model.lora.dora=false"),
        ("model.lora.r=1024", "model.lora.r=1024: vLLM serves adapters up to rank 512; give model.lora.r=512"),
    ],
)
def test_a_wrong_option_is_one_line(override, says):
    assert says in refused(*SERVER, override)


@pytest.mark.parametrize(
    "override",
    ["engine.kv_cache_gib=0.001", "engine.gpu_memory_utilization=1", "engine.urls=[https://a/v1,http://b:1]"],
)
def test_the_ends_of_a_range_hold(override):
    check(compose([*SERVER, override]))


def test_neither_torch_nor_vllm_is_imported_for_it():
    code = (
        "import sys; from rftlab.config import check, compose\n"
        "try: check(compose(['engine=vllm', 'engine.sleep_level=5']))\n"
        "except Exception as error: print(error, {'torch', 'vllm'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "engine.sleep_level=5: wanted 0, 1 or 2 set()"


@pytest.mark.parametrize(
    ("torch", "visible", "found", "most"),
    [
        ("2.13.0+cpu", "0,1,2,3", "no GPU is", 1),
        ("2.13.0", "", "no GPU is", 1),
        ("2.13.0", "3", "1 GPU is", 1),
        ("2.13.0", "0,1", "2 GPUs are", 2),
    ],
)
def test_a_model_is_shared_by_no_more_gpus_than_there_are(monkeypatch, torch, visible, found, most):
    monkeypatch.setattr(vllm_options.metadata, "version", lambda name: torch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    cfg = compose(["engine=vllm", "engine.tensor_parallel=4"])
    with pytest.raises(InputError) as error:
        vllm_options.check_options(cfg.engine, cfg.model)
    assert str(error.value) == f"engine.tensor_parallel=4: {found} visible; give engine.tensor_parallel={most}"
    cfg.engine.tensor_parallel = most
    vllm_options.check_options(cfg.engine, cfg.model)


def test_a_missing_vllm_is_found_with_the_configuration(monkeypatch):
    monkeypatch.setattr(vllm_install, "PACKAGES", ())
    assert "engine=vllm needs vllm, which is not installed" in refused("engine=vllm")
    check(compose(SERVER))  # the servers have it
    assert "engine.sleep_level=5" in refused("engine=vllm", "engine.sleep_level=5")


def test_the_doctor_says_in_a_line_that_vllm_is_missing_and_goes_on(monkeypatch):
    monkeypatch.setattr(vllm_install, "PACKAGES", ())
    cfg = check(compose(["engine=vllm", "model.max_new_tokens=8"], verb="doctor"), "doctor")
    lines = list(doctor.checks(cfg))
    assert lines[-1].name == "engine" and not lines[-1].ok and "run: pip install" in lines[-1].says
    assert {"verifier", "memory"} <= {line.name for line in lines if line.ok}
