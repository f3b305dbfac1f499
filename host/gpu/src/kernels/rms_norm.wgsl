// One row per workgroup, divided by the root of the mean of its squares.

@compute @workgroup_size(256)
fn main(at: Where) {
    let i = at.group.y * at.groups.x + at.group.x;
    if (i >= params.count) {
        return;
    }
    let base = outer_place(i);
    let out_base = out_outer_place(i);
    var sum = 0.0;
    for (var j = at.thread; j < params.length; j += 256u) {
        let x = f32(input[base + inner_place(j)]);
        sum += x * x;
    }
    let mean = sum_of_all(at, sum) / f32(params.length);
    let scale = 1.0 / sqrt(mean + bitcast<f32>(params.epsilon));
    for (var j = at.thread; j < params.length; j += 256u) {
        let place = out_base + out_inner_place(j);
        out[place] = finish(place, f32(input[base + inner_place(j)]) * scale);
    }
}
