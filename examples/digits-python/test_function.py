import unittest

from function import read
from samara_sdk import Error
from samara_sdk.testing import call, with_model


def always_three(inputs):
    shape = inputs["pixels"].shape
    assert shape[1:] == (1, 8, 8), shape
    return {"probabilities": [[0.1] * 3 + [0.7] + [0.1] * 6] * shape[0]}


class Read(unittest.TestCase):
    def test_the_likeliest_digit_is_answered(self):
        with with_model("digits", always_three):
            outputs = call(read, {"drawing": ["@\n" * 8, " \n" * 8]})
        self.assertEqual(outputs["digit"].tolist(), [3, 3])

    def test_what_is_no_drawing_is_refused(self):
        for drawing, words in [("@", "8 lines"), ("x\n" * 8, "'x' is no ink"), ("123456789\n" * 8, "8 lines")]:
            with self.assertRaisesRegex(Error, words):
                call(read, {"drawing": [drawing]})


if __name__ == "__main__":
    unittest.main()
