// What plays and shows a song of sound: song, stem and mix.

import * as api from "./api.js";
import { SoundLane } from "./lanes.js";
import { Player } from "./player.js";
import { parseWav } from "./wav.js";

const TITLES = { song: "Song", stem: "Stem", mix: "Mix" };

export class SoundDeck {
  constructor(view) {
    this.player = new Player();
    this.lanes = Object.entries(TITLES).map(([name, title]) => new SoundLane(name, title, view, this.player));
    [this.song, this.stem, this.mix] = this.lanes;
  }

  /** Fetch what a song needs; then a function that shows it. */
  async fetch({ id }) {
    const base = `/api/songs/${id}`;
    const [audio, outline, png] = await Promise.all([
      api.getBytes(`${base}/audio`), api.getBytes(`${base}/outline`), api.getBytes(`${base}/spectrogram`),
    ]);
    return async () => {
      this.player.setSong(parseWav(audio));
      await Promise.all([this.song.load(outline, png), this.stem.load(), this.mix.load()]);
    };
  }

  close() { this.player.pause(); for (const lane of this.lanes) lane.hidden = true; }
  open() { for (const lane of this.lanes) { lane.hidden = false; lane.show(); } }

  /** Play and show a take of a stem, or none; `wanted` tells whether it still is. */
  async choose(base, wanted, stem) {
    this.stem.setTitle(stem[0].toUpperCase() + stem.slice(1));
    if (!base) {
      this.player.setStem(null);
      for (const lane of [this.stem, this.mix]) lane.load();
      return;
    }
    const files = ["stem-outline", "stem-spectrogram", "mix-outline", "mix-spectrogram"];
    const sound = this.player.setStem(base, async () => parseWav(await api.getBytes(`${base}/stem`)));
    const [outline, picture, mix, mixPicture] = await Promise.all(files.map((file) => api.getBytes(`${base}/${file}`)));
    if (wanted()) await Promise.all([this.stem.load(outline, picture), this.mix.load(mix, mixPicture), sound]);
  }

  /** The spectrogram of a window as it denoises, or none any more. */
  preview(png, window) {
    if (png) this.stem.preview(png, window);
    else if (this.stem.previews.size) { this.stem.previews.clear(); this.stem.draw(); }
  }
}
