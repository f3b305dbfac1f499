// A tensor resampled along one axis, one element of the output per thread: a sum
// over as many elements of the input as the window says, with the places and
// weights of tables.

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
    let inner = i % params.inner;
    let slice = i / params.inner;
    let at = slice % params.length;
    let base = outer_place(slice / params.length) + inner_place(inner);
    var sum = 0.0;
    for (var tap = 0u; tap < params.window; tap++) {
        let entry = at * params.window + tap;
        let weight = weights[entry];
        if (weight != 0.0) {
            sum += weight * f32(input[base + u32(places[entry]) * params.stride]);
        }
    }
    out[i] = finish(i, sum);
}
