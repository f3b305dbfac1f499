// Slices of a tensor by their indices, one element of the output per thread.
// Negative indices count from the end; one that leads nowhere is told in
// `faults`.

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
    let inner = i % params.inner;
    let slice = i / params.inner;
    let outer = slice / params.indices;
    let index = indices[index_place(slice % params.indices)];
    let size = Index(params.size);
    let from_start = select(index, index + size, index < Index(0));
    let is_inside = from_start >= Index(0) && from_start < size;
    if (!is_inside) {
        atomicMax(&faults, params.step);
    }
    let at = u32(select(Index(0), from_start, is_inside));
    let place = outer_place(outer) + at * params.stride + inner_place(inner);
    out[i] = finish(i, Found(data[place]));
}
