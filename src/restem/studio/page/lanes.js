// Lanes: solo, mute and level beside what is drawn. Here those of sound: a waveform by wavesurfer.js,
// a spectrogram under it.

import WaveSurfer from "./vendor/wavesurfer.esm.js";

const nonce = document.querySelector('meta[name="csp-nonce"]').content;
export const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Fit a canvas to its box; its context, in CSS pixels, and the size of the box. */
export function fitted(canvas) {
  const ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

/** Name, solo, mute and level of one of the player's lanes, and an empty body. */
export class Lane {
  constructor(name, title, view, player) {
    Object.assign(this, { name, title, view, player });
    const nodes = document.getElementById("lane-template").content.cloneNode(true);
    this.head = nodes.querySelector(".lane-head");
    this.body = nodes.querySelector(".lane-body");
    this.canvas = nodes.querySelector(".picture");
    this.solo = nodes.querySelector(".solo");
    this.mute = nodes.querySelector(".mute");
    this.level = nodes.querySelector(".level");
    this.head.dataset.lane = name;
    this.setTitle(title);
    document.getElementById("overlay").before(nodes);
    this.solo.onclick = () => player.setLane(name, { solo: !player.lanes.get(name).solo });
    this.mute.onclick = () => player.setLane(name, { mute: !player.lanes.get(name).mute });
    this.level.oninput = () => {
      const db = Number(this.level.value);
      this.level.setAttribute("aria-valuetext", `${db} dB`);
      player.setLane(name, { gain: db <= -40 ? 0 : 10 ** (db / 20) });
    };
    this.level.ondblclick = () => { this.level.value = 0; this.level.oninput(); };
  }

  setTitle(title) {
    this.title = title;
    Object.assign(this.head.querySelector("h3"), { textContent: title, title });
    this.solo.setAttribute("aria-label", `S: solo ${title}`); // begins with what is written on it
    this.mute.setAttribute("aria-label", `M: mute ${title}`);
    this.level.setAttribute("aria-label", `Level of ${title} in dB`);
  }

  get hidden() { return this.head.hidden; }
  set hidden(yes) { this.head.hidden = this.body.hidden = yes; }

  /** Buttons as the player has it. */
  show() {
    const lane = this.player.lanes.get(this.name);
    if (!lane) return;
    this.solo.setAttribute("aria-pressed", lane.solo);
    this.mute.setAttribute("aria-pressed", lane.mute);
    this.body.classList.toggle("silent", !this.player.audible(this.name));
  }
}

export class SoundLane extends Lane {
  constructor(name, title, view, player) {
    super(name, title, view, player);
    Object.assign(this, { previews: new Map(), picture: null });
    this.wave = WaveSurfer.create({
      container: this.body.querySelector(".wave"), height: 68, cspNonce: nonce, interact: false,
      cursorWidth: 0, hideScrollbar: true, autoScroll: false, maxPeak: 1, ...this.colours(),
    });
    this.wave.on("error", () => {}); // nothing is loaded by address
    this.show();
  }

  colours() {
    const colour = css(`--${this.name}`);
    return { waveColor: colour, progressColor: colour };
  }

  recolour() { this.wave.setOptions(this.colours()); }

  /** What the lane shows: an outline's bytes and a picture's, or nothing. */
  async load(outline, png) {
    this.previews.clear();
    this.picture = png ? await createImageBitmap(new Blob([png], { type: "image/png" })) : null;
    if (outline) {
      const all = Float32Array.from(new Int16Array(outline), (value) => value / 32767);
      const half = all.length / 2;
      this.outline = [all.subarray(0, half), all.subarray(half)];
    } else {
      this.outline = null;
    }
    this.body.classList.toggle("without", !outline);
    if (!outline) { this.wave.empty(); this.layout(false); return; }
    try { await this.wave.load("", this.outline, this.view.seconds); } catch { /* superseded */ }
    this.layout(true);
  }

  /** The spectrogram of a window, in seconds, as it denoises. */
  async preview(png, [start, end]) {
    const bytes = Uint8Array.from(atob(png), (letter) => letter.charCodeAt(0));
    const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    this.previews.set(start, { image, start, end });
    this.draw();
  }

  layout(zoomed) {
    if (this.hidden) return;
    if (zoomed && this.outline) this.wave.zoom(this.view.pixelsPerSecond);
    this.wave.setScroll(this.view.left);
    this.draw();
  }

  draw() {
    const { context, width, height } = fitted(this.canvas);
    const { view } = this;
    const paint = (image, start, end) => {
      const from = view.x(start), to = view.x(end);
      if (to < 0 || from > width) return;
      context.drawImage(image, 0, 0, image.width, image.height, from, 0, to - from, height);
    };
    if (this.previews.size) {
      for (const { image, start, end } of this.previews.values()) paint(image, start, end);
    } else if (this.picture) paint(this.picture, 0, view.seconds);
  }
}
