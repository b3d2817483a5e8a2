// Try the model that was taught: on a camera, or on a picture.

import { classify } from "./api.js";
import { renderBars } from "./bars.js";
import { forgetCamera, openCamera } from "./camera.js";
import { projectUrl } from "./teach_server.js";
import { announce, percent, tell } from "./teach_words.js";
import { Watcher } from "./watch.js";

const MOST_BARS = 10;
const SPEAK_MS = 2000; // at most so often

const get = id => document.getElementById(id);

/** The panel to try a model. */
export class TryOut {
  constructor(project) {
    this.url = `${projectUrl(project)}/classify`;
    this.topK = 5;
    this.stopCamera = null;
    this.asking = new AbortController(); // for the labels of a picture
    this.spoken = { label: null, at: 0 };
    get("try-camera").addEventListener("click", () => (get("try-video").hidden ? this.start() : this.stop()));
    get("try-file").addEventListener("change", () => {
      const [file] = get("try-file").files;
      get("try-file").value = "";
      if (file) this.show(file);
    });
    const panel = get("try").closest("section");
    // Without a model, what is dropped here is dropped onto the page.
    panel.addEventListener("drop", event => {
      const [file] = event.dataTransfer.files;
      if (!file || get("try").hidden) return;
      event.preventDefault();
      this.show(file);
    });
  }

  /** Say which model is there, or null. */
  use(model) {
    get("try").hidden = !model;
    get("try-none").hidden = Boolean(model);
    if (!model) { this.stop(); return; }
    this.topK = Math.min(MOST_BARS, model.labels?.length || 5);
    if (this.trained && model.trained !== this.trained && this.watcher) {
      // Scores of the model before are not to be mixed with this one's.
      this.watcher.stop();
      this.watch();
    }
    this.trained = model.trained;
  }

  async start() {
    const video = get("try-video");
    const fail = sentence => {
      this.stop();
      tell(get("try-problem"), sentence);
    };
    this.stop();
    tell(get("try-problem"), null);
    get("try-picture").hidden = true;
    video.hidden = false;
    get("try-camera").setAttribute("aria-pressed", "true");
    try {
      const stop = await openCamera(video, { onGone: fail });
      if (!stop) return; // Something else was asked for meanwhile.
      this.stopCamera = stop;
      this.watch();
    } catch (error) {
      fail(error.message);
    }
  }

  watch() {
    this.watcher = new Watcher(get("try-video"), {
      url: this.url,
      topK: this.topK,
      onScores: (categories, { latencyMs }) => this.draw(categories, latencyMs),
      onState: (state, sentence) => {
        tell(get("try-problem"), state === "waiting" || state === "failed" ? sentence : null);
      },
    });
    this.watcher.start();
  }

  /** Let go of the camera, and of labels that are on the way. */
  stop() {
    forgetCamera(get("try-video"));
    this.asking.abort();
    this.watcher?.stop();
    this.watcher = null;
    this.stopCamera?.();
    this.stopCamera = null;
    get("try-video").hidden = true;
    get("try-camera").setAttribute("aria-pressed", "false");
  }

  async show(file) {
    this.stop();
    this.asking = new AbortController();
    const { signal } = this.asking;
    tell(get("try-problem"), null);
    const picture = get("try-picture");
    if (picture.src) URL.revokeObjectURL(picture.src);
    picture.onerror = () => { picture.hidden = true; }; // one that only the server reads
    picture.src = URL.createObjectURL(file);
    picture.alt = file.name;
    picture.hidden = false;
    try {
      const { categories, latencyMs } = await classify(file, { url: this.url, topK: this.topK, signal });
      if (signal.aborted) return;
      this.draw(categories, latencyMs);
    } catch (problem) {
      if (signal.aborted) return;
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
    const isOld = this.watcher && (best?.label === this.spoken.label || now - this.spoken.at < SPEAK_MS);
    if (!best || isOld) return;
    this.spoken = { label: best.label, at: now };
    announce(get("try-said"), `${best.label}, ${percent(best.score)}`);
  }
}
