"""Captions say what can be heard; the adapters of larger captioners load checkpoints of their own
format, made here with random weights."""

import json
import re
import shutil

import dataset_folders as folders
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from restem.cli import main
from restem.dataset.record import Parcel
from restem.dataset.sources import open_source
from restem.dataset.stages.caption import around, caption_song, open_captioner
from restem.dataset.stages.caption_offline import key, loudness_word, sentences
from restem.dataset.stages.write import read_rows
from restem.errors import UserError

RATE = 44100


def chords(*midi_chords, seconds=10):
    """A waveform of chords, each as long as the others, of three harmonics a note."""
    part = np.arange(round(seconds * RATE / len(midi_chords))) / RATE
    waves = []
    for chord in midi_chords:
        hz = [440 * 2 ** ((note - 69) / 12) for note in chord]
        waves.append(sum(np.sin(2 * np.pi * f * h * part) / h**2 for f in hz for h in (1, 2, 3)))
    return (0.05 * np.concatenate(waves)).astype(np.float32)


@pytest.mark.parametrize("shift, name", [(0, "C major"), (3, "E flat major"), (7, "G major")])
def test_the_key_of_a_cadence(shift, name):
    cadence = [(60, 64, 67), (65, 69, 72), (67, 71, 74), (60, 64, 67)]
    assert key(chords(*[tuple(n + shift for n in c) for c in cadence])) == name


def test_a_minor_cadence_and_noise():
    assert key(chords((57, 60, 64), (62, 65, 69), (64, 68, 71), (57, 60, 64))) == "A minor"
    assert key(np.zeros(RATE * 10, np.float32)) is None


def test_loudness_words():
    assert [loudness_word(np.full(1000, level)) for level in (0.01, 0.1, 0.5)] == [
        "softly", "", "loudly"]  # fmt: skip


@pytest.mark.parametrize("heard, text", [
    ({"genre": "jazz", "bpm": 80.2, "key": "F major", "played": ["piano", "guitar"],
      "mood": "relaxed", "loudness": "softly"},
     "A slow relaxed jazz song with piano and guitar at 80 BPM in F major. It is played softly."),
    ({"genre": "ambient"}, "An ambient song."),
    ({}, "A song."),
])  # fmt: skip
def test_sentences(heard, text):
    assert sentences(heard) == text


def test_ten_seconds_around_a_moment():
    wave = np.arange(30 * RATE)
    assert around(wave, 15.0)[0] == 10 * RATE and len(around(wave, 15.0)) == 10 * RATE
    assert around(wave, 2.0)[0] == 0 and around(wave, 29.0)[-1] == len(wave) - 1
    assert len(around(wave[: 3 * RATE], 1.0)) == 3 * RATE


