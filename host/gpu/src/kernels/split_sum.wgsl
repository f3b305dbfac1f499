// Adds up the partial results that several workgroups left, always in the same
// order.

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = (group.y * groups.x + group.x) * 256u + thread;
    if (i < params.count) {
        var sum = Found(0);
        for (var split = 0u; split < params.splits; split++) {
            sum += partial[split * params.count + i];
        }
        out[i] = finish(i, sum);
    }
}
