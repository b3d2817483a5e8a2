// A video that is labelled continuously: one frame at a time, as fast as answers come.

import { classify } from "./api.js";
import { grabFrame } from "./camera.js";
import { Smoother } from "./smooth.js";

const KEPT = 20; // answers that the median of the latency is of
const RATE_S = 3; // seconds that the rate of frames is of
const PAUSE_MS = 2000; // before another try when the server did not answer
const QUALITY = 0.8; // of the JPEGs: small, and the labels are the same
// Of a picture that is no picture, or of a request the server will never take, more
// of the same is of no use; these pass by themselves.
const PASSING = new Set([0, 408, 429, 500, 502, 503, 504]);

/**
 * Labels what a <video> shows until it is stopped; rests while the tab is hidden.
 *
 * Options: `url` of what answers; `topK` classes that are asked for; `side`, longest
 * side of the frames in pixels; `smoothing`, see `Smoother`; and what is called:
 * `onScores(categories, speed)` after each frame, smoothed, best first, with
 * `speed = {latencyMs, framesPerSecond}`; `onState(state, sentence)` with "running",
 * "hidden", "waiting" (the server is busy or away), "failed" (it has ended by itself)
 * or "stopped".
 */
export class Watcher {
  constructor(video, {
    url = "/v1/classify", topK = null, side = 320, smoothing = 0.5,
    onScores = () => {}, onState = () => {},
  } = {}) {
    this.video = video;
    this.options = { url, topK, side };
    this.smoother = new Smoother(smoothing);
    this.onScores = onScores;
    this.onState = onState;
    this.run = null; // what ends the current run
  }

  get isRunning() { return this.run !== null; }

  start() {
    if (this.run) return;
    this.run = new AbortController();
    this.smoother.clear();
    this.latencies = [];
    this.ends = [];
    this.watch(this.run.signal);
  }

  stop() {
    if (!this.run) return;
    this.run.abort();
    this.run = null;
    this.say("stopped");
  }

  async watch(signal) {
    while (!signal.aborted) {
      try {
        await this.shown(signal);
        await frame(this.video, signal);
        const blob = await grabFrame(this.video, this.options.side, QUALITY);
        const { url, topK } = this.options;
        const answer = await classify(blob, { url, topK, signal });
        if (signal.aborted) return;
        this.say("running");
        this.take(answer);
      } catch (error) {
        if (signal.aborted) return;
        if (error.status !== undefined && !PASSING.has(error.status)) {
          this.run = null;
          this.say("failed", error.message);
          return;
        }
        this.say("waiting", error.message);
        await passed(error.retryAfter ? 1000 * error.retryAfter : PAUSE_MS, signal);
      }
    }
  }

  take({ categories, latencyMs }) {
    const now = performance.now();
    this.latencies = [...this.latencies, latencyMs].slice(-KEPT);
    this.ends = [...this.ends.filter(end => now - end < 1000 * RATE_S), now];
    const seconds = (now - this.ends[0]) / 1000;
    this.onScores(this.smoother.add(categories, now / 1000), {
      latencyMs: median(this.latencies),
      framesPerSecond: seconds > 0 ? (this.ends.length - 1) / seconds : 0,
    });
  }

  /** Wait until the tab is looked at; after a rest nothing of before counts. */
  async shown(signal) {
    if (document.visibilityState !== "hidden") return;
    this.say("hidden");
    await new Promise(resolve => {
      const look = () => {
        if (document.visibilityState === "hidden" && !signal.aborted) return;
        document.removeEventListener("visibilitychange", look);
        signal.removeEventListener("abort", look);
        resolve();
      };
      document.addEventListener("visibilitychange", look);
      signal.addEventListener("abort", look, { once: true });
    });
    this.smoother.clear();
    this.ends = [];
  }

  say(state, sentence = "") {
    if (this.said === state + sentence) return;
    this.said = state + sentence;
    this.onState(state, sentence);
  }
}

/** Wait until the video has a picture that has not been sent. */
function frame(video, signal) {
  return new Promise(resolve => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done); // else one is left of each frame
      resolve();
    };
    const timer = setTimeout(done, 500); // of a camera that stands still
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(done);
    else requestAnimationFrame(done);
    signal.addEventListener("abort", done, { once: true });
  });
}

function passed(milliseconds, signal) {
  return new Promise(resolve => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener("abort", done, { once: true });
  });
}

function median(values) {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
