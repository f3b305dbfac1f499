// Along an axis, one value where an index leads and another elsewhere, one
// element of the output per thread. Negative indices count from the end; those
// outside of the axis lead nowhere.

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
    let index = to_index(indices[index_place(i)]);
    let at = select(index, index + Index(params.size), index < Index(0));
    if (at == Index(axis_place(i))) {
        out[i] = finish(i, on());
    } else {
        out[i] = finish(i, off());
    }
}
