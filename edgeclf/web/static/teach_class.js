// The card of one class: its name, its pictures, and the ways to add some.

import { picturesOf } from "./dropped.js";
import { chosenPictures } from "./teach_files.js";
import { Recorder } from "./teach_recorder.js";
import { classUrl, pictureUrl, remove, send } from "./teach_server.js";
import { removeThumb, showThumbs } from "./teach_thumbs.js";
import { confirmed, copyOf, counted } from "./teach_words.js";

const NEWEST = 60; // thumbnails, where not all are asked for
const LISTED = 8; // errors; more of them are folded

/** A class card. `page` is the project's page: see teach_project.js. */
export class ClassCard {
  constructor(page, name) {
    this.page = page;
    this.name = name;
    this.sending = null; // what Uploads keeps
    this.gone = false;
    this.isDeleted = false; // by this page
    this.pictures = [];
    this.numPictures = 0;
    this.showsAll = false;
    this.element = copyOf("class-card");
    this.isBackground = name === page.background;
    this.recorder = new Recorder(this.element, {
      onFrames: files => this.add(files),
      onEnd: number => {
        page.say(`${counted(number, "picture")} recorded for ${this.title}.`);
        page.uploads.endIfDone(this);
      },
      onProblem: sentence => page.complain(sentence),
    });
    this.listen();
    this.nameAll();
  }

  /** What people call it. */
  get title() { return this.isBackground ? "None of these" : this.name; }

  /** Whether more pictures are on the way: then sending has not ended. */
  get isRecording() { return this.recorder.isRecording; }

  find(selector) { return this.element.querySelector(selector); }

  nameAll() {
    const input = this.find(".class-title");
    input.value = this.title;
    input.readOnly = this.isBackground;
    input.setAttribute("aria-label", this.isBackground ? "Pictures of anything else" : `Name of the class ${this.name}`);
    this.element.dataset.name = this.name;
    this.find(".remove").setAttribute("aria-label", `Delete the class ${this.title}`);
    this.find(".camera").setAttribute("aria-label", `Camera for ${this.title}`);
    this.find(".choose").setAttribute("aria-label", `Files for ${this.title}`);
    this.find(".record").setAttribute("aria-label", `Hold to record ${this.title}`);
    this.find("video").setAttribute("aria-label", `What the camera sees, for ${this.title}`);
    this.find("progress").setAttribute("aria-label", `Sending pictures of ${this.title}`);
    this.find(".thumbs").setAttribute("aria-label", `Newest pictures of ${this.title}`);
  }

  listen() {
    const title = this.find(".class-title");
    title.addEventListener("change", () => this.rename(title.value.trim()));
    title.addEventListener("keydown", event => {
      if (event.key === "Enter") title.blur();
      if (event.key === "Escape") { title.value = this.title; title.blur(); }
    });
    this.find(".remove").addEventListener("click", () => this.remove());
    const choose = this.find(".choose");
    choose.addEventListener("change", () => {
      this.add(chosenPictures(choose).map(({ blob }) => blob));
      choose.value = "";
    });
    this.find(".dismiss").addEventListener("click", () => { this.find(".refused").hidden = true; });
    this.find(".show-all").addEventListener("click", () => this.showAll());
    this.element.addEventListener("dragover", event => {
      event.preventDefault();
      event.stopPropagation();
      this.element.classList.add("over");
      this.page.coverDrop(false);
    });
    this.element.addEventListener("dragleave", event => {
      if (!this.element.contains(event.relatedTarget)) this.element.classList.remove("over");
    });
    this.element.addEventListener("drop", async event => {
      event.preventDefault();
      event.stopPropagation();
      this.element.classList.remove("over");
      try {
        this.add((await picturesOf(event.dataTransfer)).map(({ blob }) => blob));
      } catch (error) {
        this.page.complain(`The browser could not read that: ${error.message}`);
      }
    });
  }

  /** Show what the server says of the class: {name, num_pictures, pictures}. */
  show({ num_pictures: number, pictures }) {
    this.numPictures = number;
    if (!this.showsAll || pictures.length === number) this.pictures = pictures;
    this.draw();
    return this.showsAll && this.pictures.length !== number;
  }

  draw() {
    const pictures = this.showsAll ? this.pictures : this.pictures.slice(0, NEWEST);
    this.find(".count").textContent = counted(this.numPictures, "picture");
    showThumbs(this.find(".thumbs"), this.page.project, this.name, pictures, (picture, item) => this.removePicture(picture, item));
    const more = this.find(".show-all");
    more.hidden = pictures.length >= this.numPictures;
    more.textContent = `Show all ${counted(this.numPictures, "picture")}`;
  }

