// A picture of any number of axes at places between its elements, one element
// of the output per thread. Places go from -1 to 1 along each axis.

alias Place = array<f32, SPATIAL>;
alias Pixel = array<i32, SPATIAL>;

// The least and the largest place inside of an axis.
fn bounds(size: f32) -> vec2<f32> {
    return select(vec2<f32>(-0.5, size - 0.5), vec2<f32>(0.0, size - 1.0), ALIGN_CORNERS);
}

// A place mirrored at the bounds until it is inside.
fn mirrored(x: f32, inside: vec2<f32>) -> f32 {
    let range = inside.y - inside.x;
    if (range == 0.0) {
        return inside.x;
    }
    let is_below = x < inside.x;
    if (!is_below && !(x > inside.y)) {
        return x;
    }
    let beyond = select(x - inside.y, inside.x - x, is_below);
    let times = trunc(beyond / range);
    let rest = beyond - times * range;
    let is_even = times - 2.0 * floor(times * 0.5) == 0.0;
    return select(inside.y - rest, inside.x + rest, is_below == is_even);
}

fn padded(x: f32, inside: vec2<f32>) -> f32 {
    if (PADDING == BORDER) {
        return clamp(x, 0.0, inside.x + inside.y);
    }
    if (PADDING == REFLECTION) {
        return mirrored(x, inside);
    }
    return x;
}

// As a whole number that is far from where such numbers end.
fn whole(x: f32) -> i32 {
    return i32(clamp(x, -1073741824.0, 1073741824.0));
}

// The element of the picture, or what stands for it outside.
fn element(base: u32, pixel: Pixel) -> f32 {
    var coordinates = pixel;
    var place = base;
    for (var axis = 0u; axis < SPATIAL; axis++) {
        let size = i32(extent(axis));
        var at = coordinates[axis];
        if (PADDING == ZEROS && (at < 0 || at >= size)) {
            return 0.0;
        }
        if (PADDING == REFLECTION) {
            at = whole(mirrored(f32(at), bounds(f32(size))));
        }
        place += u32(clamp(at, 0, size - 1)) * stride(axis);
    }
    return f32(data[place]);
}

fn nearest(base: u32, place: Place) -> f32 {
    var source = place;
    var pixel: Pixel;
    for (var axis = 0u; axis < SPATIAL; axis++) {
        pixel[axis] = whole(source[axis]);
    }
    return element(base, pixel);
}

fn linear(base: u32, place: Place) -> f32 {
    var source = place;
    var sum = 0.0;
    for (var corner = 0u; corner < (1u << SPATIAL); corner++) {
        var weight = 1.0;
        var pixel: Pixel;
        for (var axis = 0u; axis < SPATIAL; axis++) {
            let low = floor(source[axis]);
            if (((corner >> axis) & 1u) == 0u) {
                pixel[axis] = whole(low);
                weight *= (low + 1.0) - source[axis];
            } else {
                pixel[axis] = whole(low) + 1;
                weight *= source[axis] - low;
            }
        }
        sum += weight * element(base, pixel);
    }
    return sum;
}

// Weights of four neighbours for a place between the second and the third.
fn cubic_weights(x: f32) -> vec4<f32> {
    let a = -0.75;
    let before = x + 1.0;
    let after = 1.0 - x;
    let last = 2.0 - x;
    return vec4<f32>(
        ((a * before - 5.0 * a) * before + 8.0 * a) * before - 4.0 * a,
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
        ((a + 2.0) * after - (a + 3.0)) * after * after + 1.0,
        ((a * last - 5.0 * a) * last + 8.0 * a) * last - 4.0 * a,
    );
}

// Over the first two axes: there are no others.
fn cubic(base: u32, place: Place) -> f32 {
    let last = SPATIAL - 1u;
    var source = place;
    let first_low = floor(source[0]);
    let last_low = floor(source[last]);
    var first_weights = cubic_weights(source[0] - first_low);
    var last_weights = cubic_weights(source[last] - last_low);
    var sum = 0.0;
    for (var h = 0; h < 4; h++) {
        var row = 0.0;
        for (var w = 0; w < 4; w++) {
            var pixel: Pixel;
            pixel[0] = whole(first_low) - 1 + w;
            pixel[last] = whole(last_low) - 1 + h;
            row += first_weights[w] * element(base, pixel);
        }
        sum += last_weights[h] * row;
    }
    return sum;
}

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
    let begin = grid_place(i);
    var place: Place;
    var is_outside = false;
    for (var axis = 0u; axis < SPATIAL; axis++) {
        let size = f32(extent(axis));
        // The grid names the last axis first.
        let source = f32(grid[begin + (SPATIAL - 1u - axis) * params.between]);
        var at = ((source + 1.0) * size - 1.0) / 2.0;
        if (ALIGN_CORNERS) {
            at = (source + 1.0) / 2.0 * (size - 1.0);
        }
        if (MODE == NEAREST) {
            at = round(at);
        }
        let inside = bounds(size);
        is_outside |= at < inside.x || at > inside.y;
        place[axis] = at;
    }
    if (is_outside) {
        for (var axis = 0u; axis < SPATIAL; axis++) {
            place[axis] = padded(place[axis], bounds(f32(extent(axis))));
        }
    }
    let base = data_place(i);
    if (MODE == NEAREST) {
        out[i] = finish(i, nearest(base, place));
    } else if (MODE == LINEAR) {
        out[i] = finish(i, linear(base, place));
    } else {
        out[i] = finish(i, cubic(base, place));
    }
}
