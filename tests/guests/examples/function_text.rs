//! Text in, the same text in upper case out.

#[samara_sdk::function(output = "upper")]
fn text(text: String) -> String {
    text.to_uppercase()
}
