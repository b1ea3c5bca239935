"""Make the SavedModels of the tests in a folder: `python make_models.py FOLDER`.

In a process of its own, for it imports all of TensorFlow, and the server must do without that.

    half      versions 123 (x/2 + 2) and 124 (x/2 + 3), as TensorFlow Serving's own test models
    several   named inputs and outputs of several types, NaN and infinities among them
    image     a convolution over 28x28x1, as the example's models
"""

import sys
from pathlib import Path
from typing import Any

import tensorflow as tf

v1 = tf.compat.v1


def half(folder: Path, offset: float) -> None:
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, None, name="x")
        factor = v1.get_variable("factor", initializer=0.5)
        y = tf.add(tf.multiply(x, factor), offset, name="y")
        serialized = v1.placeholder(tf.string, [None], name="examples")
        parsed = v1.io.parse_example(serialized, {"x": v1.io.FixedLenFeature([1], tf.float32)})
        from_example = tf.add(tf.multiply(parsed["x"], factor), offset)
        info, method = v1.saved_model.build_tensor_info, "tensorflow/serving/"
        signature = v1.saved_model.build_signature_def
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            signature_def_map={
                "serving_default": signature({"x": info(x)}, {"y": info(y)}, method + "predict"),
                "regress_x_to_y": signature(
                    {"inputs": info(serialized)}, {"outputs": info(from_example)}, method + "regress"
                ),
                "classify_x_to_y": signature(
                    {"inputs": info(serialized)}, {"scores": info(from_example)}, method + "classify"
                ),
            },
        )
        builder.save()


class Several(tf.Module):  # type: ignore[misc]
    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[
            tf.TensorSpec([None, 2], tf.int32, name="counts"),
            tf.TensorSpec([None], tf.string, name="text"),
            tf.TensorSpec([None], tf.float64, name="value"),
            tf.TensorSpec([None], tf.bool, name="flag"),
        ]
    )
    def all(self, counts: Any, text: Any, value: Any, flag: Any) -> dict[str, Any]:
        return {
            "sums": tf.reduce_sum(counts, axis=1),
            "text": tf.strings.join([text, "!"]),
            "raw_bytes": text,
            "inverse": 1.0 / value,
            "not_flag": tf.logical_not(flag),
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])  # type: ignore[untyped-decorator]
    def length(self, text: Any) -> dict[str, Any]:
        return {"length": tf.strings.length(text)}


class Image(tf.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.kernel = tf.Variable(tf.random.stateless_normal([3, 3, 1, 4], [1, 2]))

    @tf.function(input_signature=[tf.TensorSpec([None, 28, 28, 1], tf.float32, name="images")])  # type: ignore[untyped-decorator]
    def scores(self, images: Any) -> dict[str, Any]:
        return {"scores": tf.nn.softmax(tf.reduce_mean(tf.nn.conv2d(images, self.kernel, 2, "VALID"), axis=[1, 2]))}


def main(folder: Path) -> None:
    half(folder / "half" / "123", 2.0)
    half(folder / "half" / "124", 3.0)
    several = Several()
    signatures = {"serving_default": several.all, "length": several.length}
    tf.saved_model.save(several, str(folder / "several" / "1"), signatures=signatures)
    image = Image()
    tf.saved_model.save(image, str(folder / "image" / "1"), signatures={"serving_default": image.scores})


main(Path(sys.argv[1]))
