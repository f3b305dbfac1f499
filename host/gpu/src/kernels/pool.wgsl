// The largest element, or the sum, of a window of the input: one element of the
// output per thread. `start`, `join` and `settle` tell the ways apart.

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let number = (group.y * groups.x + group.x) * 256u + thread;
    if (number >= params.images * params.channels * params.out_h * params.out_w) {
        return;
    }
    let x = number % params.out_w;
    let y = (number / params.out_w) % params.out_h;
    let plane = number / params.out_w / params.out_h;
    let channel = plane % params.channels;
    let image = plane / params.channels;
    let corner_y = i32(y * params.stride_h) - i32(params.pad_h);
    let corner_x = i32(x * params.stride_w) - i32(params.pad_w);
    let base = params.x_offset + image * params.x_n + channel * params.x_c;
    var found = start();
    // Elements of the window that lie in the input, and in the padded input.
    var inside = 0u;
    var padded = 0u;
    for (var kernel_y = 0u; kernel_y < params.kernel_h; kernel_y++) {
        let in_y = corner_y + i32(kernel_y * params.dilation_h);
        if (in_y < i32(params.padded_h)) {
            for (var kernel_x = 0u; kernel_x < params.kernel_w; kernel_x++) {
                let in_x = corner_x + i32(kernel_x * params.dilation_w);
                if (in_x < i32(params.padded_w)) {
                    padded++;
                    if (in_y >= 0 && in_y < i32(params.in_h) && in_x >= 0 && in_x < i32(params.in_w)) {
                        inside++;
                        found = join(found, Found(input[base + u32(in_y) * params.x_h + u32(in_x) * params.x_w]));
                    }
                }
            }
        }
    }
    let i = image * params.out_n + channel * params.out_c + y * params.out_y + x * params.out_x;
    out[i] = finish(i, settle(found, inside, padded));
}
