"""Print the label of what a Raspberry Pi camera sees, until Ctrl-C.

python pi_camera.py model.tflite
"""

import sys

from picamera2 import Picamera2

from edgeclf import Classifier

SMOOTHING = 0.7  # share of the earlier frames in the scores: 0 follows every frame

with Classifier(sys.argv[1]) as classifier, Picamera2() as camera:
    # What picamera2 calls BGR888 is R, G, B in the array, and RGB888 is B, G, R.
    main = {"format": "BGR888", "size": (640, 480)}
    camera.configure(camera.create_video_configuration(main))
    camera.start()
    scores = seen = None
    try:
        while True:
            new = classifier.scores(camera.capture_array())
            scores = new if scores is None else new + SMOOTHING * (scores - new)
            best = classifier.labels[scores.argmax()]
            if best != seen:
                print(f"{best} {scores.max():.2f}", flush=True)
                seen = best
    except KeyboardInterrupt:
        pass
