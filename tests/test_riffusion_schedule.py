"""The noise schedule, the samplers, guidance and SDEdit against diffusers, on random tensors."""

import numpy as np
import pytest
import torch

from restem.diffusion import path
from restem.diffusion.schedule import Ddim, Euler, NoiseSchedule, guided_by_both, sample
from restem.diffusion.sdedit import StraightPath, sdedit

diffusers = pytest.importorskip("diffusers")
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SHAPE = (2, 4, 8, 8)


def _noise(seed=0):
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def _denoise(x, t):
    """Any smooth function of both arguments."""
    return 0.8 * np.tanh(x) + 0.1 * np.cos(t / 300) if isinstance(x, np.ndarray) else (
        0.8 * torch.tanh(x) + 0.1 * np.cos(float(t) / 300))  # fmt: skip


def _theirs(scheduler, noise, steps, draws=(), first=0, **extra):
    """The loop of diffusers' pipelines with the noise of each step given."""
    scheduler.set_timesteps(steps)
    x = noise * scheduler.init_noise_sigma if first == 0 else noise
    draws = iter(draws)
    for t in scheduler.timesteps[first:]:
        seen = scheduler.scale_model_input(x, t)
        predicted = _denoise(seen, t)
        if draws is not None and "variance" in extra:
            x = scheduler.step(predicted, t, x, eta=extra["eta"], variance_noise=next(draws))[0]
        else:
            x = scheduler.step(predicted, t, x, **extra)[0]
    return x


