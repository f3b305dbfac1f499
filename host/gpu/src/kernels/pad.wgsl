// A tensor with borders, one element of the output per thread: `source` says
// which element of the input it is, or that it is none.

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
    let origin = source(i);
    if (origin.is_inside) {
        out[i] = finish(i, Found(input[origin.place]));
    } else {
        out[i] = finish(i, fill());
    }
}
