// Taking a picture: with the camera's own program on telephones, else in a window.

import { forgetCamera, grabFrame, openCamera } from "./camera.js";

const SIDE = 1600; // Longest side of a photograph, pixels.
const part = id => document.getElementById(id);
let stopCamera = () => {};

async function photograph() {
  // Telephones have a better camera than a page can be.
  if (matchMedia("(pointer: coarse)").matches) {
    part("capture").click();
    return;
  }
  part("camera").showModal();
  part("camera-error").hidden = true;
  part("viewfinder").hidden = false;
  part("shoot").disabled = true;
  try {
    const stop = await openCamera(part("viewfinder"), { onGone: complain });
    if (!stop) return; // The window was closed.
    stopCamera = stop;
    part("shoot").disabled = false;
    part("shoot").focus();
  } catch (error) {
    complain(error.message);
  }
}

function complain(sentence) {
  part("shoot").disabled = true;
  part("viewfinder").hidden = true;
  part("camera-error").textContent = sentence;
  part("camera-error").hidden = false;
}

async function shoot(take) {
  part("shoot").disabled = true; // A double click is one picture.
  try {
    const blob = await grabFrame(part("viewfinder"), SIDE);
    if (!part("camera").open) return;
    part("camera").close();
    take(blob);
  } catch (error) {
    complain(error.message);
  }
}

/** Let the page's buttons take pictures; `take` gets each as a Blob or File. */
export function offerCamera(take) {
  part("photograph").addEventListener("click", photograph);
  part("photograph").disabled = false;
  part("capture").addEventListener("change", () => {
    for (const file of part("capture").files) take(file);
    part("capture").value = "";
  });
  part("shoot").addEventListener("click", () => shoot(take));
  part("camera-close").addEventListener("click", () => part("camera").close());
  part("camera").addEventListener("close", () => {
    forgetCamera(part("viewfinder"));
    stopCamera();
    stopCamera = () => {};
  });
}
