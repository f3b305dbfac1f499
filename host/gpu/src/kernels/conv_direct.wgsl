// Convolutions with few channels in a group, depthwise ones above all: one
// element of the output per thread.

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let number = (group.y * groups.x + group.x) * 256u + thread;
    let outputs = params.groups * params.m;
    if (number >= params.images * outputs * params.out_h * params.out_w) {
        return;
    }
    let x = number % params.out_w;
    let y = (number / params.out_w) % params.out_h;
    let plane = number / params.out_w / params.out_h;
    let channel = plane % outputs;
    let image = plane / outputs;
    let g = channel / params.m;
    let corner_y = i32(y * params.stride_h) - i32(params.pad_h);
    let corner_x = i32(x * params.stride_w) - i32(params.pad_w);
    var base_x = params.x_offset + image * params.x_n + g * params.channels * params.x_c;
    var at_w = params.w_offset + g * params.w_group + (channel % params.m) * params.w_out;
    var sum = 0.0;
    for (var c = 0u; c < params.channels; c++) {
        for (var kernel_y = 0u; kernel_y < params.kernel_h; kernel_y++) {
            let in_y = corner_y + i32(kernel_y * params.dilation_h);
            if (in_y >= 0 && in_y < i32(params.in_h)) {
                for (var kernel_x = 0u; kernel_x < params.kernel_w; kernel_x++) {
                    let in_x = corner_x + i32(kernel_x * params.dilation_w);
                    if (in_x >= 0 && in_x < i32(params.in_w)) {
                        let at_x = base_x + u32(in_y) * params.x_h + u32(in_x) * params.x_w;
                        sum += f32(w[at_w + kernel_y * params.kernel_w + kernel_x]) * f32(input[at_x]);
                    }
                }
            }
        }
        base_x += params.x_c;
        at_w += params.kernel_h * params.kernel_w;
    }
    let i = image * params.out_n + channel * params.out_c + y * params.out_y + x * params.out_x;
    out[i] = finish(i, sum);
}
