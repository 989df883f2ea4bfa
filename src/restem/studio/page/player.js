// Song and stem in, sound out: all lanes start at one tick of one clock and share one sample rate,
// so that the stem sits on the song to the sample. The mix lane plays both through one level.

import { Transport } from "./transport.js";

const STEMS_KEPT = 4;

export class Player extends Transport {
  constructor() {
    super();
    Object.assign(this, { buffers: {}, stems: new Map(), sources: [] });
    for (const name of ["song", "stem", "mix"]) this.lanes.set(name, { gain: 1, mute: name === "mix", solo: false });
  }

  get ready() { return Boolean(this.buffers.song); }

  /** A new song: its samples, from parseWav. */
  setSong(wav) {
    this.pause();
    this.context?.close();
    try { this.context = new AudioContext({ sampleRate: wav.sampleRate }); } catch {
      this.context = new AudioContext(); // it resamples all lanes alike
    }
    this.setLanes([...this.lanes.keys()]);
    this.stems.clear();
    this.buffers = { song: this.#buffer(wav) };
    this.duration = wav.length / wav.sampleRate;
    this.offset = 0;
  }

  /** The stem that sounds from now on; `key` names it, `load` gives its samples if it is new. */
  async setStem(key, load) {
    this.wanted = key;
    if (key === null) { delete this.buffers.stem; this.restart(); return; }
    const song = this.buffers.song;
    if (!this.stems.has(key)) {
      const wav = await load();
      if (this.buffers.song !== song) return; // another song meanwhile
      this.stems.set(key, this.#buffer(wav));
      if (this.stems.size > STEMS_KEPT) this.stems.delete(this.stems.keys().next().value);
    }
    if (this.wanted !== key) return; // another take meanwhile
    this.buffers.stem = this.stems.get(key);
    this.restart();
  }

  #buffer(wav) {
    const buffer = this.context.createBuffer(wav.channels.length, wav.length, wav.sampleRate);
    wav.channels.forEach((channel, c) => buffer.copyToChannel(channel, c));
    return buffer;
  }

  sound(begin, at) {
    const routes = [["song", "song"], ["stem", "stem"], ["song", "mix"], ["stem", "mix"]];
    for (const [buffer, output] of routes) {
      if (!this.buffers[buffer]) continue;
      const source = this.context.createBufferSource();
      source.buffer = this.buffers[buffer];
      if (this.loop && at < this.loop.end) {
        Object.assign(source, { loop: true, loopStart: this.loop.start, loopEnd: this.loop.end });
      }
      source.connect(this.outputs.get(output));
      source.start(begin, at);
      this.sources.push(source);
    }
    this.sources[0].onended = () => this.ended();
  }

  silence() {
    for (const source of this.sources) { source.onended = null; source.stop(); source.disconnect(); }
    this.sources = [];
  }
}
