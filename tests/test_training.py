"""The training loop: resume is exact, stops are safe, damage is named."""

import os
import signal
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from restem.diffusion.checkpoints import ema_weights, read_checkpoint
from restem.diffusion.training import Trainer, TrainingConfig
from restem.errors import UserError


def _network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))


def _loss(network, step):
    draw = torch.Generator().manual_seed(step)
    x = torch.randn(16, 3, generator=draw)
    return (network(x) - x.sum(dim=1, keepdim=True)).square().mean()


def _trainer(folder, steps=40, loss=_loss, **changes):
    config = TrainingConfig(steps, 1e-2, warmup=5, **changes)
    return Trainer(_network(), loss, config, folder, {"name": "x"})


def test_it_learns(tmp_path):
    losses = [loss for _, loss in _trainer(tmp_path, 300).run()]
    assert sum(losses[-20:]) < 0.1 * sum(losses[:20])


@pytest.mark.parametrize("stop", [1, 7, 23, 39])
def test_an_interrupted_run_ends_in_the_same_bytes(tmp_path, stop):
    for _ in _trainer(tmp_path / "whole").run():
        pass
    for step, _ in _trainer(tmp_path / "parts").run():
        if step == stop:
            break
    again = _trainer(tmp_path / "parts")
    again.resume()
    assert again.step == stop
    for _ in again.run():
        pass
    whole, parts = (
        read_checkpoint(tmp_path / d / "checkpoint.safetensors")[0] for d in ("whole", "parts")
    )
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    files = [tmp_path / d / "checkpoint.safetensors" for d in ("whole", "parts")]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_after_a_saved_step(tmp_path, number):
    before = signal.getsignal(number)
    steps = []
    with pytest.raises(KeyboardInterrupt, match="is saved; go on with --resume"):
        for step, _ in _trainer(tmp_path).run():
            steps.append(step)
            if step == 5:
                os.kill(os.getpid(), number)
    assert steps[-1] in (5, 6)
    assert int(read_checkpoint(tmp_path / "checkpoint.safetensors")[1]["step"]) == steps[-1]
    assert signal.getsignal(number) is before


def test_a_loss_that_is_not_finite_keeps_the_last_checkpoint(tmp_path):
    for _ in _trainer(tmp_path, 3).run():
        pass
    good = (tmp_path / "checkpoint.safetensors").read_bytes()
    broken = _trainer(tmp_path, 9, lambda net, step: _loss(net, step) * float("nan"))
    broken.resume()
    with pytest.raises(UserError, match="not finite at step 3"):
        list(broken.run())
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == good


def test_a_gradient_that_is_not_finite_keeps_the_last_checkpoint(tmp_path):
    for _ in _trainer(tmp_path, 3).run():
        pass
    good = (tmp_path / "checkpoint.safetensors").read_bytes()

    def loss(net, step):  # whose own value is fine, as of a square root at 0
        first = next(net.parameters()).sum()
        return _loss(net, step) + (torch.sqrt(0 * first) if step == 4 else 0)

    broken = _trainer(tmp_path, 5, loss)
    broken.resume()
    with pytest.raises(UserError, match="gradient is not finite at step 4"):
        list(broken.run())
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == good


def test_a_run_is_not_resumed_with_other_parts_but_may_go_on_longer_and_slower(tmp_path):
    for _ in _trainer(tmp_path, 3).run():
        pass
    now = _trainer(tmp_path, 3).config
    for changes, words in (
        ({"accumulation": 2}, "another accumulation"),
        ({"schedule": "constant", "ema": None}, "another schedule and another ema"),
    ):
        other = _trainer(tmp_path, 3)
        other.config = replace(now, **changes)
        with pytest.raises(UserError, match=words):
            other.resume()
    longer = _trainer(tmp_path, 6)
    longer.config = replace(longer.config, learning_rate=1e-5)
    longer.resume()
    assert [step for step, _ in longer.run()] == [4, 5, 6]


def test_damaged_and_missing_checkpoints_are_named(tmp_path):
    with pytest.raises(UserError, match="no checkpoint"):
        _trainer(tmp_path).resume()
    for _ in _trainer(tmp_path, 3).run():
        pass
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="not a whole safetensors"):
        _trainer(tmp_path).resume()
    save_file({"weight": torch.zeros(3)}, path, metadata={"format": "pt"})
    with pytest.raises(UserError, match="not a checkpoint of a training run here; give"):
        _trainer(tmp_path).resume()


