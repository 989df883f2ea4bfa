// One clock and many lanes: play, pause, seek, loop, solo, mute and level, whatever makes the sound.

const LEAD = 0.06; // seconds from asking to sounding, so that all sources start in time

/** Who extends it has `ready`, `sound(begin, at)` (from context time, song time) and `silence()`. */
export class Transport extends EventTarget {
  constructor() {
    super();
    Object.assign(this, { lanes: new Map(), outputs: new Map(), loop: null, playing: false, starting: null, offset: 0, duration: 0 });
  }

  /** Lanes with the names given, each with a level of its own, in the context of now. */
  setLanes(names, destination = this.context.destination) {
    for (const node of this.outputs.values()) node.disconnect();
    const before = this.lanes;
    this.lanes = new Map(names.map((name) => [name, before.get(name) ?? { gain: 1, mute: false, solo: false }]));
    this.outputs = new Map(names.map((name) => {
      const node = this.context.createGain();
      node.connect(destination);
      return [name, node];
    }));
    this.levels();
  }

  get position() {
    if (!this.playing) return this.offset;
    const at = this.offset + Math.max(0, this.context.currentTime - this.startedAt);
    if (!this.loop || at < this.loop.end || this.offset >= this.loop.end) return Math.min(at, this.duration);
    const length = this.loop.end - this.loop.start;
    return this.loop.start + ((at - this.loop.start) % length);
  }

  async play() {
    if (!this.ready || this.playing || this.starting) return;
    const context = this.starting = this.context; // one start at a time; pause() takes it back
    let go = false;
    try { await context.resume(); } finally {
      go = this.starting === context;
      if (go) this.starting = null;
    }
    if (!go) return;
    if (this.offset >= this.duration - 0.01) this.offset = 0;
    this.#start();
    this.dispatchEvent(new Event("change"));
  }

  pause() {
    this.starting = null;
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
    this.restart(at);
  }

  setLane(name, change) {
    Object.assign(this.lanes.get(name), change);
    this.levels();
    this.dispatchEvent(new Event("lanes"));
  }

  /** Whether a lane is heard, after all solos and mutes. */
  audible(name) {
    const solos = [...this.lanes.values()].some((lane) => lane.solo);
    const lane = this.lanes.get(name);
    return solos ? lane.solo : !lane.mute;
  }

  levels() {
    for (const [name, node] of this.outputs) {
      const level = this.audible(name) ? this.lanes.get(name).gain : 0;
      node.gain.setTargetAtTime(level, this.context.currentTime, 0.008); // no clicks
    }
  }

  restart(at = this.position) {
    if (!this.playing) return;
    this.#stop();
    this.offset = at;
    this.#start();
  }

  /** The song is over. */
  ended() {
    this.#stop();
    this.offset = 0;
    this.dispatchEvent(new Event("change"));
  }

  #start() {
    this.startedAt = this.context.currentTime + LEAD;
    this.sound(this.startedAt, this.offset);
    this.playing = true;
  }

  #stop() {
    this.silence();
    this.playing = false;
  }
}
