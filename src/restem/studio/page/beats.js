// The beat panel: what was heard, and its correction by half, double, shift, tempo and taps.

import { put } from "./api.js";

const $ = (id) => document.getElementById(id);
const MOST_PAUSE = 3000; // milliseconds, after which taps begin anew
const MOST_DOUBLINGS = 2; // and halvings

export class Beats extends EventTarget {
  constructor(player, report) {
    super();
    Object.assign(this, { player, report, line: null, taps: [] });
    $("beat-half").onclick = () => this.#change((now) => ({ doublings: Math.max(-MOST_DOUBLINGS, now.doublings - 1) }));
    $("beat-double").onclick = () => this.#change((now) => ({ doublings: Math.min(MOST_DOUBLINGS, now.doublings + 1) }));
    $("beat-reset").onclick = () => this.#send(() => ({}));
    for (const button of document.querySelectorAll("[data-shift]")) {
      button.onclick = () => this.#change((now) => ({ shift: now.shift + Number(button.dataset.shift) }));
    }
    $("bpm-set").onclick = () => this.#tempo();
    $("bpm").onkeydown = (event) => { if (event.key === "Enter") this.#tempo(); };
    $("tap").onclick = () => this.tap();
    $("tap-use").onclick = () => this.#useTaps();
  }

  get song() { return this.line?.song; }

  setSong(song) {
    this.line = { song, sent: Promise.resolve() };
    this.#forget();
    this.show();
  }

  show() {
    const { grid, correction, tracked } = this.song;
    const sure = correction.bpm ? "as you set it" : `${Math.round(100 * tracked.confidence)} % sure`;
    $("beat-words").textContent =
      `${grid.bpm.toFixed(1)} BPM, ${grid.beats_per_bar} beats in a bar, ${sure}.`;
    $("bpm").value = grid.bpm.toFixed(2);
    $("beat-half").disabled = correction.doublings <= -MOST_DOUBLINGS;
    $("beat-double").disabled = correction.doublings >= MOST_DOUBLINGS;
  }

  /** One tap: its place in the song if that plays, else only its time. */
  tap() {
    const now = performance.now();
    if (this.taps.length && now - this.taps.at(-1).clock > MOST_PAUSE) this.#forget();
    this.taps.push({ clock: now, place: this.player.playing ? this.player.position : null });
    const fit = this.#fit();
    $("tap-use").disabled = !fit;
    $("tap-words").textContent = fit
      ? `${this.taps.length} taps: ${fit.bpm.toFixed(1)} BPM.` : `${this.taps.length} of 4 taps.`;
  }

  /** The straight line through the taps: its slope is the beat, its start the first downbeat. */
  #fit() {
    const n = this.taps.length;
    if (n < 4) return null;
    const placed = this.taps.every((tap) => tap.place !== null);
    const y = this.taps.map((tap) => (placed ? tap.place : tap.clock / 1000));
    const mx = (n - 1) / 2, my = y.reduce((a, b) => a + b) / n;
    const slope = y.reduce((sum, value, i) => sum + (i - mx) * (value - my), 0)
      / y.reduce((sum, _, i) => sum + (i - mx) ** 2, 0);
    const bpm = 60 / slope;
    if (!(bpm >= 20 && bpm <= 400)) return null;
    return { bpm, first: placed ? Math.max(0, my - slope * mx) : null };
  }

  #useTaps() {
    const fit = this.#fit();
    if (fit) this.#send(() => ({ bpm: fit.bpm, first_downbeat: fit.first }));
    this.#forget();
  }

  #forget() {
    this.taps = [];
    $("tap-use").disabled = true;
    $("tap-words").textContent = "Play, and tap on every beat, the first on a “one”.";
  }

  #tempo() {
    if (!$("bpm").reportValidity() || !$("bpm").value) return;
    const bpm = Number($("bpm").value);
    this.#send(() => ({ bpm }));
  }

  #change(change) { this.#send((now) => ({ ...now, ...change(now) })); }

  /** Send a correction, made from the one of now: the answer to what was sent before it. */
  #send(make) {
    const { line } = this; // of the song that is open, whichever is when the answer comes
    line.sent = line.sent.then(async () => {
      try {
        line.song = await put(`/api/songs/${line.song.id}/beats`, make(line.song.correction));
        if (this.song.id !== line.song.id) return;
        this.line.song = line.song; // it may have been opened again meanwhile
        this.show();
        this.dispatchEvent(new Event("change"));
      } catch (error) { this.report(error); }
    });
  }
}
