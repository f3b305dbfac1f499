// Where along an axis of so many elements an index of the data leads. Negative
// ones count from the end; one that leads nowhere is told in `faults`.
fn resolve(index: Index, size: u32) -> u32 {
    let from_start = select(index, index + Index(size), index < Index(0));
    let is_inside = from_start >= Index(0) && from_start < Index(size);
    if (!is_inside) {
        atomicMax(&faults, params.step);
    }
    return u32(select(Index(0), from_start, is_inside));
}
