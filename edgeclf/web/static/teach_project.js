// The page of one project.

import { ask } from "./api.js";
import { picturesOf } from "./dropped.js";
import { ClassCard } from "./teach_class.js";
import { byClass, chosenPictures, className } from "./teach_files.js";
import { Notes } from "./teach_notes.js";
import { projectUrl, send } from "./teach_server.js";
import { Training, readiness } from "./teach_training.js";
import { TryOut } from "./teach_try.js";
import { Uploads } from "./teach_upload.js";
import { announce, counted, keepFresh, tell } from "./teach_words.js";

const EVERY_MS = 3000;
const get = id => document.getElementById(id);

/** A project: its classes, its training, its model. */
class ProjectPage {
  constructor() {
    const { name, background, maxImages, maxMb } = get("project").dataset;
    this.project = name;
    this.url = projectUrl(name);
    this.background = background;
    this.cards = new Map(); // name of a class -> ClassCard
    this.wantsAll = false; // pictures, and not the newest alone
    this.changes = 0; // of this page; an answer that was asked for before one is old
    this.asked = this.shown = 0; // numbers of questions for all there is
    this.sentences = [];
    this.notes = new Notes(get("notes"));
    this.uploads = new Uploads(name, {
      maxImages: Number(maxImages),
      maxBytes: 1e6 * Number(maxMb),
      onBatch: (card, answer) => { this.changes += 1; card.added(answer); this.count(); },
      onChange: card => card.drawSending(),
      onEnd: (card, done) => {
        card.sent(done);
        if (done.lost && !card.isDeleted) this.noteLost(card, done.lost);
        this.refresh();
      },
    });
    this.training = new Training(name, {
      onBegin: () => { this.changes += 1; },
      onDone: () => this.refresh(),
    });
    this.tryOut = new TryOut(name);
    this.showDownloads(name);
    this.listen();
  }

  listen() {
    get("new-class").addEventListener("submit", event => {
      event.preventDefault();
      this.addTyped();
    });
    get("add-background").addEventListener("click", async () => {
      const card = await this.ensureClass(this.background);
      card?.find(".camera").focus();
    });
    const folder = get("choose-folder");
    folder.addEventListener("change", () => {
      const pictures = chosenPictures(folder);
      folder.value = "";
      this.addFolders(pictures);
    });
    document.addEventListener("dragover", event => {
      if (![...event.dataTransfer.types].includes("Files")) return;
      event.preventDefault();
      this.coverDrop(true);
    });
    document.addEventListener("dragleave", event => {
      if (!event.relatedTarget) this.coverDrop(false);
    });
    document.addEventListener("drop", async event => {
      this.coverDrop(false);
      if (event.defaultPrevented) return;
      event.preventDefault();
      try {
        await this.addFolders(await picturesOf(event.dataTransfer));
      } catch (error) {
        this.complain(`The browser could not read that: ${error.message}`);
      }
    });
    window.addEventListener("beforeunload", event => {
      if (this.uploads.left) event.preventDefault();
    });
  }

  /** Say something to who listens; what comes at once is said together. */
  say(sentence) {
    this.sentences.push(sentence);
    clearTimeout(this.speaking);
    this.speaking = setTimeout(() => announce(get("said"), this.sentences.splice(0).join(" ")), 150);
  }

  /** Show a sentence above everything; null: none. */
  complain(sentence) {
    tell(get("trouble"), sentence);
  }

  /** Show, or no longer, that folders may be dropped anywhere. */
  coverDrop(isOver) {
    get("drop-cover").hidden = !isOver;
  }

  /** Change something at the server: what was asked for before is no longer shown. */
  async change(work, onProblem = problem => this.complain(problem.message)) {
    this.changes += 1;
    try {
      await work();
      this.complain(null);
    } catch (problem) {
      onProblem(problem);
    }
    this.changes += 1;
    this.count();
    this.refresh();
  }

  /** Ask the server for all there is, and show it. */
  async refresh() {
    const seen = this.changes;
    const number = this.asked += 1;
    let project;
    try {
      project = await ask(this.wantsAll ? `${this.url}?all=1` : this.url);
    } catch (problem) {
      if (problem.status === 404) this.showGone();
      else this.complain(`${problem.message} What you see may be old; trying again.`);
      this.isTroubled = true;
      return;
    }
    if (this.isTroubled) this.complain(null);
    this.isTroubled = false;
    if (seen !== this.changes || number < this.shown) return; // There is a newer one.
    this.shown = number;
    this.wantsAll = false;
    this.show(project);
  }

  noteLost(card, number) {
    const were = number === 1 ? "was" : "were";
    this.notes.add(`“${card.title}” is no more: it was renamed or deleted elsewhere. ${counted(number, "picture")} for it ${were} not added; add ${number === 1 ? "it" : "them"} again to the class as it is called now.`);
  }

  showGone() {
    document.querySelector(".workbench").hidden = true;
    this.complain(`There is no project “${this.project}”. It may have been deleted.`);
  }

  show(project) {
    document.querySelector(".workbench").hidden = false;
    this.showClasses(project.classes);
    this.training.follow(project.training);
    this.training.showModel(project.model);
    this.tryOut.use(project.model);
    get("downloads").hidden = !project.model;
    this.count();
  }

