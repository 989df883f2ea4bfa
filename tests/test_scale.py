"""Training at scale: accelerate's configuration files say what they are meant to."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("accelerate")
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
