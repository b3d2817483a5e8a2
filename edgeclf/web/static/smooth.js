// Scores of many frames as one: a mean in which older frames count less and less.

/**
 * The exponentially weighted mean of all classes' scores. A frame that is `seconds`
 * old counts 1/e of a new one, whatever the rate of the frames; 0 seconds: only the
 * last frame counts. A class that an answer leaves out scored 0 there. An `unknown`
 * (index null) scores the share of the frames that were.
 */
export class Smoother {
  constructor(seconds) {
    this.seconds = seconds;
    this.clear();
  }

  clear() {
    this.means = new Map();
    this.last = null;
  }

  /** Add a frame's categories at a time in seconds; return the means, best first. */
  add(categories, time) {
    const isFirst = this.last === null || this.seconds === 0;
    const kept = isFirst ? 0 : Math.exp(-(time - this.last) / this.seconds);
    this.last = time;
    for (const mean of this.means.values()) mean.score *= kept;
    for (const { index, label, score } of categories) {
      const mean = this.means.get(index) ?? { index, label, score: 0 };
      mean.score += (1 - kept) * (index === null ? 1 : score);
      this.means.set(index, mean);
    }
    return [...this.means.values()]
      .sort((one, other) => other.score - one.score || one.index - other.index)
      .map(mean => ({ ...mean }));
  }
}
