// The best of every block of a row, as places along the axis: each candidate
// counts those of its block that are better, and so knows its place among them.
// One candidate per thread. Of equal ones the earlier is better.

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
    let row = i / params.length;
    let block = (i % params.length) / params.block;
    let begin = row * params.length + block * params.block;
    let end = min(begin + params.block, (row + 1u) * params.length);
    let base = row_place(row);
    let own = candidate(i);
    let own_key = key(input[base + own * params.stride]);
    var better = 0u;
    for (var at = begin; at < end; at++) {
        let other = candidate(at);
        let other_key = key(input[base + other * params.stride]);
        let is_better = other_key > own_key || (other_key == own_key && other < own);
        better += select(0u, 1u, is_better);
    }
    if (better < params.kept) {
        out[row * params.out_length + block * params.kept + better] = own;
    }
}
