"""Train the article's models on Fashion-MNIST and save them for serving: `python train.py --model v1 --model v2`.

    v0   the first attempt: one filter, 7 by 7, one epoch in batches of 512; right in about two of three cases
    v1   one convolution of 8 filters, 3 by 3, stride 2;  dense softmax of 10;  Adam;  5 epochs
    v2   the same with 16 filters, 4 by 4
    v3   two convolutions (16 and 32 filters, 3 by 3) with pooling, dropout;  20 epochs, in batches of 128 instead of 32
         so that it takes minutes and not half an hour on two cores

Each becomes a SavedModel in `models/NAME/1`, with the signature `serving_default`, whose input is `images`. Training is
seeded. A model that was trained before by this very program, data, TensorFlow and settings is taken from the cache.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import data

SIGNATURE = "serving_default"
SEED = 20_200_525


@dataclass(frozen=True)
class Recipe:
    """How a model is made. filters, kernel: of the first convolution."""

    filters: int
    kernel: int
    epochs: int
    batch_size: int = 32
    deep: bool = False


RECIPES = {
    "v0": Recipe(filters=1, kernel=7, epochs=1, batch_size=512),
    "v1": Recipe(filters=8, kernel=3, epochs=5),
    "v2": Recipe(filters=16, kernel=4, epochs=5),
    "v3": Recipe(filters=16, kernel=3, epochs=20, batch_size=128, deep=True),
}


def obtain(name: str, recipe: Recipe, data_folder: Path, out: Path) -> float:
    """Put the model `name` into `out/name/1`, trained now or before; returns its accuracy on the test images."""
    kept = data.cache() / "models" / _key(name, recipe)
    if not (kept / "accuracy.json").is_file():
        _train_into(kept, name, recipe, data_folder)
        origin = ""
    else:
        origin = ", trained before"
    accuracy = float(json.loads((kept / "accuracy.json").read_text())["accuracy"])
    _put(kept / "1", out / name / "1")
    say(f"{name}: {accuracy:.1%} of the test images are recognized{origin}; saved in {out / name / '1'}")
    return accuracy


def build(recipe: Recipe) -> Any:
    """The network, compiled."""
    import keras
    from keras import layers

    middle = [layers.Conv2D(recipe.filters, recipe.kernel, strides=1 if recipe.deep else 2, activation="relu")]
    if recipe.deep:
        middle += [
            layers.MaxPooling2D(),
            layers.Conv2D(2 * recipe.filters, recipe.kernel, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
        ]
    model = keras.Sequential(
        [keras.Input((28, 28, 1), name="images"), *middle, layers.Flatten(), layers.Dense(10, activation="softmax")]
    )
    # Many steps in one call of TensorFlow: the same numbers in less than half the time.
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], steps_per_execution=64)
    return model


def save(model: Any, folder: Path) -> None:
    """A SavedModel with one signature: images (n, 28, 28, 1) to scores (n, 10)."""
    import keras
    import tensorflow as tf

    archive = keras.export.ExportArchive()
    archive.track(model)
    images = tf.TensorSpec((None, 28, 28, 1), tf.float32, name="images")
    archive.add_endpoint(SIGNATURE, lambda images: {"scores": model(images, training=False)}, input_signature=[images])
    archive.write_out(str(folder), verbose=False)


def _train_into(kept: Path, name: str, recipe: Recipe, data_folder: Path) -> None:
    """Train, save and measure, in a folder aside that takes its name when all is done."""
    _quiet()
    import keras

    say(f"{name}: training on 60,000 images, {recipe.epochs} epochs")
    train, test = ((data.images(data_folder, part), data.labels(data_folder, part)) for part in ("train", "t10k"))
    keras.utils.set_random_seed(SEED)
    model = build(recipe)
    model.fit(
        *train, batch_size=recipe.batch_size, epochs=recipe.epochs, verbose=0, callbacks=[_progress(name, recipe)]
    )
    _, accuracy = model.evaluate(*test, batch_size=1000, verbose=0)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix=f".{name}-") as aside:
        save(model, Path(aside) / "1")
        (Path(aside) / "accuracy.json").write_text(json.dumps({"accuracy": accuracy, **asdict(recipe)}))
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(aside, kept)


def _progress(name: str, recipe: Recipe) -> Any:
    import keras

    class Progress(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, *_: Any) -> None:
            self.began = time.monotonic()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seconds = time.monotonic() - self.began
            accuracy = (logs or {}).get("accuracy", float("nan"))
            say(f"{name}: epoch {epoch + 1:>2} of {recipe.epochs}, accuracy {accuracy:.3f}, {seconds:.1f} s")

    return Progress()


def _key(name: str, recipe: Recipe) -> str:
    """What a trained model depends on, as the name of its folder in the cache."""
    made_of = [
        Path(__file__).read_text(),
        sorted(data.DIGESTS.items()),
        _tensorflow(),
        version("keras"),
        asdict(recipe),
    ]
    return f"{name}-{hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]}"


def _tensorflow() -> str:
    for package in ("tensorflow-cpu", "tensorflow"):
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    raise PackageNotFoundError("tensorflow")


def _put(source: Path, target: Path) -> None:
    """Make `target` a copy of `source`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".new-") as aside:
        copied = shutil.copytree(source, Path(aside) / "copy")
        shutil.rmtree(target, ignore_errors=True)
        copied.replace(target)


def _quiet() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")


def say(line: str) -> None:
    """One line of progress, at once."""
    print(line, flush=True)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the Fashion-MNIST models and save them for serving.")
    parser.add_argument("--model", action="append", choices=[*RECIPES, "all"], help="may be repeated (default: all)")
    parser.add_argument("--out", type=Path, default=Path("models"), help="the folder for the models (default: models)")
    parser.add_argument("--data", type=Path, default=Path("data"), help="the folder for the data (default: data)")
    parser.add_argument("--epochs", type=int, help="instead of the article's 5, 5 and 20")
    given = parser.parse_args()
    names = given.model or ["all"]
    wanted = [name for name in RECIPES if name in names or "all" in names]
    if given.epochs is not None and given.epochs < 1:
        parser.error("--epochs must be 1 or more")
    try:
        data.fetch(given.data, say)
        for name in wanted:
            recipe = RECIPES[name]
            if given.epochs is not None:
                recipe = Recipe(**{**asdict(recipe), "epochs": given.epochs})
            obtain(name, recipe, given.data, given.out)
    except PackageNotFoundError as error:
        print(f"train.py: {error.name} is not installed; pip install 'serin[tensorflow]'", file=sys.stderr)
        return 1
    except (data.DataError, OSError) as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
