// The page: puts song, player, lanes, beats, sentence and takes together.

import * as api from "./api.js";
import { Beats } from "./beats.js";
import { listenForKeys } from "./keys.js";
import { Lane } from "./lanes.js";
import { Overlay } from "./overlay.js";
import { Player } from "./player.js";
import { Sentence } from "./sentence.js";
import { Takes } from "./takes.js";
import { View } from "./view.js";
import { parseWav } from "./wav.js";

const $ = (id) => document.getElementById(id);
const player = new Player();
const view = new View($("scrollbar"), $("scroll-width"));
const titles = { song: "Song", stem: "Drums", mix: "Mix" };
const lanes = Object.entries(titles).map(([name, title]) => new Lane(name, title, view, player));
const overlay = new Overlay(view, player);
const takes = new Takes(report);
const beats = new Beats(player, report);
let song = null, current = null, lane = 0, waiting = null;

function report(error) {
  $("alert").textContent = error.message;
  $("alert").hidden = false;
}
const calm = () => { $("alert").hidden = true; };
const say = (words) => { $("live").textContent = words; };
const time = (s) => `${Math.floor(s / 60)}:${(s % 60).toFixed(1).padStart(4, "0")}`;

// ---- which song, which take: in the address, so that a reload finds them ----

function remember() {
  const words = new URLSearchParams();
  if (song) words.set("song", song.id);
  if (takes.chosen) { words.set("job", takes.chosen.job); words.set("take", takes.chosen.take); }
  history.replaceState(null, "", words.size ? `#${words}` : location.pathname);
}

async function open() {
  const words = new URLSearchParams(location.hash.slice(1));
  if (words.get("song")) {
    try { await openSong(words.get("song"), { job: words.get("job"), take: Number(words.get("take")) }); return; }
    catch (error) { report(error); }
  }
  await welcome();
}

async function welcome() {
  player.pause();
  song = null;
  remember();
  for (const id of ["workspace", "other-song", "uploading"]) $(id).hidden = true;
  $("welcome").hidden = false;
  $("song-name").textContent = "";
  const songs = (await api.getJson("/api/songs")).filter((one) => one.state === "ready");
  $("recent").hidden = !songs.length;
  $("recent-songs").replaceChildren(...songs.map(recentSong));
}

function recentSong(one) {
  const item = document.createElement("li"), go = document.createElement("button");
  const name = document.createElement("span"), long = document.createElement("small");
  name.textContent = one.name;
  long.textContent = time(one.seconds);
  go.append(name, long);
  go.className = "open";
  go.type = "button";
  go.onclick = () => openSong(one.id).catch(report);
  const drop = document.createElement("button");
  drop.textContent = "Delete";
  drop.type = "button";
  drop.setAttribute("aria-label", `Delete ${one.name}`);
  drop.onclick = async () => {
    if (!confirm(`Delete ${one.name} and everything that was made for it?`)) return;
    try { await api.remove(`/api/songs/${one.id}`); item.remove(); } catch (error) { report(error); }
  };
  item.append(go, drop);
  return item;
}

// ---- a new song ----

async function take(file) {
  calm();
  $("uploading").hidden = false;
  $("upload-words").textContent = `Sending ${file.name}`;
  try {
    const sent = await api.upload(file, (fraction) => { $("upload-bar").value = fraction; });
    $("upload-bar").removeAttribute("value");
    $("upload-words").textContent = "Decoding, and listening for the beat";
    say("Decoding the song");
    await openSong(sent.id);
  } catch (error) { report(error); }
  $("uploading").hidden = true;
}

/** Wait until a song is prepared: told by an event, and asked now and then in case one is lost. */
async function prepared(id) {
  for (;;) {
    const found = await api.getJson(`/api/songs/${id}`);
    if (found.state === "failed") throw new Error(found.error);
    if (found.state === "ready") return found;
    await new Promise((go) => { waiting = go; setTimeout(go, 1000); });
  }
}

