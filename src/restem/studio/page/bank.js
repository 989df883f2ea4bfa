// The instruments of General MIDI: programs and pitches in, sampled notes out, fetched when needed.

import { getBytes, getJson } from "./api.js";

const HERE = "/page/bank";
const DRUM_CHANNEL = 9;

export class Bank {
  constructor(context) { Object.assign(this, { context, buffers: new Map(), index: null }); }

  /** The name of what plays a track, or null for sound effects, which are not there. */
  voice({ channel, kind, program }) {
    if (channel === DRUM_CHANNEL || kind === "drums") return "drums";
    return this.index.programs[program ?? 0];
  }

  /** Fetch and decode what some tracks need. */
  async load(tracks) {
    this.index ??= await getJson(`${HERE}/bank.json`);
    const names = new Set(tracks.map((track) => this.voice(track)));
    await Promise.all([...names].filter((name) => name && !this.buffers.has(name)).map(async (name) => {
      this.buffers.set(name, await this.context.decodeAudioData(await getBytes(`${HERE}/${name}.ogg`)));
    }));
  }

  /** The sample nearest to a pitch: {buffer, offset, seconds, rate, loop, drum}, or null. */
  tone(name, pitch) {
    const buffer = this.buffers.get(name);
    if (!buffer) return null;
    const drum = name === "drums";
    const row = this.index.sampled[name].reduce((a, b) => (Math.abs(b[0] - pitch) < Math.abs(a[0] - pitch) ? b : a));
    if (drum && row[0] !== pitch) return null; // no kit has it
    const [note, offset, seconds, start, end] = row;
    const loop = start === undefined ? null : { loopStart: offset + start, loopEnd: offset + end };
    return { buffer, offset, seconds, loop, drum, rate: 2 ** ((pitch - note) / 12) };
  }
}
