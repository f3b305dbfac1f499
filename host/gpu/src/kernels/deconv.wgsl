// Transposed convolutions over up to three axes, one element of the output per
// thread: the sum over all elements of the input that a kernel spreads to it.

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
    let x = i % params.out_w;
    let y = (i / params.out_w) % params.out_h;
    let z = (i / params.out_w / params.out_h) % params.out_d;
    let plane = i / params.out_w / params.out_h / params.out_d;
    let outputs = params.groups * params.m;
    let channel = plane % outputs;
    let image = plane / outputs;
    let g = channel / params.m;
    let area = params.kernel_d * params.kernel_h * params.kernel_w;
    let base_x = params.x_offset + image * params.x_n + g * params.channels * params.x_c;
    let base_w = params.w_offset + channel * params.channels * area;
    var sum = 0.0;
    for (var kz = 0u; kz < params.kernel_d; kz++) {
        let from_z = i32(z + params.pad_d) - i32(kz * params.dilation_d);
        if (from_z < 0 || u32(from_z) % params.stride_d != 0u || u32(from_z) / params.stride_d >= params.in_d) {
            continue;
        }
        for (var ky = 0u; ky < params.kernel_h; ky++) {
            let from_y = i32(y + params.pad_h) - i32(ky * params.dilation_h);
            if (from_y < 0 || u32(from_y) % params.stride_h != 0u || u32(from_y) / params.stride_h >= params.in_h) {
                continue;
            }
            for (var kx = 0u; kx < params.kernel_w; kx++) {
                let from_x = i32(x + params.pad_w) - i32(kx * params.dilation_w);
                if (from_x < 0 || u32(from_x) % params.stride_w != 0u || u32(from_x) / params.stride_w >= params.in_w) {
                    continue;
                }
                var at_x = base_x + u32(from_z) / params.stride_d * params.x_d
                    + u32(from_y) / params.stride_h * params.x_h
                    + u32(from_x) / params.stride_w * params.x_w;
                var at_w = base_w + (kz * params.kernel_h + ky) * params.kernel_w + kx;
                for (var c = 0u; c < params.channels; c++) {
                    sum += f32(w[at_w]) * f32(input[at_x]);
                    at_w += area;
                    at_x += params.x_c;
                }
            }
        }
    }
    let place = image * params.out_n + channel * params.out_c + z * params.out_z + y * params.out_y + x * params.out_x;
    out[place] = finish(place, sum);
}