async function openSong(id, chosen) {
  const ready = await prepared(id);
  const base = `/api/songs/${id}`;
  const [audio, outline, png, jobs] = await Promise.all([
    api.getBytes(`${base}/audio`), api.getBytes(`${base}/outline`),
    api.getBytes(`${base}/spectrogram`), api.getJson(`/api/jobs?song=${id}`),
  ]);
  calm();
  song = ready;
  player.setSong(parseWav(audio));
  $("welcome").hidden = true;
  $("workspace").hidden = $("other-song").hidden = false;
  $("song-name").textContent = song.name;
  document.title = `${song.name} – restem studio`;
  view.setWidth($("overlay").clientWidth);
  view.setSong(song.seconds);
  overlay.grid = song.grid;
  overlay.setRegion(null);
  beats.setSong(song);
  await Promise.all([lanes[0].load(outline, png), lanes[1].load(), lanes[2].load()]);
  takes.setJobs(jobs, chosen);
  follow(jobs.find((job) => job.state === "running") ?? jobs.find((job) => job.state === "queued"));
  remember();
}

// ---- making ----

$("ask").onsubmit = async (event) => {
  event.preventDefault();
  calm();
  const number = (id) => ($(id).value === "" ? null : Number($(id).value));
  const region = $("region-only").checked ? overlay.region : null;
  const body = {
    song: song.id, instruction: $("sentence").value, stem: $("stem").value, seed: number("seed") ?? 0,
    takes: Number($("takes").value), steps: number("steps"), guidance: number("guidance"), region,
    base: region && takes.chosen ? takes.chosen : null,
  };
  $("make").disabled = true;
  try { const job = await api.post("/api/jobs", body); takes.update(job); follow(job); say("Started"); }
  catch (error) { report(error); }
  $("make").disabled = false;
};

$("cancel").onclick = async () => {
  try { news(await api.post(`/api/jobs/${current.id}/cancel`)); } catch (error) { report(error); }
};

function follow(job) {
  current = job ?? null;
  $("running").hidden = !current;
  if (!current) return;
  $("bar").value = current.fraction;
  const left = current.seconds_left === null ? "" : `, ${Math.ceil(current.seconds_left)} s left`;
  $("bar-words").textContent = `${Math.round(100 * current.fraction)} % ${current.words}${left}`;
}

/** News of any job of any tab. */
function news(job) {
  if (job.request.song !== song?.id) return;
  takes.update(job);
  const over = ["done", "failed", "cancelled"].includes(job.state);
  if (!over && (!current || current.id === job.id || job.state === "running")) follow(job);
  if (over && current?.id === job.id) {
    say({ done: "Finished", failed: "Failed", cancelled: "Cancelled" }[job.state]);
    if (job.error) report(new Error(job.error));
    follow(takes.jobs.find((one) => one.state === "running") ?? takes.jobs.find((one) => one.state === "queued"));
    if (lanes[1].previews.size) { lanes[1].previews.clear(); lanes[1].draw(); }
  }
}

api.listen({
  job: news,
  song: () => waiting?.(),
  preview: (data) => { // of a first take; later ones must not cover what one listens to
    if (data.job === current?.id && data.take === 1) lanes[1].preview(data.png, data.window);
  },
}).addEventListener("open", async () => { // after a restart: what was missed meanwhile
  if (song) for (const job of (await api.getJson(`/api/jobs?song=${song.id}`)).reverse()) news(job);
});

// ---- takes ----

takes.addEventListener("choose", async () => {
  remember();
  const { chosen } = takes;
  if (!chosen) {
    player.setStem(null);
    for (const one of lanes.slice(1)) one.load();
    return;
  }
  const base = `/api/jobs/${chosen.job}/takes/${chosen.take}`;
  try {
    const files = ["stem-outline", "stem-spectrogram", "mix-outline", "mix-spectrogram"];
    const sound = player.setStem(base, async () => parseWav(await api.getBytes(`${base}/stem`)));
    const [stem, stemPicture, mix, mixPicture] = await Promise.all(files.map((file) => api.getBytes(`${base}/${file}`)));
    if (takes.chosen !== chosen) return;
    await Promise.all([lanes[1].load(stem, stemPicture), lanes[2].load(mix, mixPicture), sound]);
    $("take-list").dataset.loaded = base;
  } catch (error) { report(error); }
});

