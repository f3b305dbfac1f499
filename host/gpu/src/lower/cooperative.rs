//! Products by cooperative matrices: which are worth it, and their shader.

use tract_core::internal::TDim;

use super::matmul::{BATCHES, MATRIX_PARAMS_SHARED, MatMul};
use super::tiles::Extent;
use crate::shader::{Kernel, Shader, Spec, Variant};
use crate::tail::Tail;
use crate::view::is_one;

static COOP: Kernel =
    Kernel { name: "coop", body: include_str!("../kernels/coop.wgsl"), params: MATRIX_PARAMS_SHARED };

/// Square matrices that the threads of a subgroup multiply together: F16 by F16
/// into F32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Cooperative {
    By8,
    By16,
}

/// With fewer rows, columns or steps along the inner axis, matrices would be
/// mostly zeros.
const LEAST_SIDE: u32 = 32;
/// With fewer products of two numbers, the plain kernel is as fast.
const LEAST_PRODUCTS: u64 = 64 * 64 * 64;

impl Cooperative {
    /// Rows and columns of a matrix.
    pub(crate) const fn side(self) -> u32 {
        match self {
            Cooperative::By8 => 8,
            Cooperative::By16 => 16,
        }
    }

    /// The product in the tiles of its kernel, where it is large.
    pub(super) fn suits(self, extent: Extent) -> Option<Extent> {
        let is_wide = extent.m.min(extent.n).min(extent.k) >= LEAST_SIDE;
        let is_large = extent.elements().saturating_mul(u64::from(extent.k)) >= LEAST_PRODUCTS;
        (is_wide && is_large).then_some(Extent { tile: 4 * self.side(), ..extent })
    }

    pub(super) fn variant(self, product: &MatMul, tail: &Tail, partial: bool) -> Variant {
        let side = self.side();
        let matrix = |of: &str, role: &str| format!("coop_mat{side}x{side}<{of}, {role}>");
        let spec = Spec {
            inputs: &[("a", product.a.dtype), ("b", product.b.dtype)],
            declarations: vec![
                BATCHES.to_owned(),
                format!("const SIDE = {side}u;"),
                format!("alias Left = {};", matrix("f16", "A")),
                format!("alias Right = {};", matrix("f16", "B")),
                format!("alias Sum = {};", matrix("f32", "C")),
                format!("const A_ALONG_K = {};", is_one(&product.a.inner)),
                format!("const B_ALONG_N = {};", !is_one(&product.b.inner)),
                format!("const PARTIAL = {partial};"),
            ],
            ..Spec::new(&COOP, product.found, Some(tail))
        };
        spec.render()
    }
}

/// Whether a product may be large enough for them, as far as its rows, columns and
/// inner axis are known.
pub(super) fn may_suit(sizes: [&TDim; 3]) -> bool {
    sizes.iter().all(|size| size.as_i64().is_none_or(|size| size >= i64::from(LEAST_SIDE)))
}

/// Whether a shader computes by them.
pub(super) fn is_of(shader: &Shader) -> bool {
    shader.name == COOP.name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::tiles::TILE;

    #[test]
    fn large_products_are_worth_it() {
        let suits = |m, n, k, batches| {
            let extent = Extent { m, n, k, batches, tile: TILE };
            Cooperative::By16.suits(extent).map(|extent| extent.tile)
        };
        assert_eq!(suits(64, 64, 64, 1), Some(64));
        assert_eq!(suits(63, 64, 64, 1), None);
        assert_eq!(suits(32, 32, 32, 8), Some(64));
        assert_eq!(suits(31, 4096, 4096, 1), None, "few rows");
        let by_8 = Cooperative::By8.suits(Extent { m: 64, n: 64, k: 64, batches: 1, tile: TILE });
        assert_eq!(by_8.unwrap().tile, 32);
    }
}
