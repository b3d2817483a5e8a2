// Presses of buttons that take something away: what lies there next must not go too.

/** Call something when a button is pressed; not for the second half of a double click. */
export function onSinglePress(button, act) {
  button.addEventListener("click", event => {
    if (event.detail < 2) act();
  });
  button.addEventListener("keydown", event => {
    if (event.repeat && event.key === "Enter") event.preventDefault(); // It is held.
  });
}
