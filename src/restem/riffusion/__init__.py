"""Insertion with a fine-tuned Riffusion model: a clip and a sentence in, a stem and a mix out."""