def test_a_checkpoint_of_another_shape_is_refused(tmp_path):
    for _ in _trainer(tmp_path, 3).run():
        pass
    other = Trainer(
        nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)),
        _loss,
        TrainingConfig(5, learning_rate=1e-2),
        tmp_path,
        {},
    )
    with pytest.raises(UserError, match="does not fit"):
        other.resume()


def test_a_checkpoint_is_not_lost_to_a_run_that_does_not_resume_it(tmp_path):
    for _ in _trainer(tmp_path, 3).run():
        pass
    kept = (tmp_path / "checkpoint.safetensors").read_bytes()
    with pytest.raises(UserError, match="there already; go on from it with --resume"):
        next(_trainer(tmp_path, 3).run())
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == kept


def test_a_checkpoint_of_a_deeper_network_or_of_other_settings_is_refused(tmp_path):
    layers = [nn.Linear(3, 4), nn.Linear(4, 1)]
    for _ in Trainer(nn.Sequential(*layers), _loss, TrainingConfig(2), tmp_path, {"seed": 1}).run():
        pass
    for network, meta, words in (
        (nn.Sequential(nn.Linear(3, 4)), {"seed": 1}, "does not fit: the network has no weights.1"),
        (nn.Sequential(*layers), {"seed": 2}, "trained with another seed; give the same again"),
    ):
        with pytest.raises(UserError, match=words):
            Trainer(network, _loss, TrainingConfig(5), tmp_path, meta).resume()


def test_the_average_lags_behind_the_weights(tmp_path):
    trainer = _trainer(tmp_path, 50)
    for _ in trainer.run():
        pass
    average, meta = ema_weights(tmp_path / "checkpoint.safetensors")
    assert meta == {"name": "x"}
    weights = dict(trainer.network.named_parameters())
    assert average.keys() == weights.keys()
    assert any(not torch.equal(average[k], weights[k]) for k in weights)


def test_the_average_is_that_of_diffusers(tmp_path):
    training_utils = pytest.importorskip("diffusers.training_utils")
    trainer = _trainer(tmp_path, 30, ema=0.7)  # which is reached at update 21
    theirs = training_utils.EMAModel(trainer.network.parameters(), decay=0.7)
    for step, _ in trainer.run():
        theirs.step(trainer.network.parameters())
        assert trainer.config.decay(step) == theirs.cur_decay_value
        for ours, other in zip(trainer.ema.values(), theirs.shadow_params, strict=True):
            torch.testing.assert_close(ours, other, rtol=0, atol=1e-6)


