//! Embeds sentences: each becomes 384 numbers, and those of sentences that mean alike
//! point the same way.

mod batches;
mod tokeniser;
mod vocabulary;

use batches::Batch;
use samara_sdk::{Error, Model, Tensor};
use tokeniser::Tokeniser;

/// Numbers in an embedding.
const WIDTH: usize = 384;
/// More texts than this would take longer than a call may.
const MAX_TEXTS: usize = 1024;

/// Gives the embedding of each text, of length 1, and how similar each text is to each:
/// the cosine of the angle between their embeddings, from -1 to 1.
#[samara_sdk::function(outputs(
    embedding(datatype = FP32, shape = [-1, 384]),
    similarity(datatype = FP32, shape = [-1, -1])
))]
fn embed_text(text: Vec<String>) -> Result<(Tensor, Tensor), Error> {
    let count = text.len();
    if count > MAX_TEXTS {
        return Err(Error::too_large(format!(
            "`text` has {count} elements, more than the {MAX_TEXTS} of a call: send them in several calls"
        )));
    }
    let tokeniser = Tokeniser::new(vocabulary::built_in());
    let texts: Vec<Vec<i64>> = text.iter().map(|text| tokeniser.tokens(text)).collect();
    let embeddings = embed(&texts)?;
    let similarities = similarities(&embeddings);
    Ok((
        Tensor::from_vec([count, WIDTH], embeddings.concat())?,
        Tensor::from_vec([count, count], similarities)?,
    ))
}

/// Returns the embeddings of texts that are tokens.
fn embed(texts: &[Vec<i64>]) -> Result<Vec<Vec<f32>>, Error> {
    let mut embeddings = vec![Vec::new(); texts.len()];
    if texts.is_empty() {
        return Ok(embeddings);
    }
    let model = samara_sdk::model("minilm")?;
    for batch in batches::of(texts) {
        for (&row, embedding) in batch.rows.iter().zip(run(&model, &batch)?) {
            embeddings[row] = embedding;
        }
    }
    Ok(embeddings)
}

fn run(model: &Model, batch: &Batch) -> Result<Vec<Vec<f32>>, Error> {
    let shape = [batch.rows.len(), batch.length];
    let mut outputs = model.run([
        ("input_ids", Tensor::from_vec(shape, batch.tokens.clone())?),
        ("attention_mask", Tensor::from_vec(shape, batch.mask.clone())?),
    ])?;
    let states: Tensor = outputs.take("last_hidden_state")?;
    if states.shape() != [shape[0], shape[1], WIDTH] {
        return Err(Error::internal(format!(
            "the model gave {:?} for tokens {shape:?}: it is not the one of make_model.py",
            states.shape()
        )));
    }
    let texts = states.as_slice::<f32>()?.chunks_exact(batch.length * WIDTH);
    Ok(texts.zip(batch.counts()).map(|(states, count)| pooled(&states[..count * WIDTH])).collect())
}

/// The mean of a text's states, those of its padding left out, scaled to length 1.
fn pooled(states: &[f32]) -> Vec<f32> {
    let mut sum = vec![0.0_f32; WIDTH];
    for state in states.chunks_exact(WIDTH) {
        for (sum, value) in sum.iter_mut().zip(state) {
            *sum += value;
        }
    }
    // The mean and its sum point the same way.
    let length = dot(&sum, &sum).sqrt().max(f32::MIN_POSITIVE);
    sum.iter_mut().for_each(|value| *value /= length);
    sum
}

/// The products of all pairs, row by row.
fn similarities(embeddings: &[Vec<f32>]) -> Vec<f32> {
    embeddings.iter().flat_map(|one| embeddings.iter().map(|other| dot(one, other))).collect()
}

/// Many short sums, which are more exact than a long one, and computed side by side.
fn dot(one: &[f32], other: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 16];
    for (one, other) in one.chunks(16).zip(other.chunks(16)) {
        for (sum, (one, other)) in sums.iter_mut().zip(one.iter().zip(other)) {
            *sum += one * other;
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use samara_sdk::testing::{call, with_model};
    use samara_sdk::{ErrorKind, Tensors};

    use super::*;

    /// Stands in for the model: the state of a token is its number everywhere, and 1 at its first place.
    fn stand_in(mut inputs: Tensors) -> Result<Tensors, Error> {
        let tokens: Tensor = inputs.take("input_ids")?;
        let shape = [tokens.shape()[0], tokens.shape()[1], WIDTH];
        let states = tokens.as_slice::<i64>()?.iter().flat_map(|&token| {
            let mut state = vec![token as f32; WIDTH];
            state[0] = 1.0;
            state
        });
        Tensors::new().with("last_hidden_state", Tensor::from_vec(shape, states.collect::<Vec<f32>>())?)
    }

    fn embedded(texts: &[&str]) -> Result<Tensors, Error> {
        let texts = Tensor::from_blobs(texts)?;
        with_model("minilm", stand_in, || call::<embed_text>([("text", texts)]))
    }

    #[test]
    fn an_embedding_is_the_same_in_every_company() {
        let alone: Tensor = embedded(&["a cat"]).unwrap().take("embedding").unwrap();
        let company = ["a much longer text than that, about nothing", "a cat", ""];
        let together: Tensor = embedded(&company).unwrap().take("embedding").unwrap();
        assert_eq!(together.shape(), [3, WIDTH]);
        assert_eq!(together.as_slice::<f32>().unwrap()[WIDTH..2 * WIDTH], *alone.as_slice::<f32>().unwrap());
    }

    #[test]
    fn each_text_is_wholly_similar_to_itself() {
        let texts = ["one", "two", "one"];
        let similarity: Tensor = embedded(&texts).unwrap().take("similarity").unwrap();
        assert_eq!(similarity.shape(), [3, 3]);
        let similarity = similarity.to_vec::<f32>().unwrap();
        for same in [0, 2, 4, 6, 8] {
            assert!((similarity[same] - 1.0).abs() < 1e-6, "{similarity:?}");
        }
        assert_eq!(similarity[1], similarity[3]);
    }

    #[test]
    fn no_texts_have_no_embeddings() {
        let mut outputs = embedded(&[]).unwrap();
        assert_eq!(outputs.take::<Tensor>("embedding").unwrap().shape(), [0, WIDTH]);
        assert_eq!(outputs.take::<Tensor>("similarity").unwrap().shape(), [0, 0]);
    }

    #[test]
    fn too_many_texts_are_the_callers_mistake() {
        let error = embedded(&["a"; MAX_TEXTS + 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(error.message().contains("1025"), "{error}");
    }
}
