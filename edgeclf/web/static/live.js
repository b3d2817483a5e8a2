// The page that labels a camera.

import { cameraSettings, forgetCamera, listCameras, openCamera } from "./camera.js";
import { SteadyBars } from "./steady.js";
import { Watcher } from "./watch.js";

const SPEAK_MS = 3000; // at least between two announcements
const NOT_SURE = "Not sure";

const page = document.getElementById("live");
const at = id => document.getElementById(id);
const video = at("video");
const thresholds = page.dataset.thresholds ? JSON.parse(page.dataset.thresholds) : null;
const bars = new SteadyBars(at("bars"));

let close = null; // stops the camera or the video
let facing = "environment";
let isOpening = false;
let spoken = "";
let spokenAt = -Infinity;

const STATES = {
  running: "",
  hidden: "Resting: this page is not looked at.",
  waiting: "Waiting for the server.",
  stopped: "The camera is off.",
  failed: "Stopped.",
};

const watcher = new Watcher(video, {
  // All classes, also below a threshold that other makers recommend.
  url: `${page.dataset.api}/classify?score_threshold=0`,
  topK: Number(page.dataset.topK),
  side: Number(page.dataset.side),
  smoothing: Number(at("smoothing").value),
  onScores: show,
  onState(state, sentence) {
    page.dataset.state = state;
    if (at("freeze").getAttribute("aria-pressed") === "true") return;
    note(STATES[state]);
    complain(state === "failed" || (state === "waiting" && sentence) ? sentence : "");
    if (state === "failed") stop();
  },
});

function show(categories, { latencyMs, framesPerSecond }) {
  const names = given(categories);
  const best = thresholds ? null : categories[0];
  const isSure = names.length > 0;
  bars.show(categories, category => (thresholds ? isTag(category) : isSure && category.index === best.index));
  const words = isSure ? names.join(", ") : (thresholds ? "No tag" : NOT_SURE);
  at("top").textContent = words;
  at("top").classList.toggle("soft", !isSure);
  at("latency").textContent = `${latencyMs.toFixed(0)} ms`;
  at("rate").textContent = `${framesPerSecond.toFixed(1)} / s`;
  speak(words);
}

/** The labels that are given: of tags those from their thresholds on, else the best. */
function given(categories) {
  const name = ({ index, label }) => label ?? String(index);
  if (thresholds) return categories.filter(isTag).map(name);
  const [best] = categories;
  return best && 100 * best.score >= Number(at("least").value) ? [name(best)] : [];
}

function isTag({ index, score }) {
  return index !== null && score >= thresholds[index];
}

/** Say a change to those who hear the page, not more often than they can follow. */
function speak(words) {
  const now = performance.now();
  if (words === spoken || now - spokenAt < SPEAK_MS) return;
  spoken = words;
  spokenAt = now;
  at("spoken").textContent = words;
}

function note(words) {
  at("state").textContent = words;
  at("state").hidden = !words;
}

function complain(words) {
  at("problem").textContent = words;
  at("problem").hidden = !words;
}

function fail(sentence) {
  stop();
  complain(sentence);
}

async function start(deviceId = null) {
  if (isOpening) return;
  isOpening = true;
  close?.();
  close = null;
  complain("");
  note("Opening the camera …");
  try {
    const opened = await openCamera(video, { facingMode: facing, deviceId, onGone: fail });
    if (!opened) return; // The page was left.
    close = opened;
    await offerCameras();
  } catch (error) {
    fail(error.message);
    return;
  } finally {
    isOpening = false;
  }
  if (!close) return; // Stopped meanwhile.
  mirror();
  begin("Stop camera");
}

/** Label a video file in place of the camera, again and again. */
async function play(file) {
  if (isOpening) return;
  stop();
  complain("");
  const address = URL.createObjectURL(file);
  close = () => {
    video.removeAttribute("src");
    video.load();
    URL.revokeObjectURL(address);
  };
  video.src = address;
  video.loop = true;
  mirror(false);
  try {
    await video.play();
  } catch {
    if (video.src === address) fail(`The browser cannot play ${file.name}. Choose a video in MP4 or WebM.`);
    return;
  }
  begin("Stop video");
}

function begin(words) {
  at("start").textContent = words;
  at("start").classList.remove("primary");
  at("freeze").disabled = false;
  note("");
  watcher.start();
}

function stop() {
  watcher.stop();
  close?.();
  close = null;
  unfreeze();
  at("freeze").disabled = true;
  at("start").textContent = "Start camera";
  at("start").classList.add("primary");
  at("choice").hidden = true;
  at("turn").hidden = true;
  note(STATES.stopped);
}

async function offerCameras() {
  const cameras = await listCameras();
  const { deviceId, facingMode } = cameraSettings(video);
  at("camera").replaceChildren(...cameras.map(({ id, name }) => {
    const option = document.createElement("option");
    option.value = id;
    option.textContent = name;
    option.selected = id === deviceId;
    return option;
  }));
  at("choice").hidden = cameras.length < 2;
  at("turn").hidden = cameras.length < 2 || !facingMode;
  if (facingMode) facing = facingMode;
}

/** Whoever faces the camera expects a mirror; the frames are sent as they are. */
function mirror(on = cameraSettings(video).facingMode === "user") {
  at("mirror").checked = on;
  video.classList.toggle("mirrored", on);
}

function unfreeze() {
  at("freeze").setAttribute("aria-pressed", "false");
  at("freeze").textContent = "Freeze";
}

at("start").addEventListener("click", () => { if (close) stop(); else start(); });
at("start").disabled = false; // Pressed before, it would have done nothing.
at("file").addEventListener("change", () => {
  const [file] = at("file").files;
  at("file").value = ""; // the same one may be chosen again
  if (file) play(file);
});
at("camera").addEventListener("change", () => {
  if (close) { unfreeze(); watcher.stop(); start(at("camera").value); }
});
at("turn").addEventListener("click", () => {
  facing = facing === "user" ? "environment" : "user";
  unfreeze();
  watcher.stop();
  start();
});
at("freeze").addEventListener("click", () => {
  if (at("freeze").getAttribute("aria-pressed") === "true") {
    unfreeze();
    video.play();
    watcher.start();
    return;
  }
  at("freeze").setAttribute("aria-pressed", "true");
  at("freeze").textContent = "Go on";
  watcher.stop();
  video.pause();
  complain("");
  note("Frozen.");
});
at("mirror").addEventListener("change", () => mirror(at("mirror").checked));
at("smoothing").addEventListener("change", () => {
  watcher.smoother.seconds = Number(at("smoothing").value);
});
at("least")?.addEventListener("input", () => {
  at("least-shown").textContent = `${at("least").value}%`;
});
window.addEventListener("pagehide", () => {
  forgetCamera(video);
  stop();
});
