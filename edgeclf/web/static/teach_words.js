// Words and small windows that the teach pages share.

/** Say how many: `counted(1, "picture")` is "1 picture". */
export function counted(number, noun, plural = `${noun}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? noun : plural}`;
}

/** A share in [0, 1] as per cent. */
export function percent(share) {
  return `${(100 * share).toFixed(1)}%`;
}

/** Bytes as people read them. */
export function sized(bytes) {
  return bytes < 1e6 ? `${Math.round(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** A Date as people read it. */
export function moment(when) {
  return when.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
}

/** Say a sentence to who listens, in a role="status" element: also the same one again. */
export function announce(element, sentence) {
  element.textContent = "";
  setTimeout(() => { element.textContent = sentence; }, 60);
}

/** Show a sentence in an element that is hidden without one. */
export function tell(element, sentence) {
  element.textContent = sentence ?? "";
  if (element.classList.contains("notice")) element.hidden = !sentence;
}

/** Return a copy of a <template>'s one element. */
export function copyOf(id) {
  return document.getElementById(id).content.firstElementChild.cloneNode(true);
}

/** Ask before something is deleted; resolves to whether it is meant. */
export function confirmed(question, more) {
  const dialog = document.getElementById("confirm");
  document.getElementById("confirm-title").textContent = question;
  document.getElementById("confirm-more").textContent = more;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise(resolve => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

/**
 * Call something now, when the window is looked at again, and every so often meanwhile;
 * less often where it takes long: a tenth of the time at most.
 */
export function keepFresh(look, everyMs) {
  let next = 0;
  const visit = async () => {
    const began = performance.now();
    if (document.visibilityState !== "visible" || began < next) return;
    next = Infinity;
    try {
      await look();
    } finally {
      const ended = performance.now();
      next = ended + Math.max(0, 9 * (ended - began) - everyMs);
    }
  };
  document.addEventListener("visibilitychange", visit);
  window.addEventListener("focus", visit);
  setInterval(visit, everyMs);
  visit();
}
