// One row per workgroup, divided by the root of the mean of its squares.

var<workgroup> shared_values: array<f32, 256>;

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
    let out_base = out_outer_place(i);
    var sum = 0.0;
    for (var j = thread; j < params.length; j += 256u) {
        let x = f32(input[base + inner_place(j)]);
        sum += x * x;
    }
    shared_values[thread] = sum;
    for (var half = 128u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (thread < half) {
            shared_values[thread] += shared_values[thread + half];
        }
    }
    workgroupBarrier();
    let mean = shared_values[0] / f32(params.length);
    let scale = 1.0 / sqrt(mean + bitcast<f32>(params.epsilon));
    for (var j = thread; j < params.length; j += 256u) {
        let place = out_base + out_inner_place(j);
        out[place] = finish(place, f32(input[base + inner_place(j)]) * scale);
    }
}
