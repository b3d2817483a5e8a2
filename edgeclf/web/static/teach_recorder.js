// Take pictures for a class with the camera, as long as a button is held.

import { forgetCamera, grabFrame, openCamera } from "./camera.js";
import { counted } from "./teach_words.js";

const EVERY_MS = 125; // 8 pictures a second
const TAP_MS = 350; // a shorter press starts, and the next one stops
const LONGEST_MS = 60_000;
const SIDE = 640;

let open = null; // the one recorder whose camera runs

/** The camera of a class card; `onFrames(files)` gets what was taken, a second's at a time. */
export class Recorder {
  constructor(card, { onFrames, onEnd, onProblem }) {
    this.box = card.querySelector(".recorder");
    this.video = this.box.querySelector("video");
    this.button = this.box.querySelector(".record");
    this.hint = this.box.querySelector(".recorded");
    this.toggle = card.querySelector(".camera");
    this.words = this.hint.textContent;
    Object.assign(this, { onFrames, onEnd, onProblem });
    this.stopCamera = null;
    this.timer = null;
    this.busy = false;
    this.closing = new AbortController();
    this.toggle.addEventListener("click", () => (this.box.hidden ? this.start() : this.stop()));
    this.listen();
  }

  /** Open the camera; another class's is closed. */
  async start() {
    if (open !== this) open?.stop();
    open = this;
    this.box.hidden = false;
    this.toggle.setAttribute("aria-expanded", "true");
    this.button.disabled = true;
    this.hint.textContent = this.words;
    try {
      const stop = await openCamera(this.video, { onGone: sentence => this.fail(sentence) });
      if (!stop) return; // It was closed meanwhile.
      this.stopCamera = stop;
      this.button.disabled = false;
      this.button.focus();
    } catch (error) {
      this.fail(error.message);
    }
  }

  fail(sentence) {
    this.stop();
    this.onProblem(sentence);
  }

  /** Close the camera. */
  stop() {
    this.end();
    forgetCamera(this.video);
    this.stopCamera?.();
    this.stopCamera = null;
    this.box.hidden = true;
    this.toggle.setAttribute("aria-expanded", "false");
    if (open === this) open = null;
  }

  /** Close the camera for good. */
  close() {
    this.stop();
    this.closing.abort();
  }

  listen() {
    const { button } = this;
    button.addEventListener("pointerdown", event => {
      if (event.button !== 0) return;
      button.setPointerCapture(event.pointerId);
      this.press();
    });
    for (const name of ["pointerup", "pointercancel"]) button.addEventListener(name, () => this.release());
    button.addEventListener("keydown", event => {
      if (event.key !== " " && event.key !== "Enter") return;
      event.preventDefault(); // no click of its own
      if (!event.repeat) this.press();
    });
    button.addEventListener("keyup", event => {
      if (event.key !== " " && event.key !== "Enter") return;
      event.preventDefault();
      this.release();
    });
    // A screen reader's press comes as a click alone, without a pointer.
    button.addEventListener("click", event => {
      if (event.detail === 0) this.press();
    });
    button.addEventListener("contextmenu", event => event.preventDefault()); // long press
    button.addEventListener("blur", () => this.end());
    const { signal } = this.closing;
    window.addEventListener("blur", () => this.end(), { signal });
    document.addEventListener("visibilitychange", () => { if (document.hidden) this.end(); }, { signal });
  }

  press() {
    if (this.timer !== null) { this.end(); return; }
    if (!this.stopCamera || this.busy) return;
    this.began = performance.now();
    this.taken = 0;
    this.frames = [];
    this.button.textContent = "Recording …";
    this.button.classList.add("recording");
    this.button.setAttribute("aria-pressed", "true");
    this.timer = setInterval(() => this.take(), EVERY_MS);
    this.take();
  }

  release() {
    if (this.timer === null) return;
    if (performance.now() - this.began >= TAP_MS) this.end();
    else this.button.textContent = "Recording … press to stop";
  }

  async take() {
    if (this.busy) return;
    if (performance.now() - this.began > LONGEST_MS) { this.end(); return; }
    this.busy = true;
    try {
      const blob = await grabFrame(this.video, SIDE);
      // One that was begun before the end still counts: it was seen.
      this.frames.push(new File([blob], `camera-${Date.now()}.jpg`, { type: "image/jpeg" }));
      this.taken += 1;
      this.hint.textContent = `${counted(this.taken, "picture")} taken`;
    } catch (error) {
      this.onProblem(error.message);
    }
    this.busy = false;
    if (this.timer === null) this.settle();
    else if (this.frames.length >= 8) this.flush();
  }

  flush() {
    if (this.frames.length) this.onFrames(this.frames.splice(0));
  }

  /** Whether pictures are being taken. */
  get isRecording() { return this.timer !== null || this.busy; }

  end() {
    if (this.timer === null) return;
    clearInterval(this.timer);
    this.timer = null;
    this.button.textContent = "Hold to record";
    this.button.classList.remove("recording");
    this.button.setAttribute("aria-pressed", "false");
    if (!this.busy) this.settle();
  }

  settle() {
    this.flush();
    this.onEnd(this.taken);
  }
}
