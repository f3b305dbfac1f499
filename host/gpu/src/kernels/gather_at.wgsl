// Elements of a tensor by indices along some of its axes, one element of the
// output per thread: `inside` says where the indices at a place lead.

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
    let at = data_place(i) + inside(index_place(i));
    out[i] = finish(i, Found(data[at]));
}
