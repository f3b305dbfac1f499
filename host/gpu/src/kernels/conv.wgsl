// Convolutions as products of matrices, 64 output channels by 64 places of the
// output per workgroup: the patches of the input are gathered tile by tile, and
// never lie in memory as a matrix.
//
// Where PARTIAL, each of `splits` workgroups goes over its share of the kernel,
// and leaves what it found in an output of its own.

const TILE: u32 = 64u;
const DEPTH: u32 = 16u;
const PITCH: u32 = 68u;

var<workgroup> tile_w: array<f32, 1088>;
var<workgroup> tile_x: array<f32, 1088>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let area = params.out_h * params.out_w;
    let n = params.images * area;
    let tiles_n = (n + TILE - 1u) / TILE;
    let tiles_m = (params.m + TILE - 1u) / TILE;
    let number = group.y * groups.x + group.x;
    let tile = number / tiles_n;
    let first_n = (number % tiles_n) * TILE;
    let first_m = (tile % tiles_m) * TILE;
    let slab = tile / tiles_m;
    let g = slab % params.groups;
    let split = slab / params.groups;
    if (split >= params.splits) {
        return;
    }
    let first_k = split * params.share;
    let end_k = min(params.k, first_k + params.share);
    let my_m = (thread / 16u) * 4u;
    let my_n = (thread % 16u) * 4u;

    // A thread gathers for one place of the output.
    let place = first_n + thread % TILE;
    let image = place / area;
    let y = (place % area) / params.out_w;
    let x = place % params.out_w;
    let corner_y = i32(y * params.stride_h) - i32(params.pad_h);
    let corner_x = i32(x * params.stride_w) - i32(params.pad_w);
    let base_x = params.x_offset + image * params.x_n + g * params.channels * params.x_c;
    let base_w = params.w_offset + g * params.w_group;
    let window = params.kernel_h * params.kernel_w;

    var sum: array<f32, 16>;
    for (var k = first_k; k < end_k; k += DEPTH) {
        for (var e = thread; e < TILE * DEPTH; e += 256u) {
            let depth = e % DEPTH;
            let across = e / DEPTH;
            let row = first_m + across;
            let inside = row < params.m && k + depth < end_k;
            let at = select(0u, base_w + row * params.w_out + k + depth, inside);
            tile_w[depth * PITCH + across] = select(0.0, f32(w[at]), inside);
        }
        for (var depth = thread / TILE; depth < DEPTH; depth += 4u) {
            let tap = k + depth;
            let channel = tap / window;
            let in_window = tap % window;
            let in_y = corner_y + i32((in_window / params.kernel_w) * params.dilation_h);
            let in_x = corner_x + i32((in_window % params.kernel_w) * params.dilation_w);
            let inside = tap < end_k && place < n && in_y >= 0 && in_y < i32(params.in_h)
                && in_x >= 0 && in_x < i32(params.in_w);
            let found = base_x + channel * params.x_c + u32(in_y) * params.x_h + u32(in_x) * params.x_w;
            let at = select(0u, found, inside);
            tile_x[depth * PITCH + thread % TILE] = select(0.0, f32(input[at]), inside);
        }
        workgroupBarrier();
        for (var depth = 0u; depth < DEPTH; depth++) {
            let at_w = depth * PITCH + my_m;
            let at_x = depth * PITCH + my_n;
            let a0 = tile_w[at_w];
            let a1 = tile_w[at_w + 1u];
            let a2 = tile_w[at_w + 2u];
            let a3 = tile_w[at_w + 3u];
            let b0 = tile_x[at_x];
            let b1 = tile_x[at_x + 1u];
            let b2 = tile_x[at_x + 2u];
            let b3 = tile_x[at_x + 3u];
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
        if (row < params.m && column < n) {
            let out_y = (column % area) / params.out_w;
            let out_x = column % params.out_w;
            let i = (column / area) * params.out_n + (g * params.m + row) * params.out_c
                + out_y * params.out_y + out_x * params.out_x;
            if (PARTIAL) {
                out[split * params.groups * params.m * n + i] = finish(i, sum[e]);
            } else {
                out[i] = finish(i, sum[e]);
            }
        }
    }
}
