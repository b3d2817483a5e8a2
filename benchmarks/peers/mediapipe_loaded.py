"""Keep a model loaded in MediaPipe Tasks."""

import mediapipe as mp
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision
from serving import serve


class _Peer:
    def __init__(self, model):
        options = vision.ImageClassifierOptions(BaseOptions(model))
        self.classifier = vision.ImageClassifier.create_from_options(options)
        # The model cannot be run alone; a picture of the input's size comes near it.
        pixels = np.zeros((224, 224, 3), np.uint8)
        self.small = mp.Image(mp.ImageFormat.SRGB, pixels)

    def invoke(self):
        self.classifier.classify(self.small)

    def label(self, path):
        result = self.classifier.classify(mp.Image.create_from_file(path))
        categories = result.classifications[0].categories
        categories.sort(key=lambda category: category.index)
        return [category.score for category in categories]


serve(_Peer)
