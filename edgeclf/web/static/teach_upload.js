// Pictures on their way to the server.

import { ask } from "./api.js";
import { classUrl } from "./teach_server.js";

const BATCH = 16; // pictures of a request
const BATCH_BYTES = 8e6; // so that progress is seen on a slow line
const AT_ONCE = 2; // requests
const LONGEST_WAIT_S = 15;

/**
 * Sends pictures to classes, a few at a time, and again where the server is busy.
 *
 * `onChange(aim)` is called after each step, `onEnd(aim)` when nothing of an aim is left.
 * An aim is what the caller passed to `add`: an object with the `name` of a class, which
 * may change meanwhile, and `isRecording` while more is to come; it gets `sending` here:
 * {total, sent, added, duplicates, errors, warnings, waiting, lost}. `lost` are pictures
 * whose class is no more.
 */
export class Uploads {
  constructor(project, { maxImages, maxBytes, onBatch, onChange, onEnd }) {
    this.project = project;
    this.most = Math.min(BATCH, maxImages);
    this.maxBytes = maxBytes;
    this.mostBytes = Math.min(BATCH_BYTES, maxBytes);
    Object.assign(this, { onBatch, onChange, onEnd });
    this.queue = []; // [{aim, files, attempts}]
    this.running = 0;
  }

  /** How many requests wait or run. */
  get left() { return this.queue.length + this.running; }

  /** Send files to a class. */
  add(aim, files) {
    aim.sending ??= { total: 0, sent: 0, added: 0, duplicates: 0, errors: [], warnings: [], waiting: null, lost: 0 };
    aim.sending.total += files.length;
    let batch = null;
    let bytes = 0;
    for (const file of files) {
      if (file.size > this.maxBytes * 0.98) {
        this.refuse(aim, [file], `Expected at most ${this.maxBytes / 1e6} MB. Received: ${(file.size / 1e6).toFixed(1)} MB.`);
        continue;
      }
      if (!batch || batch.files.length >= this.most || bytes + file.size > this.mostBytes) {
        batch = { aim, files: [], attempts: 0 };
        bytes = 0;
        this.queue.push(batch);
      }
      batch.files.push(file);
      bytes += file.size;
    }
    this.onChange(aim);
    this.pump();
    this.endIfDone(aim);
  }

  /** Give up what waits for a class. */
  drop(aim) {
    const dropped = this.queue.filter(batch => batch.aim === aim);
    this.queue = this.queue.filter(batch => batch.aim !== aim);
    for (const { files } of dropped) this.lose(aim, files);
    this.endIfDone(aim);
  }

  pump() {
    while (this.running < AT_ONCE && this.queue.length) {
      const batch = this.queue.shift();
      batch.aim.running = (batch.aim.running ?? 0) + 1;
      this.running += 1;
      this.send(batch).finally(() => {
        batch.aim.running -= 1;
        this.running -= 1;
        this.endIfDone(batch.aim);
        this.pump();
      });
    }
  }

  async send(batch) {
    const { aim, files } = batch;
    const { name } = aim;
    const form = new FormData();
    for (const file of files) form.append("image", file, file.name || "picture.jpg");
    let answer;
    try {
      answer = await ask(`${classUrl(this.project, name)}/pictures`, { method: "POST", body: form });
    } catch (problem) {
      if (problem.status === 404 && name !== aim.name) this.queue.unshift(batch); // renamed
      else await this.recover(batch, problem);
      return;
    }
    const { sending } = aim;
    sending.waiting = null;
    sending.sent += files.length;
    sending.added += answer.added.length;
    sending.duplicates += answer.duplicates;
    sending.errors.push(...answer.errors);
    sending.warnings.push(...answer.warnings ?? []);
    this.onBatch(aim, answer);
    this.onChange(aim);
  }

  async recover(batch, problem) {
    const { aim, files } = batch;
    if (problem.status === 404 || aim.gone) {
      this.lose(aim, files);
    } else if (problem.status === 413 && files.length > 1) {
      this.queue.unshift(...halves(batch));
    } else if ([0, 429, 502, 503, 504].includes(problem.status)) {
      batch.attempts += 1;
      const seconds = problem.retryAfter ?? Math.min(LONGEST_WAIT_S, 2 ** (batch.attempts - 1));
      aim.sending.waiting = problem.message;
      this.onChange(aim);
      await new Promise(resolve => setTimeout(resolve, 1000 * seconds));
      // A server that is busy may have room for fewer.
      if (aim.gone) this.lose(aim, files);
      else this.queue.unshift(...problem.status === 503 ? halves(batch) : [batch]);
    } else {
      this.refuse(aim, files, problem.message);
    }
  }

  refuse(aim, files, sentence) {
    aim.sending.sent += files.length;
    aim.sending.errors.push(...files.map(file => ({ image: file.name, error: sentence })));
    this.onChange(aim);
  }

  lose(aim, files) {
    aim.sending.sent += files.length;
    aim.sending.lost += files.length;
    this.onChange(aim);
  }

  /** Tell the end of an aim's sending, if it has come. */
  endIfDone(aim) {
    if (!aim.sending || aim.running || aim.isRecording || this.queue.some(batch => batch.aim === aim)) return;
    const done = aim.sending;
    aim.sending = null;
    this.onEnd(aim, done);
  }
}

function halves({ aim, files, attempts }) {
  const middle = (files.length + 1) >> 1;
  return [files.slice(0, middle), files.slice(middle)]
    .filter(part => part.length)
    .map(part => ({ aim, files: part, attempts }));
}
