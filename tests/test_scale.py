"""Training at scale: accelerate's configuration files, and FSDP on two processes without a GPU."""

import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from gloo_processes import join
from riffusion_tiny import make_checkpoint, make_pairs
from test_riffusion_log import Recorder

from restem.diffusion.checkpoints import read_checkpoint
from restem.errors import UserError
from restem.networks import train_riffusion
from restem.networks.riffusion_checkpoint import load_riffusion
from restem.networks.riffusion_sampling import SamplingSettings
from restem.networks.train_riffusion import RiffusionTraining, train

accelerate = pytest.importorskip("accelerate")
CONFIGS = Path(__file__).parents[1] / "configs" / "accelerate"
MEANT = {
    "one-gpu": {"num_processes": 1, "num_machines": 1, "multi_gpu": False, "use_cpu": False},
    "many-gpus": {"num_processes": 8, "num_machines": 1, "multi_gpu": True, "use_cpu": False},
    "many-nodes": {
        "num_processes": 16, "num_machines": 2, "machine_rank": 0, "multi_gpu": True,
        "main_process_ip": "10.0.0.1", "main_process_port": 29500, "use_cpu": False,
    },
    "fsdp": {
        "num_processes": 8, "use_fsdp": True, "fsdp_version": 2, "fsdp_offload_params": False,
        "fsdp_reshard_after_forward": True, "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
        "fsdp_transformer_layer_cls_to_wrap": "BasicTransformerBlock,ResnetBlock2D",
    },
    "cpu-processes": {"num_processes": 2, "num_machines": 1, "multi_gpu": True, "use_cpu": True},
}  # fmt: skip


def test_every_configuration_is_known_here():
    assert {path.stem for path in CONFIGS.iterdir()} == set(MEANT)


@pytest.mark.parametrize("name", MEANT)
def test_accelerate_reads_a_configuration_as_meant(name):
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    path = str(CONFIGS / f"{name}.yaml")
    assert load_config_from_file(path).num_processes == MEANT[name]["num_processes"]
    words = ["--config_file", path, "-m", "restem", "train", "riffusion"]
    args, _, _ = _validate_launch_command(launch_command_parser().parse_args(words))
    assert {key: getattr(args, key) for key in MEANT[name]} == MEANT[name]
    assert (args.training_script, args.training_script_args) == ("restem", ["train", "riffusion"])


def test_the_blocks_that_are_split_are_stable_diffusions():
    from diffusers import UNet2DConditionModel

    wanted = MEANT["fsdp"]["fsdp_transformer_layer_cls_to_wrap"].split(",")
    assert set(wanted) <= set(UNet2DConditionModel._no_split_modules)


def test_two_processes_without_a_gpu_are_started(tmp_path):
    script = tmp_path / "who.py"
    script.write_text(
        "from accelerate import Accelerator\n"
        "state = Accelerator().state\n"
        f"open({str(tmp_path)!r} + f'/{{state.process_index}}', 'w').write("
        "f'{state.num_processes} {state.distributed_type} {state.device.type}')\n"
        "state.destroy_process_group()\n"
    )
    config = str(CONFIGS / "cpu-processes.yaml")
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", config,
               "--main_process_port", "0", str(script)]  # fmt: skip
    subprocess.run(command, env={**os.environ, "ACCELERATE_USE_CPU": "true"}, check=True)
    said = {(tmp_path / name).read_text() for name in "01"}
    assert said == {"2 DistributedType.MULTI_CPU cpu"}


# ---- FSDP ----

SETTINGS = RiffusionTraining("", Path(), Path(), steps=4, batch=2, warmup=1, learning_rate=1e-3)


def _split(_precision, trackers, version=2):
    """What `_accelerator` gives under FSDP. Accelerate itself has no FSDP without a GPU, though all
    that it calls works with gloo, so it is told of it afterwards."""
    found = accelerate.Accelerator(**trackers)
    found.state.distributed_type = accelerate.DistributedType.FSDP
    found.state.fsdp_plugin = accelerate.FullyShardedDataParallelPlugin(
        fsdp_version=version,
        auto_wrap_policy="transformer_based_wrap",
        transformer_cls_names_to_wrap=["BasicTransformerBlock", "ResnetBlock2D"],
    )
    return found


def _one_of_two(rank, port, settings, stop_at):
    """What a process does that `accelerate launch` starts with fsdp.yaml."""
    join(rank, port)
    train_riffusion._accelerator = _split
    try:
        for what, step, *_ in train(settings):
            if what == "training" and step == stop_at and rank == 1:
                os.kill(os.getpid(), signal.SIGTERM)
    except KeyboardInterrupt as stop:
        assert stop_at and "is saved" in str(stop)
    if settings.log and settings.resume:
        shown = [step for step, *_ in settings.log.shown]
        assert shown == ([] if rank else [3, 3, 4, 4])


