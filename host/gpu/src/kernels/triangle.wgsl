// The part of each matrix above or below a diagonal, and 0 elsewhere, one
// element of the output per thread. The diagonal is a number of the data.

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = (group.y * groups.x + group.x) * 256u + thread;
    if (i >= params.count) {
        return;
    }
    // No matrix has a side of 2^32: what lies further out is all the same.
    let diagonal = clamp(diagonals[diagonal_place(0u)], -4294967296li, 4294967296li);
    let above = i64(column_place(i)) - i64(row_place(i)) - diagonal;
    let is_kept = select(above <= 0li, above >= 0li, IS_UPPER);
    if (is_kept) {
        out[i] = finish(i, Found(data[data_place(i)]));
    } else {
        out[i] = finish(i, Found(0));
    }
}
