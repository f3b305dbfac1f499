// A discrete Fourier transform term by term, one part of one element of the
// output per thread. `table` holds for each position of a row the cosine, the
// sine and the weight of what is there.

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
    let frequency = frequency_place(i);
    let is_imaginary = i % 2u == 1u;
    let base = data_place(i);
    var turn = 0u;
    var sum = 0.0;
    // Terms are added in groups, which loses fewer digits.
    for (var first = 0u; first < params.length; first += 64u) {
        let last = min(first + 64u, params.length);
        var part = 0.0;
        for (var at = first; at < last; at++) {
            let place = base + at * params.stride;
            let weight = table[3u * at + 2u];
            let real = f32(data[place]) * weight;
            let imaginary = f32(data[place + params.part_stride]) * weight;
            let cosine = table[3u * turn];
            let sine = table[3u * turn + 1u];
            let along = real * cosine - imaginary * sine;
            let across = real * sine + imaginary * cosine;
            part += select(along, across, is_imaginary);
            turn += frequency;
            turn -= select(0u, params.length, turn >= params.length);
        }
        sum += part;
    }
    out[i] = finish(i, sum);
}
