// Labels with their scores, as bars.

/** Fill an <ol class="bars"> with categories ({index, label, score}), best first. */
export function renderBars(list, categories) {
  list.replaceChildren(...categories.map(({ index, label, score }) => {
    const item = document.createElement("li");
    const name = document.createElement("bdi"); // It may be written from the right.
    name.className = "label";
    name.textContent = label ?? String(index);
    const meter = document.createElement("meter");
    meter.max = 1;
    meter.value = score;
    meter.setAttribute("aria-hidden", "true");
    const figure = document.createElement("span");
    figure.className = "score";
    figure.textContent = `${(100 * score).toFixed(1)}%`;
    item.append(name, meter, figure);
    return item;
  }));
}
