// The page: puts song, player, lanes, beats, sentence and takes together.

import * as api from "./api.js";
import { Beats } from "./beats.js";
import { listenForKeys } from "./keys.js";
import { NotesDeck } from "./notes_deck.js";
import { Overlay } from "./overlay.js";
import { RegionPanel } from "./region.js";
import { Sentence } from "./sentence.js";
import { SoundDeck } from "./sound_deck.js";
import { Takes } from "./takes.js";
import { View } from "./view.js";

const $ = (id) => document.getElementById(id);
const view = new View($("scrollbar"), $("scroll-width"));
const decks = { audio: new SoundDeck(view), notes: new NotesDeck(view) };
let deck = decks.audio, { player } = deck; // those of the song that is open
const overlay = new Overlay(view, player);
const takes = new Takes(report);
const beats = new Beats(player, report);
const region = new RegionPanel(overlay, () => song, () => takes.chosen?.take);
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
    $("upload-words").textContent = "Reading it, and listening for the beat";
    say("Reading the song");
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
  const [show, jobs] = await Promise.all([decks[ready.kind].fetch(ready), api.getJson(`/api/jobs?song=${id}`)]);
  calm();
  setDeck(ready.kind);
  song = ready;
  choices();
  $("welcome").hidden = true;
  $("workspace").hidden = $("other-song").hidden = false;
  $("song-name").textContent = song.name;
  document.title = `${song.name} – restem studio`;
  view.setWidth($("overlay").clientWidth);
  view.setSong(song.seconds);
  overlay.grid = song.grid;
  overlay.setRegion(null);
  beats.setSong(song);
  await show();
  chooseLane(0);
  takes.setJobs(jobs, chosen);
  follow(jobs.find((job) => job.state === "running") ?? jobs.find((job) => job.state === "queued"));
  remember();
}

/** Lanes and player for a song of sound or of notes. */
function setDeck(kind) {
  if (deck !== decks[kind]) deck.close();
  deck = decks[kind];
  overlay.player = beats.player = player = deck.player;
  deck.open();
  document.body.dataset.kind = kind;
}

/** What can be made for this song. */
function choices() {
  const notes = song.kind === "notes";
  sentence.setKind(song.kind);
  const has = (stem) => (notes && !song.missing.includes(stem) ? `${stem} (a second part)` : stem);
  $("stem").replaceChildren(...(notes ? status.stems_of_notes : status.stems).map((stem) => new Option(has(stem), stem)));
  if (song.missing.length) $("stem").value = song.missing[0];
  $("stem").onchange();
  $("song-notes").replaceChildren(...song.notices.map((words) => Object.assign(document.createElement("li"), { textContent: words })));
}
$("stem").onchange = () => { $("make").textContent = `Make ${$("stem").value}`; };

// ---- making ----

$("ask").onsubmit = async (event) => {
  event.preventDefault();
  calm();
  const number = (id) => ($(id).value === "" ? null : Number($(id).value));
  const fill = region.toFill, notes = song.kind === "notes";
  const body = {
    song: song.id, instruction: $("sentence").value, stem: $("stem").value, seed: number("seed") ?? 0,
    takes: Number($("takes").value), steps: number("steps"), guidance: number("guidance"), region: fill,
    density: notes ? $("density").value || null : number("dense"),
    dynamics: notes ? null : number("dynamics"), tight: notes ? null : number("tight"),
    base: fill && takes.chosen && !notes ? takes.chosen : null,
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
    deck.preview(null);
  }
}

api.listen({
  job: news,
  song: () => waiting?.(),
  preview: (data) => { // of a first take; later ones must not cover what one listens to
    if (data.job === current?.id && data.take === 1) deck.preview(data.png, data.window);
  },
}).addEventListener("open", async () => { // after a restart: what was missed meanwhile
  if (song) for (const job of (await api.getJson(`/api/jobs?song=${song.id}`)).reverse()) news(job);
});

// ---- takes ----

