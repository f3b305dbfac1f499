//! Sends a GET request to the URL (`http://HOST[:PORT][/PATH]`) of its first
//! argument and prints the status of the answer, or the error.

use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{Fields, OutgoingRequest, Scheme};

fn main() {
    match status(&std::env::args().nth(1).unwrap_or_default()) {
        Ok(status) => println!("{status}"),
        Err(problem) => {
            println!("error: {problem}");
            std::process::exit(1);
        }
    }
}

fn status(url: &str) -> Result<u16, String> {
    let rest = url.strip_prefix("http://").ok_or("give a URL that starts with http://")?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
    let request = OutgoingRequest::new(Fields::new());
    let set = request.set_scheme(Some(&Scheme::Http));
    let set = set.and_then(|()| request.set_authority(Some(authority)));
    set.and_then(|()| request.set_path_with_query(Some(path))).map_err(|()| "not a URL")?;
    let answer = handle(request, None).map_err(|error| error.to_string())?;
    answer.subscribe().block();
    let answer = answer.get().and_then(Result::ok).ok_or("no answer")?;
    Ok(answer.map_err(|error| error.to_string())?.status())
}