takes.addEventListener("settings", ({ detail }) => {
  const values = { sentence: detail.instruction, seed: detail.seed, takes: detail.takes,
    steps: detail.steps ?? "", guidance: detail.guidance ?? "" };
  for (const [id, value] of Object.entries(values)) $(id).value = value;
  sentence.mark();
  if (detail.region) { overlay.setRegion({ ...detail.region }); $("region-only").checked = true; }
  else $("region-only").checked = false;
  $("sentence").focus();
});
takes.addEventListener("deleted", ({ detail }) => { if (current?.id === detail) follow(null); remember(); });

// ---- playing, looking ----

$("play").onclick = () => (player.playing ? player.pause() : player.play());
$("to-start").onclick = () => { player.seek(0); view.scrollTo(0); };
$("loop").onclick = () => {
  $("loop").setAttribute("aria-pressed", $("loop").getAttribute("aria-pressed") !== "true");
  setLoop();
};
function setLoop() {
  const on = $("loop").getAttribute("aria-pressed") === "true";
  player.setLoop(on ? overlay.region ?? { start: 0, end: player.duration } : null);
}
$("zoom-in").onclick = () => view.setZoom(view.zoom * 1.6, player.position);
$("zoom-out").onclick = () => view.setZoom(view.zoom / 1.6, player.position);
$("zoom-fit").onclick = () => view.setZoom(1);
$("show-pictures").onchange = () => { $("lanes").classList.toggle("no-pictures", !$("show-pictures").checked); layout(true); };

player.addEventListener("lanes", () => lanes.forEach((one) => one.show()));
player.addEventListener("change", () => {
  $("play").setAttribute("aria-label", player.playing ? "Pause" : "Play");
  $("play").classList.toggle("playing", player.playing);
  if (player.playing) requestAnimationFrame(tick);
  head();
});
function tick() {
  if (player.playing) { view.follow(player.position); requestAnimationFrame(tick); }
  head();
}
function head() {
  const at = player.position;
  $("clock").textContent = time(at);
  $("bar-clock").textContent = song ? barOf(at) : "";
  overlay.draw();
}
function barOf(at) {
  const { times, positions } = overlay.grid;
  let bar = 0, beat = 0;
  for (let i = 0; i < times.length && times[i] <= at + 0.001; i++) { if (positions[i] === 1) bar++; beat = positions[i]; }
  return beat ? `bar ${bar}, beat ${beat}` : "";
}
function layout(zoomed) { for (const one of lanes) one.layout(zoomed); overlay.draw(); }
view.addEventListener("change", ({ detail }) => layout(detail.zoomed));
new ResizeObserver(() => { if (song) { view.setWidth($("overlay").clientWidth); overlay.draw(); } }).observe($("lanes"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  overlay.recolour();
  for (const one of lanes) one.recolour();
  layout(false);
});

// ---- region ----