def _two(settings, stop_at=None):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    fork = multiprocessing.get_context("fork")  # the libraries take long to load
    started = [fork.Process(target=_one_of_two, args=(n, port, settings, stop_at)) for n in (0, 1)]
    for process in started:
        process.start()
    for process in started:
        process.join(120)
    assert [process.exitcode for process in started] == [0, 0]


def _tensors(settings):
    return read_checkpoint(settings.out / "checkpoint.safetensors")[0]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scale")
    make_checkpoint(folder / "model")
    make_pairs(folder / "pairs")
    given = {"model": str(folder / "model"), "data": folder / "pairs"}
    one = replace(SETTINGS, **given, batch=4, out=folder / "one")
    for _ in train(one):
        pass
    two = replace(SETTINGS, **given, out=folder / "two")
    _two(two)
    return one, two


def test_two_split_processes_are_one_with_twice_the_batch(base):
    ours, theirs = map(_tensors, base)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert float((ours[name] - theirs[name]).abs().max()) < 1e-4, name
    models = [load_riffusion(settings.out / "model").unet.state_dict() for settings in base]
    for name in models[0]:
        torch.testing.assert_close(models[1][name], theirs[f"ema.{name}"], rtol=0, atol=0)
        torch.testing.assert_close(models[0][name], models[1][name], rtol=0, atol=1e-4)


def test_a_stopped_split_run_ends_in_the_same_bytes_though_samples_are_logged(
    base, tmp_path, monkeypatch
):
    """A forgotten whole weight after a sample would be trained on in the next step. One process
    can go on too."""
    monkeypatch.setattr("restem.networks.riffusion_log.SAMPLE_EVERY", 3)
    monkeypatch.setattr("restem.networks.riffusion_log.SAMPLES", 1)
    few = partial(SamplingSettings, steps=2)
    monkeypatch.setattr("restem.networks.riffusion_log.SamplingSettings", few)
    settings = replace(base[1], out=tmp_path / "run", log=Recorder("tensorboard"))
    _two(settings, stop_at=1)  # the other hears of it in the next step
    assert not (settings.out / "model").exists()
    assert read_checkpoint(settings.out / "checkpoint.safetensors")[1]["step"] == "2"
    alone = replace(settings, out=tmp_path / "alone", resume=True, log=None)
    shutil.copytree(settings.out, alone.out)
    assert [step for what, step, *_ in train(alone) if what == "training"] == [3, 4]
    assert (alone.out / "model" / "model_index.json").is_file()
    _two(replace(settings, resume=True))
    files = [folder / "checkpoint.safetensors" for folder in (settings.out, base[1].out)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_two_split_processes_go_on_from_one(base, tmp_path):
    settings = replace(base[1], out=tmp_path)
    for what, step, *_ in train(settings):
        if what == "training" and step == 2:
            break
    before = _tensors(settings)
    _two(replace(settings, resume=True, steps=2))
    after = _tensors(settings)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_low_rank_and_no_average_are_split_too(base, tmp_path):
    _two(replace(base[1], out=tmp_path, lora=2, ema=False, accumulation=2, steps=2))
    model = load_riffusion(tmp_path / "model").unet.state_dict()
    before = load_riffusion(base[1].model).unet.state_dict()
    changed = {k for k in before if not torch.equal(before[k], model[k][:, :4] if k ==
               "conv_in.weight" else model[k])}  # fmt: skip
    assert {"conv_in.weight"} < changed
    assert all("conv_in" in name or ".to_" in name for name in changed)


def test_what_fsdp_cannot_do_is_named(base, tmp_path, monkeypatch):
    settings = replace(base[1], out=tmp_path)
    (tmp_path / "latents-mix").symlink_to(base[1].out / "latents-mix")
    monkeypatch.setattr(train_riffusion, "_accelerator", lambda *given: _split(*given, version=1))
    try:
        with pytest.raises(UserError, match="Set fsdp_version: 2 in accelerate's file"):
            list(train(settings))
        monkeypatch.setattr(train_riffusion, "_accelerator", _split)
        monkeypatch.setattr(train_riffusion, "_eight_bit_adam", lambda: torch.optim.Adamax)
        with pytest.raises(UserError, match="leave --eight-bit out"):
            list(train(replace(settings, eight_bit=True)))
    finally:
        accelerate.state.AcceleratorState._reset_state()
