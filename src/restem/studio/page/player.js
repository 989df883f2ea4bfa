// Song and stem in, sound out: all lanes start at one tick of one clock and share one sample rate,
// so that the stem sits on the song to the sample. The mix lane plays both through one level.

const LEAD = 0.06; // seconds from asking to sounding, so that all sources start in time
const STEMS_KEPT = 4;

export class Player extends EventTarget {
  constructor() {
    super();
    this.lanes = new Map(["song", "stem", "mix"].map((name) => [
      name, { gain: 1, mute: name === "mix", solo: false },
    ]));
    this.loop = null;
    this.playing = false;
    this.offset = 0;
    this.duration = 0;
    this.buffers = {};
    this.stems = new Map();
    this.sources = [];
  }

  /** A new song: its samples, from parseWav. */
  setSong(wav) {
    this.pause();
    this.context?.close();
    try { this.context = new AudioContext({ sampleRate: wav.sampleRate }); } catch {
      this.context = new AudioContext(); // it resamples all lanes alike
    }
    this.outputs = new Map();
    for (const name of this.lanes.keys()) {
      const node = this.context.createGain();
      node.connect(this.context.destination);
      this.outputs.set(name, node);
    }
    this.stems.clear();
    this.buffers = { song: this.#buffer(wav) };
    this.duration = wav.length / wav.sampleRate;
    this.offset = 0;
    this.#levels();
  }

  /** The stem that sounds from now on; `key` names it, `load` gives its samples if it is new. */
  async setStem(key, load) {
    this.wanted = key;
    if (key === null) { delete this.buffers.stem; this.#restart(); return; }
    const song = this.buffers.song;
    if (!this.stems.has(key)) {
      const wav = await load();
      if (this.buffers.song !== song) return; // another song meanwhile
      this.stems.set(key, this.#buffer(wav));
      if (this.stems.size > STEMS_KEPT) this.stems.delete(this.stems.keys().next().value);
    }
    if (this.wanted !== key) return; // another take meanwhile
    this.buffers.stem = this.stems.get(key);
    this.#restart();
  }

  get position() {
    if (!this.playing) return this.offset;
    const at = this.offset + Math.max(0, this.context.currentTime - this.startedAt);
    if (!this.loop || at < this.loop.end || this.offset >= this.loop.end) return Math.min(at, this.duration);
    const length = this.loop.end - this.loop.start;
    return this.loop.start + ((at - this.loop.start) % length);
  }

  async play() {
    if (!this.buffers.song || this.playing) return;
    await this.context.resume();
    if (this.offset >= this.duration - 0.01) this.offset = 0;
    this.#start();
    this.dispatchEvent(new Event("change"));
  }

  pause() {
    if (!this.playing) return;
    this.offset = this.position;
    this.#stop();
    this.dispatchEvent(new Event("change"));
  }

  seek(seconds) {
    const at = Math.min(this.duration, Math.max(0, seconds));
    const go = this.playing;
    this.#stop();
    this.offset = at;
    if (go) this.#start();
    this.dispatchEvent(new Event("change"));
  }

  /** {start, end} in seconds, or null. */
  setLoop(loop) {
    if (loop?.start === this.loop?.start && loop?.end === this.loop?.end) return;
    const at = this.position;
    this.loop = loop;
    this.offset = at;
    this.#restart(at);
  }

  setLane(name, change) {
    Object.assign(this.lanes.get(name), change);
    this.#levels();
    this.dispatchEvent(new Event("lanes"));
  }

  /** Whether a lane is heard, after all solos and mutes. */
  audible(name) {
    const solos = [...this.lanes.values()].some((lane) => lane.solo);
    const lane = this.lanes.get(name);
    return solos ? lane.solo : !lane.mute;
  }

  #levels() {
    if (!this.context) return;
    for (const [name, node] of this.outputs) {
      const level = this.audible(name) ? this.lanes.get(name).gain : 0;
      node.gain.setTargetAtTime(level, this.context.currentTime, 0.008); // no clicks
    }
  }

  #buffer(wav) {
    const buffer = this.context.createBuffer(wav.channels.length, wav.length, wav.sampleRate);
    wav.channels.forEach((channel, c) => buffer.copyToChannel(channel, c));
    return buffer;
  }

  #restart(at = this.position) {
    if (!this.playing) return;
    this.#stop();
    this.offset = at;
    this.#start();
  }

  #start() {
    const begin = this.context.currentTime + LEAD;
    const routes = [["song", "song"], ["stem", "stem"], ["song", "mix"], ["stem", "mix"]];
    for (const [buffer, output] of routes) {
      if (!this.buffers[buffer]) continue;
      const source = this.context.createBufferSource();
      source.buffer = this.buffers[buffer];
      if (this.loop && this.offset < this.loop.end) {
        Object.assign(source, { loop: true, loopStart: this.loop.start, loopEnd: this.loop.end });
      }
      source.connect(this.outputs.get(output));
      source.start(begin, this.offset);
      this.sources.push(source);
    }
    this.sources[0].onended = () => this.#ended();
    this.startedAt = begin;
    this.playing = true;
  }

  #ended() {
    this.#stop();
    this.offset = 0;
    this.dispatchEvent(new Event("change"));
  }

  #stop() {
    for (const source of this.sources) { source.onended = null; source.stop(); source.disconnect(); }
    this.sources = [];
    this.playing = false;
  }
}
