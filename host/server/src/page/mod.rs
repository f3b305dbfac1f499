//! The page for people at `/`: plain HTML, CSS and JavaScript, held in the
//! binary. It knows no more of the server than any other client does: it asks
//! `/api/…` for what there is, and calls functions by the Open Inference
//! Protocol.
//!
//! `index.html` names its files by paths relative to itself (`page/main.js`),
//! so that a proxy may serve all of it under a prefix.

/// A file of the page.
#[derive(Debug)]
pub(crate) struct Asset {
    pub(crate) bytes: &'static [u8],
    pub(crate) media_type: &'static str,
    /// Hexadecimal digits that change with the content; the `ETag` is this
    /// between quotation marks.
    pub(crate) digest: Digest,
}

/// 64 bits of a file's content, FNV-1a: enough to notice a new build, and no
/// protection against anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest(u64);

impl Asset {
    /// The value of the header `ETag`.
    pub(crate) fn etag(&self) -> String {
        format!("\"{:016x}\"", self.digest.0)
    }
}

/// What browsers are told with each file of the page: nothing runs, loads or
/// is asked for but what this server itself serves, and text never becomes
/// markup.
pub(crate) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// Headers of each file of the page. Files are asked for again each time, which
/// an `ETag` makes cheap, so that a new build shows at once.
pub(crate) const HEADERS: [(&str, &str); 5] = [
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cache-control", "no-cache"),
];

/// Returns the file of the page at a path: `/` is the page, its parts are
/// below `/page/`.
pub(crate) fn asset(path: &str) -> Option<&'static Asset> {
    let name = match path {
        "/" => "index.html",
        _ => path.strip_prefix("/page/").filter(|name| *name != "index.html")?,
    };
    ASSETS.iter().find(|(listed, _)| *listed == name).map(|(_, asset)| asset)
}

macro_rules! assets {
    ($($name:literal => $media_type:expr),* $(,)?) => {
        [$(($name, {
            const BYTES: &[u8] = include_bytes!(concat!("assets/", $name));
            Asset { bytes: BYTES, media_type: $media_type, digest: Digest(fnv(BYTES)) }
        })),*]
    };
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

static ASSETS: [(&str, Asset); 23] = assets! {
    "index.html" => HTML,
    "icon.svg" => "image/svg+xml",
    "style.css" => CSS,
    "answer.js" => SCRIPT,
    "api.js" => SCRIPT,
    "chart.js" => SCRIPT,
    "code.js" => SCRIPT,
    "dom.js" => SCRIPT,
    "fields.js" => SCRIPT,
    "files.js" => SCRIPT,
    "function.js" => SCRIPT,
    "heat.js" => SCRIPT,
    "http.js" => SCRIPT,
    "json.js" => SCRIPT,
    "list.js" => SCRIPT,
    "main.js" => SCRIPT,
    "npy.js" => SCRIPT,
    "output.js" => SCRIPT,
    "pad.js" => SCRIPT,
    "picture.js" => SCRIPT,
    "tensor.js" => SCRIPT,
    "theme.js" => SCRIPT,
    "values.js" => SCRIPT,
};

const fn fnv(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut index = 0;
    while index < bytes.len() {
        hash = (hash ^ bytes[index] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        index += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn text(asset: &Asset) -> &'static str {
        std::str::from_utf8(asset.bytes).unwrap()
    }

    #[test]
    fn every_file_is_served() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/page/assets");
        let found: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let listed: BTreeSet<String> = ASSETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(found, listed);
    }

    #[test]
    fn the_page_and_its_parts_have_paths() {
        assert_eq!(asset("/").unwrap().media_type, HTML);
        assert_eq!(asset("/page/main.js").unwrap().media_type, SCRIPT);
        for path in
            ["", "/main.js", "/page", "/page/", "/page/index.html", "/page/../mod.rs", "/page//main.js"]
        {
            assert!(asset(path).is_none(), "{path}");
        }
    }

    #[test]
    fn every_part_that_is_named_exists() {
        let page = text(asset("/").unwrap());
        let mut named: Vec<String> = quoted(page, "=\"page/").map(|name| format!("/page/{name}")).collect();
        for (_, asset) in &ASSETS {
            named.extend(quoted(text(asset), "from \"./").map(|name| format!("/page/{name}")));
        }
        assert!(named.len() > 20, "the walk found nothing: {named:?}");
        for path in named {
            assert!(asset(&path).is_some(), "{path} is named, but is not served");
        }
    }

    /// What stands between `start` and the next quotation mark.
    fn quoted<'a>(text: &'a str, start: &'a str) -> impl Iterator<Item = &'a str> {
        text.split(start).skip(1).filter_map(|rest| rest.split('"').next())
    }

    #[test]
    fn nothing_breaks_the_policy() {
        assert!(!CONTENT_SECURITY_POLICY.contains("unsafe"));
        let page = text(asset("/").unwrap());
        for inline in ["<style", " style=", "onclick=", "onload=", "<script>", "http:", "https:"] {
            assert!(!page.contains(inline), "index.html has `{inline}`");
        }
        for (name, asset) in ASSETS.iter().filter(|(name, _)| name.ends_with(".js")) {
            for markup in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"]
            {
                assert!(!text(asset).contains(markup), "{name} has `{markup}`");
            }
        }
    }

    #[test]
    fn tags_follow_the_content() {
        let tags: BTreeSet<String> = ASSETS.iter().map(|(_, asset)| asset.etag()).collect();
        assert_eq!(tags.len(), ASSETS.len());
        assert_eq!(fnv(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
