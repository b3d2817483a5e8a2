// One picture with its labels.

import { askBlob, formOf } from "./api.js";
import { renderBars } from "./bars.js";
import { remember } from "./last.js";
import { onSinglePress } from "./presses.js";
import { hashtags } from "./tables.js";
import { thumbnail } from "./thumbnail.js";

export class Card {
  /**
   * A picture on the page, made of `template`. Its `state` is "waiting", "working",
   * "labelled" or "failed"; `heatUrl` answers its heat map; `onRemove(card)` and `onRetry(card)` are called when its
   * buttons are pressed, `say(sentence)` is for what somebody should hear at once.
   */
  constructor(template, name, { heatUrl, onRemove, onRetry, say }) {
    this.element = template.content.firstElementChild.cloneNode(true);
    this.name = name;
    this.blob = null;
    this.result = null;
    this.aborter = new AbortController();
    this.heatUrl = heatUrl;
    this.say = say;
    this.addresses = [];
    this.part("name").textContent = name;
    this.part("name").title = name;
    this.part("placeholder").textContent = (name.match(/\.(\w{1,5})$/)?.[1] ?? "").toUpperCase();
    this.part("remove").setAttribute("aria-label", `Remove ${name}`);
    onSinglePress(this.part("remove"), () => onRemove(this));
    this.part("retry").addEventListener("click", () => onRetry(this));
    this.part("heat").addEventListener("click", () => this.toggleHeat());
    this.part("copy").addEventListener("click", () => this.copy());
    this.become("waiting", "Waits for its turn");
  }

  part(name) {
    return this.element.querySelector(`.${name}`);
  }

  become(state, words) {
    this.state = state;
    this.element.dataset.state = state;
    this.part("words").textContent = words;
    this.part("spinner").hidden = state !== "working";
    this.part("retry").hidden = true;
    this.part("heat").hidden = state !== "labelled";
    this.part("words").classList.toggle("error-text", state === "failed");
    this.part("copy").hidden = true;
  }

  async picture(blob) {
    this.blob = blob;
    this.preview = thumbnail(blob);
    const small = await this.preview;
    if (small && !this.aborter.signal.aborted) {
      this.plain = this.address(small);
      this.show(this.plain, "");
    }
  }

  address(blob) {
    const address = URL.createObjectURL(blob);
    this.addresses.push(address);
    return address;
  }

  show(address, alt) {
    const image = this.part("shown");
    image.src = address;
    image.alt = alt;
    image.hidden = false;
    this.part("placeholder").hidden = true;
  }

  working() {
    this.become("working", "Looking …");
  }

  labelled({ categories, latencyMs }) {
    this.result = { image: this.name, categories };
    const none = categories.length === 0 ? "No tag is above its threshold. " : "";
    this.become("labelled", `${none}Answered in ${Math.round(latencyMs)} ms`);
    renderBars(this.part("bars"), categories);
    remember(this.name, categories, this.preview);
    this.tags = hashtags(categories);
    const { multiLabel } = this.element.dataset;
    this.part("copy").hidden = multiLabel === undefined || this.tags === "";
  }

  failed(sentence, canRetry) {
    this.result = { image: this.name, error: sentence };
    this.become("failed", sentence);
    this.part("retry").hidden = !canRetry;
  }

  async toggleHeat() {
    const button = this.part("heat");
    if (button.getAttribute("aria-pressed") === "true") {
      button.setAttribute("aria-pressed", "false");
      if (this.plain) this.show(this.plain, "");
      else this.part("shown").hidden = !(this.part("placeholder").hidden = false);
      return;
    }
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    try {
      this.heat ??= this.address(await askBlob(this.heatUrl, {
        method: "POST", body: formOf(this.blob), signal: this.aborter.signal,
      }));
      const { label, index } = this.result.categories[0] ?? {};
      this.show(this.heat, `Heat map: what speaks for ${label ?? index ?? "the best tag"}`);
      button.setAttribute("aria-pressed", "true");
    } catch (error) {
      if (error.name !== "AbortError") this.say(error.message);
    } finally {
      button.removeAttribute("aria-disabled");
    }
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.tags);
      this.say("The hashtags are copied.");
    } catch {
      this.say(`The browser does not let pages copy: ${this.tags}`);
    }
  }

  /** Take it off the page; answers on their way are no longer waited for. */
  remove() {
    this.aborter.abort();
    for (const address of this.addresses) URL.revokeObjectURL(address);
    this.element.remove();
  }
}
