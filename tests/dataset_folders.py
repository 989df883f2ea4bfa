"""Tiny collections in the folder formats of the sources, each of a few real tones and noises."""

import csv
import json
import subprocess
import zipfile

import numpy as np
import soundfile

RATE = 44100
STEMS = ("drums", "bass", "other", "vocals")
MUSICCAPS = [
    "ytid", "start_s", "end_s", "audioset_positive_labels", "aspect_list", "caption", "author_id",
    "is_balanced_subset", "is_audioset_eval",
]  # fmt: skip


def sound(seconds, seed, rate=RATE, channels=2):
    """A decaying click train over a tone, (sample, channel), different for every seed."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    tone = 0.1 * np.sin(2 * np.pi * (110 + 40 * seed) * time)
    clicks = 0.2 * rng.standard_normal(len(time)) * np.exp(-30 * (time % (0.3 + 0.02 * (seed % 7))))
    return np.repeat((tone + clicks)[:, None], channels, axis=1)


def write(path, samples, rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate)


def musdb_hq(folder, seconds=3.0):
    for number, (part, name) in enumerate(
        [("train", "A - One"), ("train", "Leaf - Summerghost"), ("test", "B - Two")]
    ):
        for place, stem in enumerate(STEMS):
            write(folder / part / name / f"{stem}.wav", sound(seconds, 10 * number + place))
        write(folder / part / name / "mixture.wav", sound(seconds, 99))  # not the sum, on purpose


def musdb_mp4(folder, ffmpeg, seconds=2.0):
    for part, name in (("train", "A - One"), ("test", "B - Two")):
        (folder / part).mkdir(parents=True)
        command = [ffmpeg, "-v", "error", "-y"]
        for place, kind in enumerate(("mixture", "drums", "bass", "other", "vocals")):
            write(folder / f"{kind}.wav", sound(seconds, place))
            command += ["-i", str(folder / f"{kind}.wav")]
        maps = [word for place in range(5) for word in ("-map", f"{place}:a")]
        out = str(folder / part / f"{name}.stem.mp4")
        subprocess.run([*command, *maps, "-c:a", "aac", "-b:a", "192k", out], check=True)
        for path in folder.glob("*.wav"):
            path.unlink()


def slakh(folder, seconds=2.0):
    for number, part in enumerate(("train", "validation", "test")):
        track = folder / part / f"Track{number:05d}"
        lines = ["audio_dir: stems", "stems:"]
        for place, (kind, drum) in enumerate(
            [("Drums", "true"), ("Bass", "false"), ("Guitar", "false"), ("Guitar", "false")]
        ):
            name = f"S{place:02d}"
            write(track / "stems" / f"{name}.flac", sound(seconds, 10 * number + place, channels=1))
            lines += [f"  {name}:", f"    inst_class: {kind}", f"    is_drum: {drum}"]
        write(track / "mix.flac", sound(seconds, 99))
        (track / "metadata.yaml").write_text("\n".join(lines) + "\n")


def moisesdb(folder, seconds=2.0):
    for number, uuid in enumerate(("0a-1b", "2c-3d")):
        song = folder / "moisesdb_v0.1" / uuid
        for place, stem in enumerate(("drums", "bass", "vocals", "bowed_strings")):
            for part in range(2):
                write(song / stem / f"{part}f.wav", sound(seconds, 20 * number + 2 * place + part))
        (song / "data.json").write_text(json.dumps({"song": uuid, "genre": "singer_songwriter"}))


def stem_folders(folder, seconds=2.0):
    for number in range(2):
        for place, name in enumerate(("My Drums", "Bass DI", "Lead Vox", "Strings")):
            write(folder / f"song{number}" / f"{name}.wav", sound(seconds, 10 * number + place))
    write(folder / "song0" / "mix.wav", sound(seconds, 99))
    write(folder / "lonely" / "drums.wav", sound(seconds, 98))


def musiccaps(folder, columns=MUSICCAPS):
    rows = [
        ["aaaaaaaaaaa", "30", "40", "/m/0", "['jazz', 'drums']", "A jazz song, it swings.", "1",
         "False", "False"],
        ["bbbbbbbbbbb", "5", "15", "/m/0", "['rock']", "A loud rock song.", "1", "False", "True"],
        ["ccccccccccc", "5", "15", "/m/0", "[]", "Nothing to hear.", "1", "False", "False"],
    ]  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "musiccaps-public.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(columns)
        table.writerows(row[: len(columns)] for row in rows)
    write(folder / "wav" / "aaaaaaaaaaa.wav", sound(10, 1, 16000, 1), 16000)
    write(folder / "wav" / "[bbbbbbbbbbb]-[5-15].wav", sound(20, 2, 16000, 1), 16000)


def magnatagatune(folder, zipped=True):
    """Three tracks: one with two clips, one as parts of a zip."""
    paths = ["f/artist-album-01-first-0-29.mp3", "2/artist-album-01-first-30-59.mp3",
             "c/other-album-02-second-0-29.mp3"]  # fmt: skip
    lines = ["clip_id\tguitar\trock\tno vocals\tmp3_path"]
    lines += [f"{n}\t1\t{n % 2}\t0\t{path}" for n, path in enumerate([*paths, "e/gone-0-29.mp3"])]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "annotations_final.csv").write_text("\n".join(lines) + "\n")
    for number, path in enumerate(paths):
        write(folder / path, sound(4, 3 + number, 16000, 1), 16000)
    if zipped:
        with zipfile.ZipFile(folder / "all.zip", "w") as archive:
            for path in paths:
                archive.write(folder / path, path)
                (folder / path).unlink()
        data = (folder / "all.zip").read_bytes()
        (folder / "all.zip").unlink()
        third = len(data) // 3
        for number in range(3):
            end = None if number == 2 else (number + 1) * third
            (folder / f"mp3.zip.00{number + 1}").write_bytes(data[number * third : end])


def song_folder(folder, songs=3, seconds=3.0):
    for number in range(songs):
        write(folder / f"Song {number}.wav", sound(seconds, 30 + number))
    (folder / "notes.txt").write_text("not a song")


def rendered(folder, songs=3, seconds=4.0, splits=("train", "validation", "test")):
    """The format of `restem dataset render`, with sounds of `sound`."""
    folder.mkdir(parents=True, exist_ok=True)
    samples = round(seconds * RATE)
    for number in range(songs):
        waves = [sound(seconds, 50 + 3 * number + i, channels=1)[:, 0] for i in range(3)]
        steps = np.round(np.stack(waves) * 20000).astype(np.int16)
        np.save(folder / f"{number:05d}.context.npy", steps[:2])
        np.save(folder / f"{number:05d}.drums.npy", steps[2:])
        labels = {"style": "bossa nova", "bpm": 120.0, "metre": "4/4", "loudness": "soft",
                  "density": "busy", "kit": "brush", "feel": None}  # fmt: skip
        record = {
            "id": f"{number:05d}", "split": splits[number % len(splits)], "style": "bossa nova",
            "style_file": f"style{number}.mma", "bpm": 120.0, "metre": "4/4", "samples": samples,
            "takes": [{"labels": labels}],
            "stems": [{"kind": "bass", "program": 32}, {"kind": "lead", "program": 65}],
        }  # fmt: skip
        (folder / f"{number:05d}.json").write_text(json.dumps(record))
