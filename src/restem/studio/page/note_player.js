// Tracks of notes in, sound out: a sampled note each, asked for a little ahead of its time.

import { Bank } from "./bank.js";
import { Transport } from "./transport.js";

const AHEAD = 1.3; // seconds that are asked for ahead; timers of hidden pages run once a second
const EVERY = 0.15; // seconds between two looks ahead
const RELEASE = 0.12, LEAST = 0.03; // seconds
const VOLUME = 1.6; // of a note struck with force 127

export class NotePlayer extends Transport {
  constructor() {
    super();
    Object.assign(this, { tracks: new Map(), voices: new Set(), timer: 0 });
  }

  get ready() { return this.tracks.size > 0; }

  /** A new song: lane names with tracks {channel, kind, program, notes}, and its length in seconds. */
  async setSong(tracks, duration) {
    this.pause();
    if (!this.context) {
      this.context = new AudioContext();
      this.bank = new Bank(this.context);
      this.limiter = this.context.createDynamicsCompressor(); // many tracks must not clip
      this.limiter.threshold.value = -9;
      this.limiter.ratio.value = 12;
      this.limiter.attack.value = 0.002;
      this.limiter.connect(this.context.destination);
    }
    await this.bank.load(Object.values(tracks));
    this.lanes.clear();
    this.tracks = new Map(Object.entries(tracks));
    this.setLanes([...this.tracks.keys()], this.limiter);
    Object.assign(this, { duration, offset: 0 });
  }

  /** Other notes for one lane. */
  async setTrack(name, track) {
    this.wanted = track;
    await this.bank.load([track]);
    if (this.wanted !== track) return; // another take meanwhile
    this.tracks.set(name, track);
    this.restart();
  }

  sound(begin, at) {
    this.cursor = at; // song time up to which notes were asked for
    this.clock = begin; // the context's time of the cursor
    for (const [name, track] of this.tracks) { // what is held while we come in
      for (const note of track.notes) {
        if (note[0] >= at) break;
        if (note[1] > at + LEAST) this.#strike(name, track, [at, ...note.slice(1)], begin);
      }
    }
    this.#look();
    this.timer = setInterval(() => this.#look(), 1000 * EVERY);
  }

  silence() {
    clearInterval(this.timer);
    for (const source of this.voices) { source.onended = null; source.stop(); source.disconnect(); }
    this.voices.clear();
  }

  #look() {
    const horizon = this.context.currentTime + AHEAD;
    while (this.clock < horizon) {
      const looping = this.loop && this.cursor < this.loop.end;
      const end = looping ? this.loop.end : this.duration;
      const next = Math.min(end, this.cursor + horizon - this.clock);
      for (const [name, track] of this.tracks) this.#ask(name, track, next);
      this.clock += next - this.cursor;
      this.cursor = next;
      if (next < end) break;
      if (looping) { this.cursor = this.loop.start; continue; }
      if (this.context.currentTime >= this.clock) this.ended();
      break;
    }
  }

  /** All notes of a track from the cursor to `next`. */
  #ask(name, { notes, ...track }, next) {
    let low = 0, high = notes.length; // the first note from the cursor on
    while (low < high) { const middle = (low + high) >> 1; if (notes[middle][0] < this.cursor) low = middle + 1; else high = middle; }
    for (let i = low; i < notes.length && notes[i][0] < next; i++) {
      this.#strike(name, track, notes[i], this.clock + notes[i][0] - this.cursor);
    }
  }

  #strike(name, track, [start, end, pitch, velocity], when) {
    const tone = this.bank.tone(this.bank.voice(track), pitch);
    if (!tone) return;
    const source = new AudioBufferSourceNode(this.context, { buffer: tone.buffer, playbackRate: tone.rate });
    const level = VOLUME * (velocity / 127) ** 1.7;
    const gain = new GainNode(this.context, { gain: level });
    source.connect(gain).connect(this.outputs.get(name));
    if (tone.loop) {
      Object.assign(source, { loop: true, ...tone.loop });
      source.start(when, tone.offset);
    } else source.start(when, tone.offset, tone.seconds);
    if (!tone.drum) {
      const off = when + Math.max(LEAST, end - start);
      gain.gain.setValueAtTime(level, off);
      gain.gain.linearRampToValueAtTime(0, off + RELEASE);
      source.stop(off + RELEASE);
    }
    source.onended = () => { this.voices.delete(source); gain.disconnect(); };
    this.voices.add(source);
  }
}