def _last(steps):
    *_, (done, x) = steps
    return done, x


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_schedule_noising_and_target_are_diffusers(prediction):
    scheduler = diffusers.DDPMScheduler(**BETAS, prediction_type=prediction)
    ours = NoiseSchedule(prediction=prediction)
    np.testing.assert_allclose(ours.kept, scheduler.alphas_cumprod.numpy(), rtol=2e-6)
    clean, noise, steps = _noise(1), _noise(2), torch.tensor([0, 731])
    signal, spread = (torch.tensor(w, dtype=torch.float32)[:, None, None, None]
                      for w in ours.weights(steps.numpy()))  # fmt: skip
    theirs = scheduler.add_noise(clean, noise, steps)
    torch.testing.assert_close(signal * clean + spread * noise, theirs, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(
        ours.noised(clean[1], noise[1], 731), theirs[1], rtol=1e-6, atol=1e-6
    )
    target = scheduler.get_velocity(clean, noise, steps) if "v" in prediction[:1] else noise
    torch.testing.assert_close(ours.target(clean, noise, signal, spread), target,
                               rtol=1e-6, atol=1e-6)  # fmt: skip


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("spacing", ["leading", "linspace", "trailing"])
@pytest.mark.parametrize("clean_end", [False, True])
def test_ddim_is_diffusers(prediction, spacing, clean_end):
    scheduler = diffusers.DDIMScheduler(
        **BETAS, prediction_type=prediction, timestep_spacing=spacing, steps_offset=1,
        set_alpha_to_one=clean_end, clip_sample=False,
    )  # fmt: skip
    schedule = NoiseSchedule(prediction=prediction, spacing=spacing, last_is_clean=clean_end)
    done, x = _last(sample(Ddim(schedule), _denoise, _noise(), 20))
    assert done == 20
    torch.testing.assert_close(x, _theirs(scheduler, _noise(), 20), rtol=2e-5, atol=2e-5)


def test_ddim_with_noise_on_the_way_is_diffusers():
    scheduler = diffusers.DDIMScheduler(**BETAS, clip_sample=False, steps_offset=1,
                                        set_alpha_to_one=False)  # fmt: skip
    draws = [_noise(n) for n in range(10, 20)]
    theirs = _theirs(scheduler, _noise(), 10, draws, eta=0.7, variance=True)
    feed = iter(draws)
    _, x = _last(sample(Ddim(NoiseSchedule(), eta=0.7), _denoise, _noise(), 10, lambda: next(feed)))
    torch.testing.assert_close(x, theirs, rtol=2e-5, atol=2e-5)
    with pytest.raises(ValueError, match="draw"):
        list(sample(Ddim(NoiseSchedule(), eta=0.7), _denoise, _noise(), 10))


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("spacing", ["leading", "linspace", "trailing"])
@pytest.mark.parametrize("ancestral", [False, True])
def test_euler_is_diffusers(prediction, spacing, ancestral):
    kind = diffusers.EulerAncestralDiscreteScheduler if ancestral else (
        diffusers.EulerDiscreteScheduler)  # fmt: skip
    scheduler = kind(**BETAS, prediction_type=prediction, timestep_spacing=spacing, steps_offset=1)
    schedule = NoiseSchedule(prediction=prediction, spacing=spacing)
    generator = torch.Generator().manual_seed(5)
    theirs = _theirs(scheduler, _noise(), 12, generator=generator)
    generator = torch.Generator().manual_seed(5)
    sampler = Euler(schedule, ancestral)
    _, x = _last(
        sample(sampler, _denoise, _noise(), 12, lambda: torch.randn(SHAPE, generator=generator))
    )
    torch.testing.assert_close(x, theirs, rtol=5e-5, atol=5e-5)


def test_arrays_and_tensors_go_the_same_way():
    for sampler in (Ddim(NoiseSchedule()), Euler(NoiseSchedule())):
        _, tensor = _last(sample(sampler, _denoise, _noise().double(), 7))
        _, array = _last(sample(sampler, _denoise, _noise().double().numpy(), 7))
        assert isinstance(array, np.ndarray)
        np.testing.assert_allclose(array, tensor.numpy(), rtol=1e-12)


def test_guidance_is_the_pipelines_formula():
    both, context, neither = _noise(1), _noise(2), _noise(3)
    theirs = neither + 7.5 * (both - context) + 1.5 * (context - neither)
    torch.testing.assert_close(guided_by_both(both, context, neither, 7.5, 1.5), theirs)
    torch.testing.assert_close(guided_by_both(both, context, neither, 1.0, 1.0), both)


@pytest.mark.parametrize(("steps", "strength"), [(20, 0.3), (50, 0.75), (20, 0.99), (7, 1.0)])
@pytest.mark.parametrize("kind", ["ddim", "euler"])
def test_sdedit_is_image_to_image(steps, strength, kind):
    pipeline = diffusers.StableDiffusionImg2ImgPipeline
    theirs_kind = {"ddim": diffusers.DDIMScheduler, "euler": diffusers.EulerDiscreteScheduler}[kind]
    extra = {"clip_sample": False, "set_alpha_to_one": False} if kind == "ddim" else {}
    scheduler = theirs_kind(**BETAS, steps_offset=1, timestep_spacing="leading", **extra)
    scheduler.set_timesteps(steps)
    bare = pipeline.__new__(pipeline)  # get_timesteps needs nothing but the scheduler
    object.__setattr__(bare, "scheduler", scheduler)
    timesteps, left = pipeline.get_timesteps(bare, steps, strength, "cpu")
    assert left == int(steps * strength)
    start, noise = _noise(1), _noise(2)
    x = scheduler.add_noise(start, noise, timesteps[:1])
    for t in timesteps:
        x = scheduler.step(_denoise(scheduler.scale_model_input(x, t), t), t, x)[0]
    sampler = {"ddim": Ddim, "euler": Euler}[kind](NoiseSchedule())
    done, ours = _last(sdedit(_denoise, start, noise, steps, strength, sampler))
    assert done == left
    torch.testing.assert_close(ours, x, rtol=5e-5, atol=5e-5)


def test_sdedit_of_no_strength_is_the_start():
    start, noise = _noise(1), _noise(2)
    for sampler in (Ddim(NoiseSchedule()), StraightPath((6.0, -2.0))):
        done, x = _last(sdedit(_denoise, start, noise, 20, 0.0, sampler))
        assert done == 0
        assert torch.equal(x, start)
        with pytest.raises(ValueError, match="between 0 and 1"):
            list(sdedit(_denoise, start, noise, 20, 1.2, sampler))


def test_sdedit_on_the_straight_path():
    start, noise, target = _noise(1), _noise(2), _noise(3)
    seen = []

    def denoise(x, t):
        seen.append((t, x))
        return target

    done, x = _last(sdedit(denoise, start, noise, 20, 0.52, StraightPath()))
    assert done == 10
    assert torch.equal(x, target)
    assert seen[0][0] == pytest.approx(0.5)
    torch.testing.assert_close(seen[0][1], 0.5 * start + 0.5 * noise)
    whole, _ = _last(sdedit(denoise, start, noise, 20, 1.0, StraightPath()))
    assert whole == 20
    _, all_of_it = _last(path.sample(_denoise, noise, 20, (6.0, -2.0)))
    _, same = _last(sdedit(_denoise, start, noise, 20, 1.0, StraightPath((6.0, -2.0))))
    assert torch.equal(same, all_of_it)


def test_bad_numbers_of_steps():
    with pytest.raises(ValueError, match="between 1 and 1000"):
        NoiseSchedule().grid(0)
    assert NoiseSchedule().grid(1000)[0] <= 999