def test_the_offline_captioner_hears_tempo_and_key(tmp_path):
    captioner = open_captioner("offline")
    part = np.arange(RATE // 2) / RATE  # half a second: 120 BPM
    beat = np.concatenate([np.exp(-20 * part)] * 20)
    wave = chords((60, 64, 67), (65, 69, 72), (67, 71, 74), (60, 64, 67)) * (0.2 + beat)
    found = captioner.caption(wave.astype(np.float32), {})
    assert found.facts["key"] == "C major" and "in C major" in found.text
    assert "bpm" not in found.facts or abs(found.facts["bpm"] % 60) < 2
    told = captioner.caption(wave.astype(np.float32), {"genre": "samba", "bpm": 90.0})
    assert "samba song" in told.text and "at 90 BPM" in told.text


def test_a_caption_of_the_source_stays(tmp_path):
    folders.musiccaps(tmp_path)
    song = next(open_source(f"musiccaps={tmp_path}").songs())
    from test_dataset_build import clip

    done = caption_song(song, Parcel(song.id, "musiccaps", "0", (clip(),)), "1", "offline")
    assert (
        done.clips[0].caption == "A jazz song, it swings." and done.clips[0].caption_by == "source"
    )


def test_captions_are_of_the_music_around_a_clip_whatever_the_grid(tmp_path):
    """Clips of a second at 0 and 30 s; the song is in C up to 15 s and in F sharp from there."""
    cadence = [(60, 64, 67), (65, 69, 72), (67, 71, 74), (60, 64, 67)]
    low, high = (chords(*[tuple(n + s for n in c) for c in cadence], seconds=15) for s in (0, 6))
    keys = np.concatenate([low, high, high])
    drums = 0.02 * np.random.default_rng(0).standard_normal(len(keys))
    folders.write(tmp_path / "in" / "song" / "keys.wav", keys[:, None])
    folders.write(tmp_path / "in" / "song" / "drums.wav", drums[:, None])
    words = [
        "dataset",
        "build",
        "--source",
        f"stems={tmp_path / 'in'}",
        "-o",
        str(tmp_path / "out"),
    ]
    assert main([*words, "--clip-samples", str(RATE), "--hop-samples", str(30 * RATE)]) == 0
    heard = [json.loads(row["facts"])["heard"]["key"] for row in read_rows(tmp_path / "out")]
    assert heard == ["C major", "F sharp major"]


@pytest.fixture(scope="module")
def bart(tmp_path_factory):
    """A folder of a tiny BART with a byte-level tokenizer, as on a hub, and its network."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import BartConfig, BartForConditionalGeneration, BartTokenizer

    folder = tmp_path_factory.mktemp("bart")
    words = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(ByteLevel.alphabet())]
    vocabulary = {word: number for number, word in enumerate(words)}
    BartTokenizer(vocab=vocabulary, merges=[]).save_pretrained(folder)
    config = BartConfig(
        vocab_size=len(words), d_model=32, encoder_layers=1, decoder_layers=1, decoder_ffn_dim=32,
        encoder_ffn_dim=32, encoder_attention_heads=2, decoder_attention_heads=2,
        max_position_embeddings=130, bos_token_id=0, pad_token_id=1, eos_token_id=2,
        decoder_start_token_id=2, forced_eos_token_id=2,
    )  # fmt: skip
    config.save_pretrained(folder)
    torch.manual_seed(0)
    return folder, BartForConditionalGeneration(config).eval()


def lp_checkpoint(path, bart, seed):
    """A file in the format of the published transfer.pth: a state dict of a wrapped model."""
    torch.manual_seed(seed)
    state = {f"module.bart.{k}": v for k, v in bart.state_dict().items()}
    for name, shape in [("conv1", (32, 128, 3))] + [
        (f"conv_stack.{n}", (32, 32, 3)) for n in range(5)
    ]:
        state[f"module.audio_encoder.{name}.weight"] = torch.randn(shape) * 0.05
        state[f"module.audio_encoder.{name}.bias"] = torch.randn(shape[0]) * 0.05
    state["module.audio_encoder.mel_encoder.window"] = torch.ones(1024)  # not needed
    torch.save({"epoch": 1, "state_dict": state}, path)


def test_lp_music_caps_loads_its_format(bart, tmp_path):
    folder, network = bart
    wave = np.random.default_rng(0).standard_normal(160_000).astype(np.float32) * 0.1
    texts = []
    for seed in (1, 1, 2):
        lp_checkpoint(tmp_path / "transfer.pth", network, seed)
        captioner = open_captioner(f"lp-music-caps={tmp_path / 'transfer.pth'}:{folder}")
        assert captioner.sample_rate == 16000
        texts.append((captioner.name, captioner.caption(wave, {}).text))
    assert texts[0] == texts[1] and texts[0][0] != texts[2][0]
    assert isinstance(texts[0][1], str)


def test_lp_music_caps_sees_the_spectrum_it_was_trained_on():
    from scipy.signal import stft

    from restem.dataset.stages.caption_lp import mel_db

    time = np.arange(16000) / 16000
    wave = np.sin(2 * np.pi * 1000 * time).astype(np.float32)
    found = mel_db(torch.from_numpy(wave)[None])[0].numpy()
    assert found.shape == (128, 101)
    # independently: real part of SciPy's spectrum, and HTK's formula for the place of 1 kHz
    _, _, spectrum = stft(wave, 16000, nperseg=1024, noverlap=1024 - 160, boundary="even")
    power = (np.real(spectrum) * 512) ** 2
    place = 2595 * np.log10(1 + 1000 / 700) / (2595 * np.log10(1 + 8000 / 700)) * 129 - 1
    assert abs(found.mean(axis=1).argmax() - place) <= 1
    assert found.max() == pytest.approx(10 * np.log10(power.max()), abs=1.0)


def test_lp_music_caps_refuses_other_weights(bart, tmp_path):
    folder, network = bart
    torch.save({"state_dict": {"x": torch.ones(1)}}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="no checkpoint of LP-MusicCaps"):
        open_captioner(f"lp-music-caps={tmp_path / 'other.pth'}:{folder}")
    lp_checkpoint(tmp_path / "cut.pth", network, 1)
    state = torch.load(tmp_path / "cut.pth")["state_dict"]
    del state["module.bart.model.decoder.layers.0.fc1.weight"]
    torch.save({"state_dict": state}, tmp_path / "cut.pth")
    with pytest.raises(UserError, match=r"lack bart.model.decoder.layers.0.fc1.weight"):
        open_captioner(f"lp-music-caps={tmp_path / 'cut.pth'}:{folder}")
    with pytest.raises(UserError, match="BART cannot be loaded"):
        open_captioner(f"lp-music-caps={tmp_path / 'cut.pth'}:{tmp_path / 'nowhere'}")
    with pytest.raises(UserError, match="choose from"):
        open_captioner("guess")


@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    """A folder of a tiny Qwen2-Audio with random weights."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        PreTrainedTokenizerFast,
        Qwen2AudioConfig,
        Qwen2AudioForConditionalGeneration,
        Qwen2AudioProcessor,
        WhisperFeatureExtractor,
    )

    folder = tmp_path_factory.mktemp("qwen")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|AUDIO|>", "<|audio_bos|>",
               "<|audio_eos|>"]  # fmt: skip
    vocabulary = {word: number for number, word in enumerate([*alphabet, *special])}
    plain = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token="<|endoftext|>", eos_token="<|im_end|>",
        additional_special_tokens=special,
    )  # fmt: skip
    Qwen2AudioProcessor(WhisperFeatureExtractor(feature_size=128), tokenizer).save_pretrained(
        folder
    )
    small = {"num_hidden_layers": 1, "num_attention_heads": 2}
    config = Qwen2AudioConfig(
        audio_config={"model_type": "qwen2_audio_encoder", "d_model": 16, "encoder_layers": 1,
                      "encoder_attention_heads": 2, "encoder_ffn_dim": 16, "num_mel_bins": 128},
        text_config={"model_type": "qwen2", "hidden_size": 16, "intermediate_size": 16,
                     "num_key_value_heads": 2, "vocab_size": len(vocabulary), **small},
        audio_token_index=vocabulary["<|AUDIO|>"],
    )  # fmt: skip
    torch.manual_seed(0)
    Qwen2AudioForConditionalGeneration(config).save_pretrained(folder)
    return folder


def test_an_audio_language_model_loads_and_hears(qwen):
    captioner = open_captioner(f"audio-llm={qwen}")
    assert captioner.sample_rate == 16000
    assert re.fullmatch(rf"audio-llm:{qwen.name}-[0-9a-f]{{12}}", captioner.name)
    rng = np.random.default_rng(0)
    wave = rng.standard_normal(160_000).astype(np.float32) * 0.1
    first = captioner.caption(wave, {}).text
    assert first == captioner.caption(wave, {}).text and isinstance(first, str)


def test_another_audio_language_model_of_the_same_name_has_another_fingerprint(qwen, tmp_path):
    other = shutil.copytree(qwen, tmp_path / qwen.name)
    (weights,) = other.glob("*.safetensors")
    tensors = load_file(weights)
    name = sorted(tensors)[0]
    tensors[name] = tensors[name] + 0.5
    save_file(tensors, weights, {"format": "pt"})
    first, same = (open_captioner(f"audio-llm={qwen}").name for _ in range(2))
    assert first == same != open_captioner(f"audio-llm={other}").name


def test_models_without_audio_are_refused(tmp_path):
    with pytest.raises(UserError, match="cannot be loaded"):
        open_captioner(f"audio-llm={tmp_path}")
