// Try the model that was taught: on a camera, or on a picture.

import { classify } from "./api.js";
import { renderBars } from "./bars.js";
import { grabFrame, openCamera } from "./camera.js";
import { projectUrl } from "./teach_server.js";
import { announce, percent, tell } from "./teach_words.js";

const MOST_BARS = 10;
const SIDE = 640;
const KEEP = 0.5; // of the scores before, so that bars do not flicker
const SPEAK_MS = 2000; // at most so often

const get = id => document.getElementById(id);

/** The panel to try a model. */
export class TryOut {
  constructor(project) {
    this.url = `${projectUrl(project)}/classify`;
    this.topK = 5;
    this.stopCamera = null;
    this.scores = new Map();
    this.spoken = { label: null, at: 0 };
    get("try-camera").addEventListener("click", () => (this.stopCamera ? this.stop() : this.start()));
    get("try-file").addEventListener("change", () => {
      const [file] = get("try-file").files;
      get("try-file").value = "";
      if (file) this.show(file);
    });
    const panel = get("try").closest("section");
    panel.addEventListener("dragover", event => { event.preventDefault(); event.stopPropagation(); });
    panel.addEventListener("drop", event => {
      event.preventDefault();
      event.stopPropagation();
      const [file] = event.dataTransfer.files;
      if (file && !get("try").hidden) this.show(file);
    });
  }

  /** Say which model is there, or null. */
  use(model) {
    get("try").hidden = !model;
    get("try-none").hidden = Boolean(model);
    if (!model) { this.stop(); return; }
    this.topK = Math.min(MOST_BARS, model.labels?.length || 5);
    if (model.trained !== this.trained) this.scores.clear();
    this.trained = model.trained;
  }

  async start() {
    tell(get("try-problem"), null);
    get("try-camera").disabled = true;
    const video = get("try-video");
    try {
      get("try-picture").hidden = true;
      video.hidden = false;
      this.stopCamera = await openCamera(video);
    } catch (error) {
      video.hidden = true;
      tell(get("try-problem"), error.name === "NotAllowedError" ? "The browser was not allowed to use the camera." : `The camera cannot be used: ${error.message}`);
    }
    get("try-camera").disabled = false;
    get("try-camera").setAttribute("aria-pressed", String(Boolean(this.stopCamera)));
    if (this.stopCamera) this.run();
  }

  stop() {
    this.stopCamera?.();
    this.stopCamera = null;
    get("try-video").hidden = true;
    get("try-camera").setAttribute("aria-pressed", "false");
    this.scores.clear();
  }

  // One frame at a time: as fast as the server answers, never faster.
  async run() {
    const mine = this.stopCamera;
    while (this.stopCamera === mine) {
      let pause = 0;
      if (document.hidden) pause = 500;
      else {
        try {
          const frame = await grabFrame(get("try-video"), SIDE);
          const answer = await classify(frame, { url: this.url, topK: this.topK });
          if (this.stopCamera !== mine) return;
          if (answer.categories) this.draw(this.smoothed(answer.categories), answer.latencyMs);
          tell(get("try-problem"), null);
        } catch (problem) {
          if (this.stopCamera !== mine) return;
          tell(get("try-problem"), problem.message);
          pause = 1000 * (problem.retryAfter ?? 2);
        }
      }
      if (pause) await new Promise(resolve => setTimeout(resolve, pause));
      else await new Promise(resolve => requestAnimationFrame(resolve));
    }
  }

  smoothed(categories) {
    const blended = categories.map(category => {
      const before = this.scores.get(category.label) ?? category.score;
      return { ...category, score: KEEP * before + (1 - KEEP) * category.score };
    });
    this.scores = new Map(blended.map(({ label, score }) => [label, score]));
    return blended.sort((one, other) => other.score - one.score);
  }

  async show(file) {
    this.stop();
    tell(get("try-problem"), null);
    const picture = get("try-picture");
    if (picture.src) URL.revokeObjectURL(picture.src);
    picture.src = URL.createObjectURL(file);
    picture.alt = file.name;
    picture.hidden = false;
    picture.onerror = () => { picture.hidden = true; }; // one that only the server reads
    try {
      const answer = await classify(file, { url: this.url, topK: this.topK });
      if (answer.categories) this.draw(answer.categories, answer.latencyMs);
      else tell(get("try-problem"), answer.error);
    } catch (problem) {
      renderBars(get("try-bars"), []);
      get("try-latency").textContent = "";
      tell(get("try-problem"), problem.message);
    }
  }

  draw(categories, latencyMs) {
    renderBars(get("try-bars"), categories);
    get("try-latency").textContent = `Answered in ${Math.round(latencyMs)} ms`;
    const [best] = categories;
    const now = performance.now();
    if (!best || (best.label === this.spoken.label && this.stopCamera) || now - this.spoken.at < SPEAK_MS) return;
    this.spoken = { label: best.label, at: now };
    announce(get("try-said"), `${best.label}, ${percent(best.score)}`);
  }
}
