// One element of the output per thread, out of a row of the input that is short
// or lies far apart: `lift`, `join` and `settle` as for rows.

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
    let base = outer_place(i);
    var state = start();
    for (var j = 0u; j < params.length; j++) {
        state = join(state, lift(input[base + inner_place(j)], j));
    }
    out[i] = finish(i, settle(state));
}
