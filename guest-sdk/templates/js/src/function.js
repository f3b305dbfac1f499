/** Standardises the columns of a table, as is usual before a model sees it. */

import * as samara from "samara-sdk";

const { FP32 } = samara;

/**
 * Shifts and scales each column of `rows` to mean 0 and standard deviation 1, and
 * says by how much. A constant column is only shifted.
 */
export default samara.function(
  {
    inputs: { rows: FP32(-1, -1) },
    outputs: { standardised: FP32(-1, -1), mean: FP32(-1), deviation: FP32(-1) },
  },
  ({ rows }) => {
    const table = rows.toArray();
    if (table.length === 0) {
      throw samara.Error.invalidInput("input `rows`: there is no row; give at least one");
    }
    const columns = table[0].map((_, axis) => table.map((row) => row[axis]));
    const mean = columns.map(meanOf);
    const deviation = columns.map((column, axis) =>
      Math.sqrt(meanOf(column.map((value) => (value - mean[axis]) ** 2))),
    );
    const standardised = table.map((row) =>
      row.map((value, axis) => (value - mean[axis]) / (deviation[axis] || 1)),
    );
    return { standardised, mean, deviation };
  },
);

function meanOf(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
