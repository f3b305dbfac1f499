// One row per workgroup: its largest element, the sum of the exponentials, then
// each element's share, or its logarithm where LOGARITHM.

@compute @workgroup_size(256)
fn main(at: Where) {
    let i = at.group.y * at.groups.x + at.group.x;
    if (i >= params.count) {
        return;
    }
    let base = outer_place(i);
    let out_base = out_outer_place(i);
    var largest = bitcast<f32>(params.lowest);
    for (var j = at.thread; j < params.length; j += 256u) {
        let x = f32(input[base + inner_place(j)]);
        largest = select(largest, x, largest < x);
    }
    largest = largest_of_all(at, largest);
    var sum = 0.0;
    for (var j = at.thread; j < params.length; j += 256u) {
        sum += exp(f32(input[base + inner_place(j)]) - largest);
    }
    sum = sum_of_all(at, sum);
    for (var j = at.thread; j < params.length; j += 256u) {
        let x = f32(input[base + inner_place(j)]) - largest;
        let place = out_base + out_inner_place(j);
        if (LOGARITHM) {
            out[place] = finish(place, x - log(sum));
        } else {
            out[place] = finish(place, exp(x) / sum);
        }
    }
}