  showClasses(classes) {
    const names = new Set(classes.map(({ name }) => name));
    for (const card of [...this.cards.values()]) {
      if (!names.has(card.name)) this.dropClass(card);
    }
    for (const described of classes) {
      const card = this.cards.get(described.name) ?? this.makeCard(described.name);
      if (card.show(described)) this.wantsAll = true;
    }
    this.order();
  }

  // Only cards that lie wrong are moved: moving takes the focus away.
  order() {
    const list = get("classes");
    const focused = document.activeElement;
    const cards = [...this.cards.values()].sort((one, other) =>
      Number(one.isBackground) - Number(other.isBackground) || (one.name < other.name ? -1 : 1));
    cards.forEach(({ element }, place) => {
      if (list.children[place] !== element) list.insertBefore(element, list.children[place] ?? null);
    });
    if (focused !== document.activeElement && list.contains(focused)) focused.focus();
  }

  makeCard(name) {
    const card = new ClassCard(this, name);
    this.cards.set(name, card);
    get("classes").append(card.element);
    return card;
  }

  /** Take a class's card away. */
  dropClass(card) {
    this.cards.delete(card.name);
    card.close();
  }

  /** A class has another name now. */
  renamed(card, name) {
    this.cards.delete(card.name);
    this.cards.get(name)?.close();
    this.cards.set(name, card);
    card.take(name);
    this.order();
  }

  /** Count what is there: for the heading, and for whether it can be trained. */
  count() {
    const cards = [...this.cards.values()];
    const classes = cards.filter(card => !card.isBackground);
    const pictures = cards.reduce((sum, card) => sum + card.numPictures, 0);
    get("totals").textContent = `${counted(classes.length, "class", "classes")}, ${counted(pictures, "picture")}`;
    get("add-background").hidden = this.cards.has(this.background);
    this.training.prepare(readiness(classes.map(card => ({ name: card.name, number: card.numPictures }))));
  }

  async addTyped() {
    if (this.isAdding) return; // The key was pressed twice.
    this.isAdding = true;
    const input = get("class-name");
    const hint = get("class-problem");
    tell(hint, null);
    await this.change(async () => {
      const { name } = await send("POST", `${this.url}/classes`, { name: input.value.trim() });
      if (!this.cards.has(name)) this.makeCard(name).draw();
      this.order();
      input.value = "";
      this.say(`The class ${name} is added.`);
    }, problem => tell(hint, problem.message));
    this.isAdding = false;
    input.focus();
  }

  /** Return the card of a class, which is made if it is not there; null: it cannot be. */
  async ensureClass(wanted, onProblem) {
    if (this.cards.has(wanted)) return this.cards.get(wanted);
    let card = null;
    await this.change(async () => {
      let name = wanted;
      try {
        ({ name } = await send("POST", `${this.url}/classes`, { name: wanted }));
      } catch (problem) {
        // Either another tab was faster, or there is one that is called much the same.
        if (problem.status !== 409 || !await this.isThere(wanted)) throw problem;
      }
      card = this.cards.get(name) ?? this.makeCard(name);
      card.draw();
      this.order();
    }, onProblem);
    return card;
  }

  async isThere(name) {
    const { classes } = await ask(this.url);
    return classes.some(described => described.name === name);
  }

  async addFolders(pictures) {
    const { classes, loose } = byClass(pictures);
    if (!classes.size) {
      this.complain(loose
        ? "Expected folders of pictures. To add single pictures, drop them onto a class."
        : "Expected a folder of pictures. There are none in it.");
      return;
    }
    for (const [folder, blobs] of classes) {
      const isKnown = folder === this.background || this.cards.has(folder);
      const name = isKnown ? folder : className(folder);
      const card = await this.ensureClass(name, problem => {
        this.notes.add(`Left out: the folder “${folder}” with ${counted(blobs.length, "picture")}. ${problem.message}`);
      });
      if (!card) continue;
      if (name !== folder.normalize("NFC")) this.notes.add(`The folder “${folder}” went to the class “${name}”: names begin and end with no dot and no blank, and begin with no underscore.`);
      card.add(blobs);
    }
    if (loose) this.notes.add(`Left out: ${counted(loose, "picture")} in no class folder.`);
  }

  showDownloads(name) {
    for (const link of document.querySelectorAll(".get-model")) {
      link.href = `${this.url}/model.tflite`;
      link.download = `${name}.tflite`;
    }
    get("get-labels").href = `${this.url}/labels.txt`;
    get("get-labels").download = `${name}.txt`;
    get("get-report").href = `${this.url}/report.html`;
    const file = `${name}.tflite`;
    const quoted = /^[\w.-]+$/.test(file) ? file : `'${file.replaceAll("'", "'\\''")}'`;
    get("command").textContent = `edgeclf label_image --model ${quoted} --image picture.jpg`;
  }
}

const page = new ProjectPage();
// While pictures are sent, what comes back says how many there are.
keepFresh(() => (page.uploads.left ? null : page.refresh()), EVERY_MS);
