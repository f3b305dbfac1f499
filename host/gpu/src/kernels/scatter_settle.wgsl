// A tensor with updates, one element of the output per thread: the update that
// claimed the element, or what was there.

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
    let claim = claims[i];
    if (claim == 0u) {
        out[i] = finish(i, Found(data[data_place(i)]));
    } else {
        out[i] = finish(i, Found(updates[element_lane(i) + element_update(claim - 1u)]));
    }
}
