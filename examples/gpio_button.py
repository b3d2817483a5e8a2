"""Label what the camera sees when a button is pressed; light an LED for one label.

python gpio_button.py model.tflite Gzhel

The button connects GPIO 17 to ground, GPIO 27 feeds the LED through its resistor.
"""

import sys

from gpiozero import LED, Button
from picamera2 import Picamera2

from edgeclf import Classifier

model, wanted = sys.argv[1:]
button, led = Button(17), LED(27)

with Classifier(model) as classifier, Picamera2() as camera:
    # What picamera2 calls BGR888 is R, G, B in the array, and RGB888 is B, G, R.
    main = {"format": "BGR888", "size": (640, 480)}
    camera.configure(camera.create_video_configuration(main))
    camera.start()
    try:
        while True:
            button.wait_for_press()
            best = classifier.classify(camera.capture_array(), top_k=1)[0]
            print(f"{best.label} {best.score:.2f}", flush=True)
            led.value = best.label == wanted
            button.wait_for_release()
    except KeyboardInterrupt:
        pass
