"""Retrain MobileNet 0.50 on a folder of class folders with Keras.

What tensorflow.org's transfer-learning guide does, as somebody who knows Keras would
write it today: the frozen base sees every picture once, a dense layer is trained on
its features, and the whole network is converted to a fully quantized `.tflite` file,
which is then scored on the held-out pictures. With `--through_base` the dense layer is
trained as the guide does it, the base computing every picture anew in each epoch.

    .venv-tensorflow/bin/python benchmarks/peers/keras_retrain.py \
        --image_dir DIR --weights W.h5 --output model.tflite
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
STARTED = time.perf_counter()

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

IMAGE_SIZE = (224, 224)
SEED = 0


def main() -> None:
    """Train, convert, evaluate; the last line printed is JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--image_dir", required=True)
    parser.add_argument("--weights", required=True, help="for alpha 0.5, no top")
    parser.add_argument("--output", required=True, help="the int8 .tflite file")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--through_base", action="store_true")
    args = parser.parse_args()
    seconds = {"import": time.perf_counter() - STARTED}

    def mark(name: str) -> None:
        seconds[name] = time.perf_counter() - STARTED - sum(seconds.values())

    tf.keras.utils.set_random_seed(SEED)
    train, test = tf.keras.utils.image_dataset_from_directory(
        args.image_dir,
        validation_split=0.1,  # measured on, as by default in edgeclf
        subset="both",
        seed=SEED,
        image_size=IMAGE_SIZE,
        batch_size=32,
    )
    base = tf.keras.applications.MobileNet(
        (*IMAGE_SIZE, 3), alpha=0.5, include_top=False, weights=None, pooling="avg"
    )
    base.load_weights(args.weights)
    base.trainable = False
    inputs = tf.keras.Input((*IMAGE_SIZE, 3))
    features = base(tf.keras.layers.Rescaling(1 / 127.5, -1)(inputs), training=False)
    extractor = tf.keras.Model(inputs, features)
    head = tf.keras.layers.Dense(len(train.class_names), activation="softmax")
    model = tf.keras.Model(inputs, head(features))
    mark("build")

    if args.through_base:
        trained, train_data, test_data = model, train.cache(), test
    else:
        trained = tf.keras.Sequential([head])
        train_data, test_data = (features_of(extractor, part) for part in (train, test))
        mark("features")
    trained.compile(
        optimizer=tf.keras.optimizers.Adam(0.01),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    trained.fit(train_data, epochs=args.epochs, verbose=0)
    _, accuracy_float = trained.evaluate(test_data, verbose=0)
    mark("train")

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    sample = train.unbatch().batch(1).take(100)
    converter.representative_dataset = lambda: ([image] for image, _ in sample)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    Path(args.output).write_bytes(converter.convert())
    mark("convert")

    right = right_int8(args.output, test)
    mark("evaluate")
    result = {
        "accuracy_float": accuracy_float,
        "accuracy_int8": sum(right) / len(right),
        "num_test": len(right),
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
    }
    print(json.dumps(result))


def features_of(extractor: tf.keras.Model, data: tf.data.Dataset) -> tf.data.Dataset:
    """Return the dataset with pictures replaced by what the base makes of them."""
    batches = [(extractor.predict_on_batch(images), labels) for images, labels in data]
    features, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    features = tf.data.Dataset.from_tensor_slices((features, labels))
    return features.shuffle(len(labels)).batch(32)


def right_int8(path: str, data: tf.data.Dataset) -> list[bool]:
    """Return for each picture whether the `.tflite` file names its class."""
    interpreter = tf.lite.Interpreter(path)
    interpreter.allocate_tensors()
    input_index = interpreter.get_input_details()[0]["index"]
    output_index = interpreter.get_output_details()[0]["index"]
    right = []
    for image, label in data.unbatch().batch(1).as_numpy_iterator():
        interpreter.set_tensor(input_index, np.round(image).astype(np.uint8))
        interpreter.invoke()
        scores = interpreter.get_tensor(output_index)
        right.append(bool(scores.argmax() == label[0]))
    return right


if __name__ == "__main__":
    main()
