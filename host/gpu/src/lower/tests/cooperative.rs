//! Products by cooperative matrices.

use super::*;
use crate::lower::Cooperative;

/// Lowers for a device with these matrices, and checks all of its shaders.
fn lowered_by(matrices: Cooperative, model: &TypedModel) -> Program {
    let abilities = Abilities { cooperative: Some(matrices), ..EVERYTHING };
    let program = lower(model, abilities, false).unwrap();
    for variant in program.steps.iter().flat_map(|of| &of.variants) {
        check_shader(&variant.shader.text);
    }
    program
}

fn kernels(program: &Program) -> Vec<&'static str> {
    program.steps.iter().flat_map(|of| &of.variants).map(|variant| variant.shader.name).collect()
}

#[test]
fn every_layout_and_datatype_has_a_shader() {
    for (matrices, side) in [(Cooperative::By8, 8), (Cooperative::By16, 16)] {
        for datatype in [f32::datum_type(), f16::datum_type()] {
            for (expression, left, right) in [
                ("nbik,nbkj->nbij", [5, 70, 120], [5, 120, 90]),
                ("nbik,nbjk->nbij", [5, 70, 120], [5, 90, 120]),
                ("nbki,nbkj->nbij", [5, 120, 70], [5, 120, 90]),
                ("nbki,nbjk->nbij", [5, 120, 70], [5, 90, 120]),
                ("nibk,nbkj->nijb", [70, 5, 120], [5, 120, 90]),
            ] {
                let mut build = Build::new();
                let (a, b) = (build.source(datatype, &left), build.source(datatype, &right));
                let y = build.wire(product(expression, datatype), &[a, b]);
                let y = build.wire(math::exp(), &[y]);
                let program = lowered_by(matrices, &build.finish(&[y]));
                assert_eq!(names(&program), ["matmul+exp"], "{expression}");
                // How often the product is repeated is open, and with it all the ways.
                let tiled = ["coop", "coop", "split_sum", "gemm", "gemm", "split_sum", "gemv", "gemv"];
                assert_eq!(kernels(&program), tiled, "{expression}");
                let text = &program.steps[0].variants[0].shader.text;
                assert!(text.contains(&format!("coop_mat{side}x{side}<f16, A>")), "{text}");
            }
        }
    }
}

#[test]
fn integers_keep_the_plain_kernel() {
    let mut build = Build::new();
    let x = build.source(i32::datum_type(), &[300]);
    let w = build.constant(i32::datum_type(), &[300, 300]);
    let y = build.wire(product("ik,kj->ij", i32::datum_type()), &[x, w]);
    let program = lowered_by(Cooperative::By16, &build.finish(&[y]));
    assert_eq!(names(&program), ["matmul"]);
    assert!(!kernels(&program).contains(&"coop"));
}

#[test]
fn a_product_that_is_never_large_has_no_shader_for_them() {
    let mut build = Build::new();
    let x = build.source(f32::datum_type(), &[300]);
    let w = build.constant(f32::datum_type(), &[300, 31]);
    let y = build.wire(product("ik,kj->ij", f32::datum_type()), &[x, w]);
    let program = lowered_by(Cooperative::By16, &build.finish(&[y]));
    assert!(!kernels(&program).contains(&"coop"));
}

#[test]
fn known_sizes_choose_one_kernel() {
    for (rows, kernel) in [(2, "gemv"), (8, "gemm"), (500, "coop")] {
        let mut build = Build::new();
        build.rows = TDim::from(rows);
        let x = build.source(f32::datum_type(), &[100]);
        let w = build.constant(f32::datum_type(), &[100, 100]);
        let y = build.wire(product("ik,kj->ij", f32::datum_type()), &[x, w]);
        let program = lowered_by(Cooperative::By16, &build.finish(&[y]));
        assert_eq!(kernels(&program), [kernel], "{rows} rows");
        let name = crate::plan::kernel(&program.steps[0], 0);
        assert_eq!(name, if kernel == "coop" { "matmul_fp16" } else { "matmul" });
    }
}
