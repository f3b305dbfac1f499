//! Runs the model `m` on the numbers that its arguments give.

fn main() -> samara_sdk::Result<()> {
    let x = std::env::args().skip(1).map(|number| number.parse());
    let x: Vec<f32> = x.collect::<Result<_, _>>()?;
    let y: Vec<f32> = samara_sdk::model("m")?.run([("x", x)])?.take("y")?;
    println!("{y:?}");
    Ok(())
}
