// Sums of all that comes before along an axis, one row per thread, in the order
// of the row: the elements from `first` up to `last`, going on with what an
// earlier launch left in the output.

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let row = (group.y * groups.x + group.x) * 256u + thread;
    if (row >= params.count) {
        return;
    }
    let begin = row_place(row);
    let out_begin = out_place(row);
    var sum = Found(0);
    if (params.first > 0u) {
        let before = position(params.first - 1u);
        sum = out[out_begin + before * params.out_stride];
        if (IS_EXCLUSIVE) {
            sum = add(sum, input[begin + before * params.stride]);
        }
    }
    for (var at = params.first; at < params.last; at++) {
        let place = position(at);
        let next = add(sum, input[begin + place * params.stride]);
        out[out_begin + place * params.out_stride] = select(next, sum, IS_EXCLUSIVE);
        sum = next;
    }
}

// Where the element lies that is the `at`th to be added.
fn position(at: u32) -> u32 {
    return select(at, params.length - 1u - at, IS_REVERSE);
}
