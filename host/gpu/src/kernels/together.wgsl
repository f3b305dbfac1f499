// What the 256 threads of a workgroup find together, through its memory.

struct Where {
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
}

var<workgroup> shared_values: array<f32, 256>;

fn largest_of_all(at: Where, x: f32) -> f32 {
    shared_values[at.thread] = x;
    for (var half = 128u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (at.thread < half) {
            let mine = shared_values[at.thread];
            let other = shared_values[at.thread + half];
            shared_values[at.thread] = select(mine, other, mine < other);
        }
    }
    workgroupBarrier();
    let largest = shared_values[0];
    workgroupBarrier();
    return largest;
}

fn sum_of_all(at: Where, x: f32) -> f32 {
    shared_values[at.thread] = x;
    for (var half = 128u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (at.thread < half) {
            shared_values[at.thread] += shared_values[at.thread + half];
        }
    }
    workgroupBarrier();
    let sum = shared_values[0];
    workgroupBarrier();
    return sum;
}
