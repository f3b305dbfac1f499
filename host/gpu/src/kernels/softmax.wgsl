// One row per workgroup: its largest element, the sum of the exponentials, then
// each element's share, or its logarithm where LOGARITHM.

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
    var largest = bitcast<f32>(params.lowest);
    for (var j = thread; j < params.length; j += 256u) {
        let x = f32(input[base + inner_place(j)]);
        largest = select(largest, x, largest < x);
    }
    shared_values[thread] = largest;
    for (var half = 128u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (thread < half) {
            let other = shared_values[thread + half];
            shared_values[thread] = select(shared_values[thread], other, shared_values[thread] < other);
        }
    }
    workgroupBarrier();
    largest = shared_values[0];
    workgroupBarrier();
    var sum = 0.0;
    for (var j = thread; j < params.length; j += 256u) {
        sum += exp(f32(input[base + inner_place(j)]) - largest);
    }
    shared_values[thread] = sum;
    for (var half = 128u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (thread < half) {
            shared_values[thread] += shared_values[thread + half];
        }
    }
    workgroupBarrier();
    sum = shared_values[0];
    for (var j = thread; j < params.length; j += 256u) {
        let x = f32(input[base + inner_place(j)]) - largest;
        let place = out_base + out_inner_place(j);
        if (LOGARITHM) {
            out[place] = finish(place, x - log(sum));
        } else {
            out[place] = finish(place, exp(x) / sum);
        }
    }
}
