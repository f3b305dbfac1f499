// Products of matrices by cooperative matrices of SIDE by SIDE elements, which the
// threads of a subgroup multiply together: operands rounded to F16, sums in F32.
//
// A workgroup computes a tile of 4 by 4 such matrices, from tiles of both operands
// in workgroup memory, with zeros where these end. Each subgroup takes a quarter of
// the tile; where there are fewer than four, they take the quarters in rounds.
//
// Where PARTIAL, each of `splits` workgroups goes over its share of the inner
// axis, and writes what it found to a matrix of its own.

const TILE = 4u * SIDE;
const QUARTERS = 4u;
const THREADS = 128u;
const DEPTH = 32u;
// Rows are longer than the tile, by a multiple of 16 bytes, which is how loads of
// matrices are aligned, so that rows begin in different banks.
const PITCH_A = DEPTH + 8u;
const PITCH_B = TILE + 8u;
const PITCH_SUM = TILE + 4u;

var<workgroup> tile_a: array<f16, TILE * PITCH_A>;
var<workgroup> tile_b: array<f16, DEPTH * PITCH_B>;
var<workgroup> sums: array<f32, TILE * PITCH_SUM>;
var<workgroup> subgroups_here: u32;

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
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

    if (thread == 0u) {
        subgroups_here = subgroups;
    }
    for (var e = thread; e < TILE * TILE; e += THREADS) {
        sums[(e / TILE) * PITCH_SUM + e % TILE] = 0f;
    }
    let at_once = workgroupUniformLoad(&subgroups_here);
    for (var done = 0u; done < QUARTERS; done += at_once) {
        // 1, or 0 for a subgroup that has no quarter in this round. Loops ask for it
        // rather than conditions, which the compiler of shaders takes for ones that
        // may differ within a subgroup.
        let turns = select(0u, 1u, done + subgroup < QUARTERS);
        let quarter = min(done + subgroup, QUARTERS - 1u);
        let my_m = (quarter / 2u) * 2u * SIDE;
        let my_n = (quarter % 2u) * 2u * SIDE;
        let at00 = my_m * PITCH_SUM + my_n;
        let at01 = at00 + SIDE;
        let at10 = at00 + SIDE * PITCH_SUM;
        let at11 = at10 + SIDE;
        var sum00 = coopLoadT<Sum>(&sums[at00], PITCH_SUM);
        var sum01 = coopLoadT<Sum>(&sums[at01], PITCH_SUM);
        var sum10 = coopLoadT<Sum>(&sums[at10], PITCH_SUM);
        var sum11 = coopLoadT<Sum>(&sums[at11], PITCH_SUM);
        for (var k = first_k; k < end_k; k += DEPTH) {
            for (var e = thread; e < TILE * DEPTH; e += THREADS) {
                let depth = select(e / TILE, e % DEPTH, A_ALONG_K);
                let across = select(e % TILE, e / DEPTH, A_ALONG_K);
                let row = first_m + across;
                let inside = row < params.m && k + depth < end_k;
                let place = select(0u, base_a + row * params.a_m + (k + depth) * params.a_k, inside);
                tile_a[across * PITCH_A + depth] = select(0h, f16(a[place]), inside);
            }
            for (var e = thread; e < TILE * DEPTH; e += THREADS) {
                let depth = select(e % DEPTH, e / TILE, B_ALONG_N);
                let across = select(e / DEPTH, e % TILE, B_ALONG_N);
                let column = first_n + across;
                let inside = column < params.n && k + depth < end_k;
                let place = select(0u, base_b + (k + depth) * params.b_k + column * params.b_n, inside);
                tile_b[depth * PITCH_B + across] = select(0h, f16(b[place]), inside);
            }
            workgroupBarrier();
            for (var depth = 0u; depth < turns * DEPTH; depth += SIDE) {
                let at_a0 = my_m * PITCH_A + depth;
                let at_a1 = at_a0 + SIDE * PITCH_A;
                let at_b0 = depth * PITCH_B + my_n;
                let at_b1 = at_b0 + SIDE;
                let a0 = coopLoadT<Left>(&tile_a[at_a0], PITCH_A);
                let a1 = coopLoadT<Left>(&tile_a[at_a1], PITCH_A);
                let b0 = coopLoadT<Right>(&tile_b[at_b0], PITCH_B);
                let b1 = coopLoadT<Right>(&tile_b[at_b1], PITCH_B);
                sum00 = coopMultiplyAdd(a0, b0, sum00);
                sum01 = coopMultiplyAdd(a0, b1, sum01);
                sum10 = coopMultiplyAdd(a1, b0, sum10);
                sum11 = coopMultiplyAdd(a1, b1, sum11);
            }
            workgroupBarrier();
        }
        for (var turn = 0u; turn < turns; turn++) {
            // What is stored is named first: the compiler of shaders panics over
            // arguments that are expressions.
            let found00 = sum00;
            let found01 = sum01;
            let found10 = sum10;
            let found11 = sum11;
            coopStoreT(found00, &sums[at00], PITCH_SUM);
            coopStoreT(found01, &sums[at01], PITCH_SUM);
            coopStoreT(found10, &sums[at10], PITCH_SUM);
            coopStoreT(found11, &sums[at11], PITCH_SUM);
        }
    }
    workgroupBarrier();

    for (var e = thread; e < TILE * TILE; e += THREADS) {
        let row = first_m + e / TILE;
        let column = first_n + e % TILE;
        if (row < params.m && column < params.n) {
            let i = base_out + row * params.out_m + column * params.out_n;
            let found = sums[(e / TILE) * PITCH_SUM + e % TILE];
            if (PARTIAL) {
                out[split * params.batches * params.m * params.n + i] = finish(i, found);
            } else {
                out[i] = finish(i, found);
            }
        }
    }
}
