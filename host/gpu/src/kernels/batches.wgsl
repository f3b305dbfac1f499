// Where one of many products begins, which are repeated over three axes: `batch`
// is its number, `s0` to `s2` the strides along the axes.

fn batch_offset(batch: u32, s0: u32, s1: u32, s2: u32) -> u32 {
    let last = batch % params.batch2;
    let rest = batch / params.batch2;
    return (rest / params.batch1) * s0 + (rest % params.batch1) * s1 + last * s2;
}
