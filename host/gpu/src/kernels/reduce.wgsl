// One element of the output per workgroup, out of a row of the input: `lift`
// makes a state of an element, `join` one of two, `settle` the result.

var<workgroup> states: array<State, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = group.y * groups.x + group.x;
    if (i >= params.count) {
        return;
    }
    let base = outer_place(i);
    var state = start();
    for (var j = thread; j < params.length; j += 256u) {
        state = join(state, lift(input[base + inner_place(j)], j));
    }
    states[thread] = state;
    for (var half = 128u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (thread < half) {
            states[thread] = join(states[thread], states[thread + half]);
        }
    }
    if (thread == 0u) {
        out[i] = finish(i, settle(states[0]));
    }
}
