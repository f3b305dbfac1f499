//! Memory of 1, 10 and 100 instances of one function that share one model.

use std::sync::mpsc;

use anyhow::{Context, Result};
use samara_engine::{CallOptions, Reuse};
use samara_nn::Tensor;
use samara_test::{onnx, resident_bytes};

use crate::function::{Bench, guest};

/// A square matrix of this width is 64 MiB of weights.
const WIDTH: usize = 4096;

pub(crate) fn run() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let empty = resident_bytes();
    println!("resident memory of instances of one function that share one model of 64 MiB");
    println!(
        "| instances, all inside a call | resident | above an empty process | per instance above the first |"
    );
    println!("|---|---|---|---|");
    let bench = Bench::new(Some(folder.path().into()), 128, 1)?;
    let function = bench.load(&guest("function_rows")?, Some(onnx::ready::matmul(WIDTH)), Reuse::Never)?;
    let mut first = 0;
    for instances in [1, 10, 100] {
        let (release, gate) = mpsc::channel::<()>();
        bench.compute.submit(move || {
            let _ = gate.recv();
        })?;
        let resident = bench.runtime.block_on(async {
            let calls: Vec<_> = (0..instances)
                .map(|_| {
                    let function = function.clone();
                    tokio::spawn(async move {
                        function.infer(inputs()?, CallOptions::default()).await.context("call")
                    })
                })
                .collect();
            while bench.compute.waiting() < instances {
                tokio::task::yield_now().await;
            }
            let resident = resident_bytes();
            drop(release);
            for call in calls {
                call.await??;
            }
            anyhow::Ok(resident)
        })?;
        if instances == 1 {
            first = resident;
        }
        let each = resident.saturating_sub(first) as f64 / f64::from(u32::try_from(instances)? - 1).max(1.0);
        println!(
            "| {instances} | {:.1} MiB | {:.1} MiB | {:.2} MiB |",
            mib(resident),
            mib(resident.saturating_sub(empty)),
            each / (1 << 20) as f64
        );
    }
    println!();
    Ok(())
}

fn inputs() -> Result<Vec<(String, Tensor)>> {
    Ok(vec![("x".to_owned(), Tensor::from_vec([1, WIDTH], vec![1f32; WIDTH])?)])
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1 << 20) as f64
}
