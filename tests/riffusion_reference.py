"""The step of diffusers' InstructPix2Pix example, with diffusers' own parts, as a reference.

The example itself (examples/instruct_pix2pix/train_instruct_pix2pix.py) needs torchvision.
"""

import torch
from torch.nn import functional


def reference_loss(unet, vae, text_encoder, tokenizer, scheduler, edited, original, prompts, draws):
    """Loss of one batch; pixels (pair, 3, h, w) in -1..1, `draws` in place of its random numbers.

    Only for models that predict the noise, as Stable Diffusion 1.x does.
    """

    def ids(sentences):
        return tokenizer(sentences, max_length=tokenizer.model_max_length, padding="max_length",
                         truncation=True, return_tensors="pt").input_ids  # fmt: skip

    posterior = vae.encode(edited).latent_dist
    clean = (posterior.mean + posterior.std * draws.sample) * vae.config.scaling_factor
    steps = (draws.timestep * scheduler.config.num_train_timesteps).long()
    noisy = scheduler.add_noise(clean, draws.noise, steps)
    states = text_encoder(ids(prompts))[0]
    image = vae.encode(original).latent_dist.mode()
    p, size = 0.05, len(prompts)
    no_text = (draws.dropout < 2 * p).reshape(size, 1, 1)
    states = torch.where(no_text, text_encoder(ids([""]))[0], states)
    no_image = (draws.dropout >= p).float() * (draws.dropout < 3 * p).float()
    image = (1 - no_image).reshape(size, 1, 1, 1) * image
    said = unet(torch.cat([noisy, image], dim=1), steps, states).sample
    return functional.mse_loss(said.float(), draws.noise.float(), reduction="mean")
