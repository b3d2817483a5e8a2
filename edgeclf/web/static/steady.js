// Bars that move calmly: each class keeps its row while the scores change.

const MOST = 8; // rows
const ORDER_MS = 700; // at least between two changes of which rows there are
const FEW = 10; // classes that all have a row, in the order of the model

/** Shows categories, best first, in an <ol class="bars">, again and again. */
export class SteadyBars {
  constructor(list) {
    this.list = list;
    this.clear();
  }

  clear() {
    this.rows = new Map();
    this.ordered = -Infinity;
    this.list.replaceChildren();
  }

  /** `isGiven(category)` tells which stand out: the best, or the tags that are given. */
  show(categories, isGiven) {
    const now = performance.now();
    const isFew = categories.length <= FEW;
    if (now - this.ordered > ORDER_MS || this.rows.size === 0) {
      const shown = isFew ? [...categories].sort((a, b) => place(a) - place(b)) : categories.slice(0, MOST);
      this.arrange(shown);
      this.ordered = now;
    }
    for (const category of categories) {
      this.rows.get(category.index)?.show(category.score, isGiven(category));
    }
  }

  /** Move only what has to move: what stays keeps its transitions. */
  arrange(shown) {
    const wanted = shown.map(({ index, label }) => {
      if (!this.rows.has(index)) this.rows.set(index, new Row(label ?? String(index)));
      return this.rows.get(index).item;
    });
    const kept = new Set(shown.map(({ index }) => index));
    for (const [index, row] of this.rows) {
      if (kept.has(index)) continue;
      row.item.remove();
      this.rows.delete(index);
    }
    wanted.forEach((item, at) => {
      if (this.list.children[at] !== item) this.list.insertBefore(item, this.list.children[at] ?? null);
    });
  }
}

function place({ index }) {
  return index ?? Infinity;
}

class Row {
  constructor(label) {
    this.item = document.createElement("li");
    const name = document.createElement("bdi");
    name.className = "label";
    name.textContent = label;
    this.meter = document.createElement("meter");
    this.meter.max = 1;
    this.meter.setAttribute("aria-hidden", "true");
    this.figure = document.createElement("span");
    this.figure.className = "score";
    this.item.append(name, this.meter, this.figure);
  }

  show(score, isGiven) {
    this.meter.value = score;
    this.figure.textContent = `${(100 * score).toFixed(0)}%`;
    this.item.classList.toggle("given", isGiven);
  }
}
