// Which update comes last for each element of a tensor: its number plus 1, or 0
// where none comes. One update of one element per thread; `inside` says where
// the indices at a place lead. The largest number stays, whoever comes first.

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
    let lane = i % params.lanes;
    let update = i / params.lanes;
    let at = out_lane(lane) + inside(index_lane(lane) + index_update(update));
    atomicMax(&out[at], update + 1u);
}
