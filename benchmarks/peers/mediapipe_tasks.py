"""Label one picture with MediaPipe Tasks, labels from the model file's metadata."""

import sys

import mediapipe as mp
from mediapipe.tasks.python import BaseOptions, vision

model, picture = sys.argv[1:]
options = vision.ImageClassifierOptions(BaseOptions(model), max_results=5)
with vision.ImageClassifier.create_from_options(options) as classifier:
    result = classifier.classify(mp.Image.create_from_file(picture))
for category in result.classifications[0].categories:
    print(category.category_name, f"{category.score:.4f}")