takes.addEventListener("choose", async () => {
  remember();
  region.words();
  const { chosen } = takes, its = song;
  const base = chosen && `/api/jobs/${chosen.job}/takes/${chosen.take}`;
  const wanted = () => takes.chosen === chosen && song === its;
  try {
    await deck.choose(base, wanted);
    chooseLane(lane); // a lane may have come or gone
    if (chosen && wanted()) $("take-list").dataset.loaded = base;
  } catch (error) { report(error); }
});

takes.addEventListener("settings", ({ detail }) => {
  const values = { sentence: detail.instruction, seed: detail.seed, takes: detail.takes,
    steps: detail.steps ?? "", guidance: detail.guidance ?? "", stem: detail.stem, density: detail.density ?? "",
    dense: detail.density ?? 0, dynamics: detail.dynamics ?? 0, tight: detail.tight ?? 0 };
  for (const [id, value] of Object.entries(values)) $(id).value = value;
  sentence.mark();
  $("stem").onchange();
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

for (const one of Object.values(decks)) {
  one.player.addEventListener("lanes", () => deck.lanes.forEach((each) => each.show()));
  one.player.addEventListener("change", () => { if (one === deck) transport(); });
}
function transport() {
  $("play").setAttribute("aria-label", player.playing ? "Pause" : "Play");
  $("play").classList.toggle("playing", player.playing);
  if (player.playing) requestAnimationFrame(tick);
  head();
}
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
function layout(zoomed) { for (const one of deck.lanes) one.layout(zoomed); overlay.draw(); }
view.addEventListener("change", ({ detail }) => layout(detail.zoomed));
new ResizeObserver(() => { if (song) { view.setWidth($("overlay").clientWidth); overlay.draw(); } }).observe($("lanes"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  overlay.recolour();
  for (const one of deck.lanes) one.recolour();
  layout(false);
});

overlay.addEventListener("region", setLoop);
beats.addEventListener("change", () => { song = beats.song; overlay.grid = song.grid; head(); });

// ---- keys, files, start ----

const seen = () => deck.lanes.filter((one) => !one.hidden);
function chooseLane(number) {
  const lanes = seen();
  lane = (number + lanes.length) % lanes.length;
  lanes.forEach((one, i) => one.head.classList.toggle("chosen", i === lane));
}
$("lanes").addEventListener("focusin", ({ target }) => {
  const at = seen().findIndex((one) => one.head.contains(target));
  if (at >= 0) chooseLane(at);
});
const moveLane = (by) => { chooseLane(lane + by); say(`${seen()[lane].title} lane`); };
function step(event) {
  const { bpm, beats_per_bar: bar } = overlay.grid;
  const seconds = (60 / bpm) * (event.shiftKey ? bar : 1);
  player.seek(player.position + (event.key === "ArrowLeft" ? -seconds : seconds));
  view.follow(player.position);
}
const withSong = (acts) => Object.fromEntries(Object.entries(acts).map(([key, act]) => [key, (...words) => song && act(...words)]));
listenForKeys(withSong({
  " ": () => $("play").click(), ArrowLeft: step, ArrowRight: step,
  ArrowUp: () => moveLane(-1), ArrowDown: () => moveLane(1),
  s: () => seen()[lane]?.solo.click(), m: () => seen()[lane]?.mute.click(), take: (n) => takes.number(n),
  b: () => takes.back(), l: () => $("loop").click(), i: () => region.fromHere(), o: () => region.toHere(),
  t: () => beats.tap(), "+": () => $("zoom-in").click(),
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
$("limits").textContent = `WAV, FLAC, OGG, Opus, MP3, AIFF (m4a with ffmpeg), MIDI and Guitar Pro 3 to 5, up to ${Math.round(status.limits.song_seconds / 60)} minutes and ${status.limits.upload_bytes >> 20} MB.`;
for (let n = 1; n <= 9; n++) $("takes").append(new Option(n, n));
await open();
document.body.dataset.ready = "yes";
performance.mark("ready");