overlay.addEventListener("region", () => {
  const { region } = overlay;
  $("region-start").value = region ? region.start.toFixed(2) : "";
  $("region-end").value = region ? region.end.toFixed(2) : "";
  $("region-only").disabled = !region;
  if (!region) $("region-only").checked = false;
  regionWords();
  setLoop();
});
function regionWords() {
  const { region } = overlay;
  let words = "Drag over the waveforms to select a part.";
  if (region) words = `${(region.end - region.start).toFixed(2)} s selected.`;
  if ($("region-only").checked) {
    words += takes.chosen ? ` Outside it take ${takes.chosen.take} stays as it is.` : " Outside it there will be silence.";
  }
  $("region-words").textContent = words;
}
$("region-only").onchange = regionWords;
takes.addEventListener("choose", regionWords);
const edge = (id, other) => () => ($(id).value === "" ? other : Number($(id).value));
const start = edge("region-start", 0);
function regionFromFields() {
  const end = edge("region-end", song.seconds)();
  overlay.setRegion({ start: Math.min(Math.max(0, start()), song.seconds), end: Math.min(end, song.seconds) });
}
$("region-start").onchange = $("region-end").onchange = regionFromFields;
$("region-from-here").onclick = () => {
  const at = player.position, end = overlay.region?.end ?? song.seconds;
  overlay.setRegion({ start: at, end: end > at + 0.05 ? end : song.seconds });
};
$("region-to-here").onclick = () => {
  const at = player.position, from = overlay.region?.start ?? 0;
  overlay.setRegion({ start: from < at - 0.05 ? from : 0, end: at });
};
$("region-clear").onclick = () => overlay.setRegion(null);
$("region-bars").onclick = () => {
  if (!overlay.region) return;
  const { times, positions } = overlay.grid;
  const marks = [0, ...times.filter((t, i) => positions[i] === 1 && t > 0 && t < song.seconds), song.seconds];
  const near = (at) => marks.reduce((best, mark) => (Math.abs(mark - at) < Math.abs(best - at) ? mark : best));
  const from = near(overlay.region.start);
  let to = near(overlay.region.end);
  if (to <= from) to = marks.find((mark) => mark > from) ?? song.seconds;
  overlay.setRegion({ start: from, end: to });
};
beats.addEventListener("change", () => { song = beats.song; overlay.grid = song.grid; head(); });

// ---- keys, files, start ----

function chooseLane(number) {
  lane = (number + lanes.length) % lanes.length;
  lanes.forEach((one, i) => one.head.classList.toggle("chosen", i === lane));
  say(`${lanes[lane].title} lane`);
}
lanes.forEach((one, i) => one.head.addEventListener("focusin", () => chooseLane(i)));
function step(event) {
  const { bpm, beats_per_bar: bar } = overlay.grid;
  const seconds = (60 / bpm) * (event.shiftKey ? bar : 1);
  player.seek(player.position + (event.key === "ArrowLeft" ? -seconds : seconds));
  view.follow(player.position);
}
const withSong = (acts) => Object.fromEntries(Object.entries(acts).map(([key, act]) => [key, (...words) => song && act(...words)]));
listenForKeys(withSong({
  " ": () => $("play").click(), ArrowLeft: step, ArrowRight: step,
  ArrowUp: () => chooseLane(lane - 1), ArrowDown: () => chooseLane(lane + 1),
  s: () => lanes[lane].solo.click(), m: () => lanes[lane].mute.click(), take: (n) => takes.number(n),
  b: () => takes.back(), l: () => $("loop").click(), i: () => $("region-from-here").click(),
  o: () => $("region-to-here").click(), t: () => beats.tap(), "+": () => $("zoom-in").click(),
  "=": () => $("zoom-in").click(), "-": () => $("zoom-out").click(), Home: () => $("to-start").click(),
}));
$("dice").onclick = () => { $("seed").value = Math.floor(Math.random() * 1e6); };
$("other-song").onclick = () => welcome().catch(report);
$("file").onchange = () => { if ($("file").files[0]) take($("file").files[0]); $("file").value = ""; };
for (const kind of ["dragover", "dragleave", "drop"]) {
  addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer?.files[0]) take(event.dataTransfer.files[0]);
  });
}

const status = await api.getJson("/api/status").catch(report);
const sentence = new Sentence(status.vocabulary);
$("limits").textContent = `WAV, FLAC, OGG, Opus, MP3, AIFF (m4a with ffmpeg), up to ${Math.round(status.limits.song_seconds / 60)} minutes and ${status.limits.upload_bytes >> 20} MB.`;
for (const stem of status.stems) $("stem").append(new Option(stem, stem));
for (let n = 1; n <= 9; n++) $("takes").append(new Option(n, n));
lanes[0].head.classList.add("chosen");
await open();
document.body.dataset.ready = "yes";
performance.mark("ready");
