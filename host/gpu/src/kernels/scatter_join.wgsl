// Updates from `first` up to `last` joined one after the other with what is
// there, all of those of one lane by one thread: no two lanes meet in an element.

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let lane = (group.y * groups.x + group.x) * 256u + thread;
    if (lane >= params.lanes) {
        return;
    }
    let index_begin = index_lane(lane);
    let update_begin = element_lane(lane);
    let out_begin = out_lane(lane);
    for (var update = params.first; update < params.last; update++) {
        let at = out_begin + inside(index_begin + index_update(update));
        out[at] = join(out[at], updates[update_begin + element_update(update)]);
    }
}