def test_a_checkpoint_is_saved_when_its_time_has_come(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    trainer, saved = _trainer(tmp_path, 5, checkpoint_seconds=0), []
    for step, _ in trainer.run():
        if step > 1:
            saved.append(int(read_checkpoint(path)[1]["step"]))
    assert saved == [1, 2, 3, 4]
    for step, _ in _trainer(tmp_path / "rare", 5, checkpoint_seconds=100).run():
        assert step == 5 or not (tmp_path / "rare" / path.name).exists()


def test_clip_weight_decay_and_betas_reach_the_optimiser(tmp_path):
    trainer = _trainer(tmp_path, 1, clip=1e-3, weight_decay=0.3, betas=(0.5, 0.6))
    (group,) = trainer.optimizer.param_groups
    assert (group["weight_decay"], group["betas"]) == (0.3, (0.5, 0.6))
    next(trainer.run())
    norms = [p.grad.norm() for p in trainer.network.parameters()]
    assert float(torch.stack(norms).norm()) == pytest.approx(1e-3, rel=1e-3)
    first = trainer.optimizer.state[next(trainer.network.parameters())]["exp_avg"]
    torch.testing.assert_close(first, 0.5 * next(trainer.network.parameters()).grad)


def test_a_failed_save_says_what_is_left(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("restem.diffusion.checkpoints.save_file", full)
    with pytest.raises(UserError, match=r"No space left on device\. There is none from before\.$"):
        list(_trainer(tmp_path, 2).run())
    assert [path.name for path in tmp_path.iterdir()] == ["curve.csv"]


def test_a_disk_without_room_is_refused_before_the_first_step(tmp_path, monkeypatch):
    steps = []

    def loss(network, step):
        steps.append(step)
        return _loss(network, step)

    def free(room):
        usage = type("usage", (), {"free": room})
        monkeypatch.setattr("restem.diffusion.checkpoints.shutil.disk_usage", lambda _: usage)

    need = 16 * sum(p.numel() for p in _network().parameters())
    free(2 * need - 1)
    with pytest.raises(UserError, match=r"A checkpoint takes 6.56e-07 GB, twice .*; make room"):
        list(_trainer(tmp_path, 2, loss).run())
    assert not steps
    free(2 * need)
    list(_trainer(tmp_path, 2, loss).run())
    free(need)  # what is replaced will be free again
    longer = _trainer(tmp_path, 4, loss)
    longer.resume()
    list(longer.run())
    assert steps == [0, 1, 2, 3]


def _curve(folder):
    """Rows of a curve without the seconds, which are no run's again; they only rise."""
    header, *rows = (folder / "curve.csv").read_text().splitlines()
    assert header == "step,loss,learning_rate,seconds"
    seconds = [float(row.split(",")[3]) for row in rows]
    assert seconds == sorted(seconds)
    return [row.rsplit(",", 1)[0] for row in rows]


def _stopped(folder, stop, steps=120, **changes):
    """Train for a while, from the checkpoint if there is one."""
    trainer = _trainer(folder, steps, **changes)
    if trainer.path.exists():
        trainer.resume()
    for step, _ in trainer.run():
        if step == stop:
            break


def test_the_curve_has_the_mean_losses(tmp_path):
    trainer = _trainer(tmp_path, 120)
    losses = [loss for _, loss in trainer.run()]
    rows = [[float(value) for value in row.split(",")] for row in _curve(tmp_path)]
    assert [row[0] for row in rows] == [50, 100, 120]
    spans = losses[:50], losses[50:100], losses[100:]
    assert [row[1] for row in rows] == pytest.approx([sum(s) / len(s) for s in spans], rel=1e-5)
    assert [row[2] for row in rows] == pytest.approx(
        [trainer.config.rate(step) for step in (49, 99, 119)], rel=1e-5
    )


@pytest.mark.parametrize("stops", [(1, 49), (50,), (7, 51, 99), (100, 119)])
def test_the_curve_of_an_interrupted_run_is_that_of_a_whole_one(tmp_path, stops):
    for stop in (*stops, None):
        _stopped(tmp_path / "parts", stop)
    _stopped(tmp_path / "whole", None)
    assert _curve(tmp_path / "parts") == _curve(tmp_path / "whole")


def test_the_curve_forgets_what_a_crash_lost(tmp_path):
    _stopped(tmp_path / "parts", 30)
    early = (tmp_path / "parts" / "checkpoint.safetensors").read_bytes()
    _stopped(tmp_path / "parts", 110)
    with (tmp_path / "parts" / "curve.csv").open("a") as file:
        file.write("150,0.2")  # a row whose end was never written
    (tmp_path / "parts" / "checkpoint.safetensors").write_bytes(early)
    _stopped(tmp_path / "parts", None)
    _stopped(tmp_path / "whole", None)
    assert _curve(tmp_path / "parts") == _curve(tmp_path / "whole")


def test_the_curve_of_a_run_that_goes_on_longer_has_no_row_of_its_first_end(tmp_path):
    _stopped(tmp_path, None, steps=120, schedule="constant")
    _stopped(tmp_path, None, steps=170, schedule="constant")
    _stopped(tmp_path / "whole", None, steps=170, schedule="constant")
    assert _curve(tmp_path) == _curve(tmp_path / "whole")
    assert [row.split(",")[0] for row in _curve(tmp_path)] == ["50", "100", "150", "170"]


def test_a_damaged_curve_stops_no_training(tmp_path):
    curve = tmp_path / "curve.csv"
    _stopped(tmp_path, 60)
    kept = _curve(tmp_path)[0]
    curve.write_bytes(b"\xff\x00,,\n60,x,1,2\n" + curve.read_bytes() + b"50,1")
    _stopped(tmp_path, 110)
    assert _curve(tmp_path)[0] == kept and len(_curve(tmp_path)) == 2
    curve.unlink()
    curve.mkdir()  # which no file can replace
    _stopped(tmp_path, None)
    assert int(read_checkpoint(tmp_path / "checkpoint.safetensors")[1]["step"]) == 120


def test_a_row_that_could_not_be_written_comes_with_the_next(tmp_path):
    curve = tmp_path / "curve.csv"
    for step, _ in _trainer(tmp_path, 120).run():
        if step == 49:
            curve.mkdir()
        if step == 60:
            curve.rmdir()
    assert [row.split(",")[0] for row in _curve(tmp_path)] == ["50", "100", "120"]
