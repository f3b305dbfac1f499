import unittest

from function import standardise
from samara_sdk import Error, ErrorKind
from samara_sdk.testing import call


class Standardise(unittest.TestCase):
    def test_columns_are_standardised(self):
        outputs = call(standardise, {"rows": [[1.0, 10.0], [3.0, 30.0]]})
        self.assertEqual(outputs["standardised"].tolist(), [[-1.0, -1.0], [1.0, 1.0]])
        self.assertEqual(outputs["mean"].tolist(), [2.0, 20.0])

    def test_a_constant_column_is_only_shifted(self):
        outputs = call(standardise, {"rows": [[5.0], [5.0]]})
        self.assertEqual(outputs["standardised"].tolist(), [[0.0], [0.0]])

    def test_rows_of_different_lengths_are_refused(self):
        with self.assertRaises(Error) as refused:
            call(standardise, {"rows": [[1.0, 2.0], [3.0]]})
        self.assertEqual(refused.exception.kind, ErrorKind.INVALID_INPUT)


if __name__ == "__main__":
    unittest.main()
