// The part of the song that is seen: zoom and scroll, shared by all lanes, the ruler and the overlay.

export class View extends EventTarget {
  constructor(scrollbar, spacer) {
    super();
    Object.assign(this, { scrollbar, spacer, seconds: 1, width: 1, zoom: 1 });
    scrollbar.addEventListener("scroll", () => this.#changed(false));
  }

  get pixelsPerSecond() { return (this.width * this.zoom) / this.seconds; }
  get left() { return this.scrollbar.scrollLeft; }
  x(seconds) { return seconds * this.pixelsPerSecond - this.left; }
  time(x) { return Math.min(this.seconds, Math.max(0, (x + this.left) / this.pixelsPerSecond)); }

  setSong(seconds) {
    Object.assign(this, { seconds, zoom: 1 });
    this.scrollbar.scrollLeft = 0;
    this.#changed(true);
  }

  setWidth(width) {
    if (width === this.width) return;
    this.width = Math.max(1, width);
    this.#changed(true);
  }

  /** Zoom so that `centre` (seconds) stays where it is. */
  setZoom(zoom, centre = this.time(this.width / 2)) {
    const x = this.x(centre);
    const most = Math.max(1, (400 * this.seconds) / this.width); // 400 pixels a second
    this.zoom = Math.min(most, Math.max(1, zoom));
    this.#changed(true);
    this.scrollbar.scrollLeft = centre * this.pixelsPerSecond - x;
  }

  scrollTo(left) { this.scrollbar.scrollLeft = left; }

  /** Turn the page when the play-head leaves it. */
  follow(seconds) {
    const x = this.x(seconds);
    if (x < 0 || x > this.width) this.scrollTo(seconds * this.pixelsPerSecond - this.width * 0.1);
  }

  #changed(zoomed) {
    if (zoomed) this.spacer.style.width = `${Math.round(this.width * this.zoom)}px`;
    this.dispatchEvent(new CustomEvent("change", { detail: { zoomed } }));
  }
}
