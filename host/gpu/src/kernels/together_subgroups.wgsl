// What the 256 threads of a workgroup find together: the threads of a subgroup
// among themselves, and only the subgroups through the workgroup's memory.

struct Where {
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_invocation_id) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
}

var<workgroup> shared_values: array<f32, 256>;

fn largest_of_all(at: Where, x: f32) -> f32 {
    let part = subgroupMax(x);
    if (at.lane == 0u) {
        shared_values[at.subgroup] = part;
    }
    workgroupBarrier();
    var largest = shared_values[0];
    for (var index = 1u; index < at.subgroups; index++) {
        let other = shared_values[index];
        largest = select(largest, other, largest < other);
    }
    workgroupBarrier();
    return largest;
}

fn sum_of_all(at: Where, x: f32) -> f32 {
    let part = subgroupAdd(x);
    if (at.lane == 0u) {
        shared_values[at.subgroup] = part;
    }
    workgroupBarrier();
    var sum = 0.0;
    for (var index = 0u; index < at.subgroups; index++) {
        sum += shared_values[index];
    }
    workgroupBarrier();
    return sum;
}
