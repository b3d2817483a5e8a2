// Training: its button, its progress, and what came of it.

import { ask } from "./api.js";
import { onSinglePress } from "./presses.js";
import { showResult, verdict } from "./teach_result.js";
import { projectUrl, send } from "./teach_server.js";
import { announce, counted, tell } from "./teach_words.js";

const STAGES = [
  ["pictures", "Read the pictures"],
  ["bottlenecks", "Look at every picture (bottlenecks)"],
  ["views", "Look again, changed a little (views)"],
  ["head", "Learn the classes (head)"],
  ["quantize", "Make it small (int8)"],
  ["evaluate", "Measure the small model (int8 accuracy)"],
  ["report", "Write the report"],
];
const SOMETIMES = new Set(["views"]); // shown only where they happen
const UNDER_WAY = new Set(["queued", "running"]);
const POLL_MS = 1000;
const LEAST = 2; // pictures of a class

const get = id => document.getElementById(id);

/**
 * Say whether classes ({name, number}) can be trained: {isReady, sentence}.
 *
 * Classes with too few pictures are left out of the training.
 */
export function readiness(classes) {
  const few = classes.filter(({ number }) => number < LEAST);
  const isReady = classes.length - few.length >= 2;
  const named = few.map(({ name, number }) => `“${name}” (${number || "none"})`).join(", ");
  if (isReady) return { isReady, sentence: few.length ? `Left out until they have ${LEAST} pictures: ${named}.` : "" };
  const sentence = `Needs 2 classes with ${counted(LEAST, "picture")} each at least.${few.length ? ` Too few: ${named}.` : ""}`;
  return { isReady, sentence };
}

/**
 * The training panel. `onBegin()` is called around the begin of a training: what was
 * asked of the server before is old. `onDone()` is called when one has ended.
 */
export class Training {
  constructor(project, { onBegin, onDone }) {
    this.url = `${projectUrl(project)}/training`;
    this.project = project;
    this.onBegin = onBegin;
    this.onDone = onDone;
    this.ready = { isReady: false, sentence: "" };
    this.events = null;
    this.timer = null;
    this.status = null;
    this.seen = new Set();
    get("train").addEventListener("click", () => this.start());
    onSinglePress(get("cancel"), () => this.cancel()); // It comes where Train was.
    // Browsers have few connections to a server: a page that nobody sees keeps none.
    document.addEventListener("visibilitychange", () => { if (document.hidden) this.unwatch(); });
  }

  get isRunning() { return UNDER_WAY.has(this.status?.state); }

  /** Say whether training can begin: `readiness` of the classes. */
  prepare(ready) {
    this.ready = ready;
    this.drawButton();
  }

  drawButton() {
    get("train").hidden = this.isRunning;
    get("cancel").hidden = !this.isRunning;
    get("train").setAttribute("aria-disabled", String(!this.ready.isReady));
    get("train").textContent = this.hasModel ? "Train again" : "Train";
    // What the panel says too, but for phones, where the panel is far below the bar.
    const brief = this.isRunning ? this.summary() : this.ready.sentence ? "" : this.verdict ?? "";
    get("missing").classList.toggle("brief", Boolean(brief));
    get("missing").textContent = brief || this.ready.sentence;
  }

  summary() {
    const { state, stage, done, total } = this.status;
    if (state === "queued") return "Waits.";
    const name = STAGES.find(([key]) => key === stage)?.[1] ?? "Begins";
    return total ? `${name}: ${done} of ${total}` : name;
  }

  async start() {
    if (!this.ready.isReady || this.isRunning) return;
    tell(get("training-problem"), null);
    this.onBegin();
    try {
      this.seen.clear();
      this.follow(await send("POST", this.url, {}));
      this.onBegin();
      get("cancel").focus();
    } catch (problem) {
      if (problem.status === 409) this.poll();
      else tell(get("training-problem"), problem.message);
    }
  }

  async cancel() {
    get("cancel").disabled = true;
    try {
      await ask(this.url, { method: "DELETE" });
    } catch (problem) {
      // It may have ended a moment ago.
      if (problem.status !== 404) tell(get("training-problem"), problem.message);
    }
    get("cancel").disabled = false;
    this.poll();
  }