  /** Add pictures (Files). */
  add(files) {
    if (files.length) this.page.uploads.add(this, files);
  }

  /** Show what a batch added: the newest first. */
  added({ added, num_pictures: number }) {
    const known = new Set(this.pictures.map(picture => picture.id));
    const fresh = added.filter(picture => !known.has(picture.id)).reverse();
    this.pictures = [...fresh, ...this.pictures];
    this.numPictures = number;
    this.draw();
  }

  /** Show how far sending is. */
  drawSending() {
    const box = this.find(".sending");
    box.hidden = !this.sending;
    if (!this.sending) return;
    const { sent, total, waiting } = this.sending;
    const bar = box.querySelector("progress");
    bar.max = total;
    bar.value = sent;
    box.querySelector("p").textContent = waiting
      ? `${waiting} Trying again … (${sent} of ${total} sent)`
      : `${sent} of ${total} sent`;
  }

  /** Say what has come of sending. */
  sent({ added, duplicates, errors, warnings }) {
    this.drawSending();
    const sentences = [`${counted(added, "picture")} added to ${this.title}.`];
    if (duplicates) sentences.push(`${counted(duplicates, "picture")} ${duplicates === 1 ? "was" : "were"} there already.`);
    if (errors.length) sentences.push(`${counted(errors.length, "file")} could not be used.`);
    if (warnings.length) sentences.push(`${counted(warnings.length, "picture")} ${warnings.length === 1 ? "is" : "are"} in another class too.`);
    this.page.say(sentences.join(" "));
    const box = this.find(".refused");
    box.hidden = sentences.length === 1;
    box.classList.toggle("error", errors.length > 0);
    box.querySelector("p").textContent = sentences.slice(1).join(" ");
    const lines = [
      ...errors.map(({ image, error }) => (error.includes(image) ? error : `${image}: ${error}`)),
      ...warnings.map(({ warning }) => warning),
    ];
    const [some, others] = box.querySelectorAll("ul");
    fillList(some, lines.slice(0, LISTED));
    fillList(others, lines.slice(LISTED));
    const more = box.querySelector("details");
    more.hidden = lines.length <= LISTED;
    more.open = false;
    more.querySelector("summary").textContent = `and ${lines.length - LISTED} more`;
  }

  async rename(name) {
    const input = this.find(".class-title");
    const hint = this.find(".name-problem");
    hint.textContent = "";
    if (!name || name === this.name) { input.value = this.title; return; }
    const { page } = this;
    await page.change(async () => {
      const renamed = await send("PATCH", classUrl(page.project, this.name), { name });
      page.renamed(this, renamed.name);
      page.say(`The class is now called ${renamed.name}.`);
    }, problem => {
      hint.textContent = problem.message;
      input.value = this.title;
    });
  }

  /** Take another name. */
  take(name) {
    this.name = name;
    this.isBackground = name === this.page.background;
    this.nameAll();
    this.draw();
  }

  async remove() {
    const { page } = this;
    if (this.numPictures && !await confirmed(`Delete the class “${this.title}”?`, `Its ${counted(this.numPictures, "picture")} are deleted from the disk. This cannot be undone.`)) return;
    await page.change(async () => {
      await remove(classUrl(page.project, this.name));
      this.isDeleted = true;
      page.dropClass(this);
      page.say(`The class ${this.title} is deleted.`);
      document.getElementById("class-name").focus();
    });
  }

  async removePicture(picture, item) {
    const { page } = this;
    await page.change(async () => {
      await remove(pictureUrl(page.project, this.name, picture.id));
      this.pictures = this.pictures.filter(({ id }) => id !== picture.id);
      this.numPictures = Math.max(0, this.numPictures - 1);
      removeThumb(this.find(".thumbs"), item);
      this.draw();
      page.say(`${picture.name} is deleted; ${counted(this.numPictures, "picture")} left.`);
    });
  }

  showAll() {
    this.showsAll = true;
    this.page.wantsAll = true;
    this.page.refresh();
  }

  /** It is no more: stop all that is under way for it. */
  close() {
    this.gone = true;
    this.recorder.close();
    this.page.uploads.drop(this);
    this.element.remove();
  }
}

function fillList(list, lines) {
  list.replaceChildren(...lines.map(line => {
    const item = document.createElement("li");
    item.textContent = line;
    return item;
  }));
}
