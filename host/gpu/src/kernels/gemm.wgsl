// Products of matrices: 64 by 64 elements of the output per workgroup, 4 by 4
// per thread, from tiles of both matrices in workgroup memory.
//
// Where PARTIAL, each of `splits` workgroups goes over its share of the inner
// axis, and writes what it found to a matrix of its own.

const TILE: u32 = 64u;
const DEPTH: u32 = 16u;
// A tile's row is longer than the tile, so that threads that write a column
// meet different banks.
const PITCH: u32 = 68u;

var<workgroup> tile_a: array<Found, 1088>;
var<workgroup> tile_b: array<Found, 1088>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let tiles_n = (params.n + TILE - 1u) / TILE;
    let tiles_m = (params.m + TILE - 1u) / TILE;
    let number = group.y * groups.x + group.x;
    let tile = number / tiles_n;
    let first_n = (number % tiles_n) * TILE;
    let first_m = (tile % tiles_m) * TILE;
    let slab = tile / tiles_m;
    let batch = slab % params.batches;
    let split = slab / params.batches;
    if (split >= params.splits) {
        return;
    }
    let base_a = params.a_offset + batch_offset(batch, params.a_batch0, params.a_batch1, params.a_batch2);
    let base_b = params.b_offset + batch_offset(batch, params.b_batch0, params.b_batch1, params.b_batch2);
    let base_out = batch_offset(batch, params.out_batch0, params.out_batch1, params.out_batch2);
    let first_k = split * params.share;
    let end_k = min(params.k, first_k + params.share);
    let my_m = (thread / 16u) * 4u;
    let my_n = (thread % 16u) * 4u;

    var sum: array<Found, 16>;
    for (var k = first_k; k < end_k; k += DEPTH) {
        for (var e = thread; e < TILE * DEPTH; e += 256u) {
            let depth = select(e / TILE, e % DEPTH, A_ALONG_K);
            let across = select(e % TILE, e / DEPTH, A_ALONG_K);
            let row = first_m + across;
            let inside = row < params.m && k + depth < end_k;
            let place = select(0u, base_a + row * params.a_m + (k + depth) * params.a_k, inside);
            tile_a[depth * PITCH + across] = select(Found(0), Found(a[place]), inside);
        }
        for (var e = thread; e < TILE * DEPTH; e += 256u) {
            let depth = select(e % DEPTH, e / TILE, B_ALONG_N);
            let across = select(e / DEPTH, e % TILE, B_ALONG_N);
            let column = first_n + across;
            let inside = column < params.n && k + depth < end_k;
            let place = select(0u, base_b + (k + depth) * params.b_k + column * params.b_n, inside);
            tile_b[depth * PITCH + across] = select(Found(0), Found(b[place]), inside);
        }
        workgroupBarrier();
        for (var depth = 0u; depth < DEPTH; depth++) {
            let at_a = depth * PITCH + my_m;
            let at_b = depth * PITCH + my_n;
            let a0 = tile_a[at_a];
            let a1 = tile_a[at_a + 1u];
            let a2 = tile_a[at_a + 2u];
            let a3 = tile_a[at_a + 3u];
            let b0 = tile_b[at_b];
            let b1 = tile_b[at_b + 1u];
            let b2 = tile_b[at_b + 2u];
            let b3 = tile_b[at_b + 3u];
            sum[0] += a0 * b0;
            sum[1] += a0 * b1;
            sum[2] += a0 * b2;
            sum[3] += a0 * b3;
            sum[4] += a1 * b0;
            sum[5] += a1 * b1;
            sum[6] += a1 * b2;
            sum[7] += a1 * b3;
            sum[8] += a2 * b0;
            sum[9] += a2 * b1;
            sum[10] += a2 * b2;
            sum[11] += a2 * b3;
            sum[12] += a3 * b0;
            sum[13] += a3 * b1;
            sum[14] += a3 * b2;
            sum[15] += a3 * b3;
        }
        workgroupBarrier();
    }

    for (var e = 0u; e < 16u; e++) {
        let row = first_m + my_m + e / 4u;
        let column = first_n + my_n + e % 4u;
        if (row < params.m && column < params.n) {
            let i = base_out + row * params.out_m + column * params.out_n;
            if (PARTIAL) {
                out[split * params.batches * params.m * params.n + i] = finish(i, sum[e]);
            } else {
                out[i] = finish(i, sum[e]);
            }
        }
    }
}