  /** Show a status that came with the project, and watch it if it is under way. */
  follow(status) {
    const isWatched = this.events || this.timer !== null;
    if (isWatched && UNDER_WAY.has(status?.state)) return; // what is watched is newer
    this.show(status);
    if (this.isRunning) this.watch();
  }

  watch() {
    let broken = 0;
    const events = new EventSource(`${this.url}/events`);
    this.events = events;
    events.onmessage = event => { broken = 0; this.show(JSON.parse(event.data)); };
    events.onerror = () => {
      // The browser tries again by itself; where that does not help we ask instead.
      broken += 1;
      if (events.readyState === EventSource.CLOSED || broken > 1) {
        this.unwatch();
        this.poll();
      }
    };
  }

  unwatch() {
    this.events?.close();
    this.events = null;
    clearTimeout(this.timer);
    this.timer = null;
  }

  async poll() {
    clearTimeout(this.timer);
    this.timer = null;
    try {
      this.show(await ask(this.url));
    } catch (problem) {
      if (problem.status === 404) { this.show(null); this.onDone(); return; }
      if (problem.status) { tell(get("training-problem"), problem.message); }
    }
    if (this.isRunning && !this.events) this.timer = setTimeout(() => this.poll(), POLL_MS);
  }

  show(status) {
    const before = this.status;
    this.status = status;
    if (!this.isRunning) this.unwatch();
    this.drawButton();
    this.drawProgress();
    this.speak(before);
    if (UNDER_WAY.has(before?.state) && !this.isRunning) {
      if (document.activeElement === document.body || document.activeElement === get("cancel")) get("train").focus();
      this.onDone();
    }
  }

  drawProgress() {
    const { status } = this;
    const isShown = status && status.state !== "done";
    get("training").hidden = !isShown;
    if (!isShown) return;
    const message = get("training-message");
    message.textContent = status.state === "running" ? "" : status.message;
    message.hidden = !message.textContent;
    message.className = status.state === "failed" ? "notice error" : "";
    get("seconds").textContent = this.isRunning || status.seconds ? `${status.seconds.toFixed(1)} s` : "";
    if (status.stage) this.seen.add(status.stage);
    const place = STAGES.findIndex(([key]) => key === status.stage);
    get("stages").hidden = !this.isRunning;
    get("stages").replaceChildren(...STAGES.flatMap(([key, name], index) => {
      if (SOMETIMES.has(key) && !this.seen.has(key)) return [];
      return [stageItem(name, index < place ? "done" : index === place ? "current" : "next", status)];
    }));
  }

  speak(before) {
    const { status } = this;
    if (!status || (before?.state === status.state && before?.stage === status.stage)) return;
    if (!before && !this.isRunning) return; // nothing happened while the page was open
    const stage = STAGES.find(([key]) => key === status.stage)?.[1];
    const words = {
      queued: "Training waits.",
      running: stage ? `${stage}.` : "Training begins.",
      done: "Training is done.",
      failed: `Training failed. ${status.message}`,
      cancelled: "Training is cancelled.",
    };
    announce(get("training-said"), words[status.state]);
  }

  /** Show the model that is there: of the project's answer, or null. */
  showModel(model) {
    this.hasModel = Boolean(model);
    const done = this.status?.state === "done" ? this.status : null;
    const result = model?.result ?? done?.result;
    this.verdict = typeof model?.accuracy === "number" ? verdict(model, result) : null;
    this.drawButton();
    get("model").hidden = !model;
    if (!model) return;
    get("stale").hidden = model.is_current || this.isRunning;
    showResult(this.project, model, result, done?.message);
  }
}

function stageItem(name, state, { done, total }) {
  const item = document.createElement("li");
  item.className = state;
  const words = document.createElement("span");
  words.textContent = name;
  item.append(words);
  if (state === "done") item.append(hidden(" (done)"));
  if (state === "current") {
    item.setAttribute("aria-current", "step");
    const bar = document.createElement("progress");
    bar.setAttribute("aria-label", name);
    if (total) {
      bar.max = total;
      bar.value = done;
      const count = document.createElement("span");
      count.className = "soft small figure";
      count.textContent = ` ${done} of ${total}`;
      item.append(count);
    }
    item.append(bar);
  }
  return item;
}

function hidden(text) {
  const element = document.createElement("span");
  element.className = "visually-hidden";
  element.textContent = text;
  return element;
}
