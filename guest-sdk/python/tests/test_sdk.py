import struct
import unittest

from samara_sdk import BF16, BOOL, BYTES, FP16, FP32, INT8, INT64, UINT8, Error, ErrorKind, Tensor, model
from samara_sdk.function import Function
from samara_sdk.testing import with_model


class Tensors(unittest.TestCase):
    def test_shapes_come_from_nesting(self):
        tensor = Tensor.of([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
        self.assertEqual((tensor.datatype, tensor.shape), (FP32, (2, 3)))
        self.assertEqual(tensor.tolist(), [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])

    def test_datatypes_come_from_values(self):
        for values, datatype in [([1, 2], INT64), ([True], BOOL), (["a", b"b"], BYTES), ([1, 2.5], FP32)]:
            self.assertIs(Tensor.of(values).datatype, datatype)

    def test_empty_axes_keep_their_shape(self):
        self.assertEqual(Tensor(FP32, (2, 0), b"").tolist(), [[], []])
        self.assertEqual(Tensor(FP32, (0, 2), b"").tolist(), [])
        self.assertEqual(Tensor.of([], FP32).shape, (0,))

    def test_ragged_rows_are_refused(self):
        with self.assertRaisesRegex(Error, "index 1"):
            Tensor.of([[1.0, 2.0], [3.0]])

    def test_values_that_do_not_fit_are_named(self):
        for values, datatype, words in [([1, 300], UINT8, "300 is no UINT8"), (["a"], INT8, "'a' is no INT8")]:
            with self.assertRaisesRegex(Error, words):
                Tensor.of(values, datatype)

    def test_texts_and_bytes(self):
        tensor = Tensor.of(["", "Grüße", b"\xff"])
        self.assertEqual(tensor.values(), [b"", "Grüße".encode(), b"\xff"])
        with self.assertRaises(Error) as refused:
            tensor.texts()
        self.assertIs(refused.exception.kind, ErrorKind.INVALID_INPUT)

    def test_lengths_of_bytes_are_not_trusted(self):
        for data in [b"\x01", struct.pack("<I", 5) + b"abc"]:
            with self.assertRaises(Error):
                Tensor(BYTES, (1,), data).values()

    def test_halves_round_to_the_nearest(self):
        values = [1.0, 1 / 3, -65504.0, 2**-24, float("inf")]
        self.assertEqual(Tensor.of(values, FP16).values()[1], 0.333251953125)
        self.assertEqual(Tensor.of([1 + 2**-8, 1 + 3 * 2**-8], BF16).values(), [1.0, 1.015625])

    def test_the_length_must_fit_the_shape(self):
        with self.assertRaisesRegex(Error, "4 bytes are no FP32"):
            Tensor(FP32, (2,), b"1234")


class Functions(unittest.TestCase):
    def setUp(self):
        self.two = Function(lambda x: (x, [1.0]), {"x": FP32[-1]}, {"a-b": FP32[-1], "c": FP32[1]})

    def test_outputs_come_in_order(self):
        outputs = self.two.call({"x": Tensor.of([2.0])})
        self.assertEqual({name: tensor.tolist() for name, tensor in outputs.items()}, {"a-b": [2.0], "c": [1.0]})

    def test_what_is_not_as_declared_is_named(self):
        for returned, error in [({"d": [1.0]}, "`d`"), ({"c": [1.0]}, "`a-b`"), ([1.0], "2 outputs")]:
            function = Function(lambda x, returned=returned: returned, self.two.inputs, self.two.outputs)
            with self.assertRaisesRegex(TypeError, error):
                function.call({"x": Tensor.of([2.0])})


class Models(unittest.TestCase):
    def test_a_stand_in_answers(self):
        with with_model("double", lambda inputs: {"y": [2 * value for value in inputs["x"].values()]}):
            self.assertEqual(model("double").run({"x": [1.0, 2.0]})["y"].tolist(), [2.0, 4.0])
            with self.assertRaises(Error) as refused:
                model("triple")
            self.assertIs(refused.exception.kind, ErrorKind.NOT_FOUND)
        with self.assertRaises(RuntimeError):
            model("double")


if __name__ == "__main__":
    unittest.main()
