// Products of a matrix with few rows: all four at once per workgroup, LANES_N
// columns of the output, with 256 / LANES_N threads for each that share the
// inner axis.

const LANES_K: u32 = 256u / LANES_N;

var<workgroup> shared_sum: array<Found, 1024>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let blocks_n = (params.n + LANES_N - 1u) / LANES_N;
    let number = group.y * groups.x + group.x;
    let batch = number / blocks_n;
    if (batch >= params.batches) {
        return;
    }
    // Neighbours read neighbouring elements of the large matrix.
    let lane_n = select(thread / LANES_K, thread % LANES_N, B_ALONG_N);
    let lane_k = select(thread % LANES_K, thread / LANES_N, B_ALONG_N);
    let column = (number % blocks_n) * LANES_N + lane_n;
    let base_a = params.a_offset + batch_offset(batch, params.a_batch0, params.a_batch1, params.a_batch2);
    let base_b = params.b_offset + batch_offset(batch, params.b_batch0, params.b_batch1, params.b_batch2);

    let base_out = batch_offset(batch, params.out_batch0, params.out_batch1, params.out_batch2);

    var s0 = Found(0);
    var s1 = Found(0);
    var s2 = Found(0);
    var s3 = Found(0);
    if (column < params.n) {
        let row1 = select(0u, params.a_m, params.m > 1u);
        let row2 = select(0u, 2u * params.a_m, params.m > 2u);
        let row3 = select(0u, 3u * params.a_m, params.m > 3u);
        for (var k = lane_k; k < params.k; k += LANES_K) {
            let right = Found(b[base_b + k * params.b_k + column * params.b_n]);
            let place = base_a + k * params.a_k;
            s0 += Found(a[place]) * right;
            s1 += Found(a[place + row1]) * right;
            s2 += Found(a[place + row2]) * right;
            s3 += Found(a[place + row3]) * right;
        }
    }
    let mine = (lane_k * LANES_N + lane_n) * 4u;
    shared_sum[mine] = s0;
    shared_sum[mine + 1u] = s1;
    shared_sum[mine + 2u] = s2;
    shared_sum[mine + 3u] = s3;
    for (var half = LANES_K / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (lane_k < half) {
            let other = mine + half * LANES_N * 4u;
            shared_sum[mine] += shared_sum[other];
            shared_sum[mine + 1u] += shared_sum[other + 1u];
            shared_sum[mine + 2u] += shared_sum[other + 2u];
            shared_sum[mine + 3u] += shared_sum[other + 3u];
        }
    }
    if (lane_k == 0u && column < params.n) {
        for (var row = 0u; row < params.m; row++) {
            let i = base_out + row * params.out_m + column * params.out_n;
            out[i] = finish(i, shared_sum[mine + row]);
        }
    }
}
