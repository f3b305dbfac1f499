// Attention in one go: ROWS queries per workgroup, over all keys in blocks of
// BLOCK. Scores never leave the workgroup: each block's are exponentials relative
// to the largest score so far, and what was added up before is scaled down
// whenever a larger one comes.

const ROWS: u32 = 16u;
const BLOCK: u32 = 32u;
// Vectors are taken four elements at a time, the last ones filled up with zeros.
const QUADS: u32 = (DEPTH + 3u) / 4u;
const QUADS_V: u32 = (DEPTH_V + 3u) / 4u;
// Of the output, per thread.
const EACH: u32 = (ROWS * QUADS_V + 255u) / 256u;
const LOWEST: f32 = -3.40282347e38;

var<workgroup> queries: array<vec4<f32>, ROWS * QUADS>;
var<workgroup> block: array<vec4<f32>, BLOCK * QUADS_MOST>;
var<workgroup> weights: array<f32, ROWS * BLOCK>;
var<workgroup> largest: array<f32, ROWS>;
var<workgroup> sums: array<f32, ROWS>;
var<workgroup> scales: array<f32, ROWS>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let tiles = (params.m + ROWS - 1u) / ROWS;
    let number = group.y * groups.x + group.x;
    let batch = number / tiles;
    if (batch >= params.batches) {
        return;
    }
    let first_row = (number % tiles) * ROWS;
    let base_q = params.q_offset + batch_offset(batch, params.q_batch0, params.q_batch1, params.q_batch2);
    let base_k = params.k_offset + batch_offset(batch, params.k_batch0, params.k_batch1, params.k_batch2);
    let base_v = params.v_offset + batch_offset(batch, params.v_batch0, params.v_batch1, params.v_batch2);
    let base_score = batch_offset(batch, params.score_batch0, params.score_batch1, params.score_batch2);
    let base_out = batch_offset(batch, params.out_batch0, params.out_batch1, params.out_batch2);

    for (var e = thread; e < ROWS * QUADS; e += 256u) {
        let row = first_row + e / QUADS;
        let at = (e % QUADS) * 4u;
        let place = base_q + row * params.q_m;
        let known = vec4<bool>(row < params.m) & (vec4<u32>(at, at + 1u, at + 2u, at + 3u) < vec4<u32>(DEPTH));
        queries[e] = vec4<f32>(
            select(0.0, f32(q[select(0u, place + at * params.q_k, known.x)]), known.x),
            select(0.0, f32(q[select(0u, place + (at + 1u) * params.q_k, known.y)]), known.y),
            select(0.0, f32(q[select(0u, place + (at + 2u) * params.q_k, known.z)]), known.z),
            select(0.0, f32(q[select(0u, place + (at + 3u) * params.q_k, known.w)]), known.w),
        );
    }
    if (thread < ROWS) {
        largest[thread] = bitcast<f32>(params.lowest);
        sums[thread] = 0.0;
    }
    var found: array<vec4<f32>, EACH>;

    for (var first = 0u; first < params.n; first += BLOCK) {
        for (var e = thread; e < BLOCK * QUADS; e += 256u) {
            let key = first + e / QUADS;
            let at = (e % QUADS) * 4u;
            let place = base_k + key * params.k_n;
            let known = vec4<bool>(key < params.n) & (vec4<u32>(at, at + 1u, at + 2u, at + 3u) < vec4<u32>(DEPTH));
            block[e] = vec4<f32>(
                select(0.0, f32(k[select(0u, place + at * params.k_k, known.x)]), known.x),
                select(0.0, f32(k[select(0u, place + (at + 1u) * params.k_k, known.y)]), known.y),
                select(0.0, f32(k[select(0u, place + (at + 2u) * params.k_k, known.z)]), known.z),
                select(0.0, f32(k[select(0u, place + (at + 3u) * params.k_k, known.w)]), known.w),
            );
        }
        workgroupBarrier();
        for (var e = thread; e < ROWS * BLOCK; e += 256u) {
            let row = e / BLOCK;
            let key = e % BLOCK;
            var value = bitcast<f32>(params.lowest);
            if (first_row + row < params.m && first + key < params.n) {
                var product = 0.0;
                for (var d = 0u; d < QUADS; d++) {
                    product += dot(queries[row * QUADS + d], block[key * QUADS + d]);
                }
                let i = base_score + (first_row + row) * params.score_m + first + key;
                value = f32(score(i, product));
            }
            weights[e] = value;
        }
        workgroupBarrier();
        if (thread < ROWS) {
            var most = largest[thread];
            for (var key = 0u; key < BLOCK; key++) {
                let value = weights[thread * BLOCK + key];
                most = select(most, value, most < value);
            }
            // Nothing was added up yet where the largest was the lowest.
            scales[thread] = select(exp(largest[thread] - most), 0.0, largest[thread] < LOWEST);
            largest[thread] = most;
        }
        workgroupBarrier();
        for (var e = thread; e < ROWS * BLOCK; e += 256u) {
            let most = largest[e / BLOCK];
            // Where every score so far is the lowest, none has a share yet.
            weights[e] = exp(weights[e] - select(most, 0.0, most < LOWEST));
        }
        for (var e = thread; e < BLOCK * QUADS_V; e += 256u) {
            let key = first + e / QUADS_V;
            let at = (e % QUADS_V) * 4u;
            let place = base_v + key * params.v_n;
            let known = vec4<bool>(key < params.n) & (vec4<u32>(at, at + 1u, at + 2u, at + 3u) < vec4<u32>(DEPTH_V));
            block[e] = vec4<f32>(
                select(0.0, f32(v[select(0u, place + at * params.v_d, known.x)]), known.x),
                select(0.0, f32(v[select(0u, place + (at + 1u) * params.v_d, known.y)]), known.y),
                select(0.0, f32(v[select(0u, place + (at + 2u) * params.v_d, known.z)]), known.z),
                select(0.0, f32(v[select(0u, place + (at + 3u) * params.v_d, known.w)]), known.w),
            );
        }
        workgroupBarrier();
        if (thread < ROWS) {
            var sum = sums[thread] * scales[thread];
            for (var key = 0u; key < BLOCK; key++) {
                sum += weights[thread * BLOCK + key];
            }
            sums[thread] = sum;
        }
        for (var each = 0u; each < EACH; each++) {
            let e = thread + each * 256u;
            if (e < ROWS * QUADS_V) {
                let row = e / QUADS_V;
                let column = e % QUADS_V;
                var sum = found[each] * scales[row];
                for (var key = 0u; key < BLOCK; key++) {
                    sum += weights[row * BLOCK + key] * block[key * QUADS_V + column];
                }
                found[each] = sum;
            }
        }
        workgroupBarrier();
    }

    for (var each = 0u; each < EACH; each++) {
        let e = thread + each * 256u;
        let row = first_row + e / QUADS_V;
        if (e < ROWS * QUADS_V && row < params.m) {
            let at = (e % QUADS_V) * 4u;
            let mean = found[each] / sums[e / QUADS_V];
            for (var part = 0u; part < min(4u, DEPTH_V - at); part++) {
                let i = base_out + row * params.out_m + (at + part) * params.out_d;
                out[i] = finish(i, mean[part]);
            }
        }
    }
}
