// The takes of the chosen job, what to know about them, their downloads; and all jobs of the song.

import { remove } from "./api.js";

const $ = (id) => document.getElementById(id);
const FILES = { stem: "Stem", mix: "Mix", midi: "MIDI", tempo: "Tempo map", record: "Settings", picture: "Picture", pack: "All as zip" };
const ONLY = { stem: false, mix: false, tempo: false }; // of songs of notes, or of sound

function element(name, text, attributes = {}) {
  const node = document.createElement(name);
  node.textContent = text;
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

/** What gives the focus back to the button that has it now, after the lists are made anew. */
function focused() {
  for (const box of [$("take-list"), $("history")]) {
    if (!box.contains(document.activeElement)) continue;
    const buttons = [...box.querySelectorAll("button")];
    const fromEnd = buttons.length - buttons.indexOf(document.activeElement);
    return () => { const now = box.querySelectorAll("button"); now[now.length - fromEnd]?.focus(); };
  }
  return () => {};
}

export class Takes extends EventTarget {
  constructor(report) {
    super();
    Object.assign(this, { report, jobs: [], chosen: null, last: null });
    $("ab").onclick = () => this.back();
  }

  get job() { return this.jobs.find((job) => job.id === this.chosen?.job); }
  get take() { return this.job?.takes[this.chosen.take - 1]; }

  setJobs(jobs, chosen) {
    this.jobs = jobs;
    this.last = null;
    this.chosen = null;
    const job = jobs.find((one) => one.id === chosen?.job) ?? jobs.find((one) => one.takes.length);
    if (job?.takes.length) this.choose(job.id, job.takes[chosen?.take - 1] ? chosen.take : 1);
    else { this.show(); this.dispatchEvent(new Event("choose")); }
  }

  /** News of a job; the first finished take of a new one is chosen at once. */
  update(job) {
    const at = this.jobs.findIndex((one) => one.id === job.id);
    const before = at < 0 ? 0 : this.jobs[at].takes.length, state = this.jobs[at]?.state;
    if (at < 0) this.jobs.unshift(job); else this.jobs[at] = job;
    if (job.takes.length && !before) this.choose(job.id, 1);
    else if (at < 0 || job.takes.length !== before || job.state !== state) this.show();
  }

  choose(job, take) {
    if (this.chosen?.job === job && this.chosen.take === take) return;
    this.last = this.chosen;
    this.chosen = { job, take };
    this.show();
    this.dispatchEvent(new Event("choose"));
  }

  /** Key 1 to 9. */
  number(take) { if (this.job?.takes[take - 1]) this.choose(this.job.id, take); }

  back() {
    if (this.last && this.jobs.some((job) => job.id === this.last.job)) this.choose(this.last.job, this.last.take);
  }

  show() {
    const focus = focused();
    this.#showTakes();
    this.#showHistory();
    focus();
  }

  #showTakes() {
    const { job, take } = this;
    $("no-takes").hidden = Boolean(take);
    $("take-box").hidden = !take;
    $("ab").disabled = !this.last;
    if (!take) return;
    $("take-list").replaceChildren(...job.takes.map((one) => this.#radio(job, one)));
    const db = take.stem_level_db, ofNotes = take.notes !== null;
    let level = db === null ? "silent" : `${Math.abs(db).toFixed(1)} dB ${db < 0 ? "below" : "above"} the song`;
    if (ofNotes) level = `${take.notes} notes`;
    const region = job.request.region;
    const where = region ? `, ${region.start.toFixed(2)}–${region.end.toFixed(2)} s` : "";
    $("take-words").textContent = `${job.request.stem}, “${job.request.instruction}”, seed ${take.seed}${where}, ${level}.`;
    $("take-notes").replaceChildren(...take.notices.map((notice) => element("li", notice)));
    const files = Object.entries(FILES).filter(([what]) => ONLY[what] === undefined || ONLY[what] === ofNotes);
    const links = files.map(([what, title]) => element("a", title, {
      href: `/api/jobs/${job.id}/takes/${take.number}/${what}`, download: "", class: "button",
    }));
    $("downloads").replaceChildren(...links);
  }

  #radio(job, take) {
    const checked = take.number === this.chosen.take;
    const button = element("button", String(take.number), {
      type: "button", role: "radio", "aria-checked": checked, tabindex: checked ? 0 : -1,
      "aria-label": `${take.number}, seed ${take.seed}`,
    });
    button.onclick = () => this.choose(job.id, take.number);
    button.onkeydown = (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopPropagation();
      this.number(take.number + step);
      $("take-list").querySelector('[aria-checked="true"]').focus();
    };
    return button;
  }

  #showHistory() {
    $("no-history").hidden = this.jobs.length > 0;
    $("history").replaceChildren(...this.jobs.map((job) => this.#entry(job)));
  }

  #entry(job) {
    const { request } = job;
    const entry = element("li", "");
    entry.classList.toggle("current", job.id === this.chosen?.job);
    const bits = [{ done: "", queued: "waiting", running: "running" }[job.state] ?? job.state];
    bits.push(`${job.takes.length} of ${request.takes} take${request.takes > 1 ? "s" : ""}`, `seed ${request.seed}`);
    if (request.region) bits.push(`${request.region.start.toFixed(1)}–${request.region.end.toFixed(1)} s`);
    bits.push(new Date(job.created * 1000).toLocaleString([], { dateStyle: "short", timeStyle: "short" }));
    bits.unshift(request.stem);
    for (const what of ["density", "dynamics", "tight"]) if (request[what]) bits.push(`${what} ${request[what]}`);
    for (const what of ["steps", "guidance"]) if (request[what] !== null) bits.push(`${what} ${request[what]}`);
    if (request.base) bits.push(`from take ${request.base.take}`);
    entry.append(element("strong", request.instruction), element("span", bits.filter(Boolean).join(" · "), { class: "faint" }));
    if (job.error) entry.append(element("span", job.error, { class: "faint" }));
    const buttons = element("div", "", { class: "buttons" });
    const add = (title, act) => {
      const button = element("button", title, { type: "button", "aria-label": `${title}: ${request.instruction}` });
      button.onclick = act;
      buttons.append(button);
    };
    if (job.takes.length) add("Listen", () => this.choose(job.id, 1));
    add("Use settings", () => this.dispatchEvent(new CustomEvent("settings", { detail: request })));
    add("Delete", () => this.#delete(job));
    entry.append(buttons);
    return entry;
  }

  async #delete(job) {
    if (job.takes.length && !confirm("Delete these takes?")) return;
    try { await remove(`/api/jobs/${job.id}`); } catch (error) { this.report(error); return; }
    this.jobs = this.jobs.filter((one) => one.id !== job.id);
    if (this.last?.job === job.id) this.last = null;
    if (this.chosen?.job === job.id) this.setJobs(this.jobs, null);
    else this.show();
    this.dispatchEvent(new CustomEvent("deleted", { detail: job.id }));
  }
}
