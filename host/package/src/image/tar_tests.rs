//! Tars as they are written and read, and those that are refused.

use super::tar_read::{Entries, Kind};
use super::tar_write::{BLOCK, TarWriter, checksum};

/// A header with what a test wants to say, its checksum right.
fn header(name: &[u8], kind: u8, size: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..name.len()].copy_from_slice(name);
    block[124..124 + size.len()].copy_from_slice(size);
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    summed(block)
}

fn summed(mut block: [u8; BLOCK]) -> [u8; BLOCK] {
    let sum = format!("{:06o}\0 ", checksum(&block));
    block[148..156].copy_from_slice(sum.as_bytes());
    block
}

fn padded(data: &[u8]) -> Vec<u8> {
    let mut padded = data.to_vec();
    padded.resize(data.len().next_multiple_of(BLOCK), 0);
    padded
}

fn octal(size: usize) -> Vec<u8> {
    format!("{size:011o}\0").into_bytes()
}

/// An extension header with its data, e.g. a pax record.
fn extension(kind: u8, data: &[u8]) -> Vec<u8> {
    [header(b"ext", kind, &octal(data.len())).to_vec(), padded(data)].concat()
}

fn file(name: &str, data: &[u8]) -> Vec<u8> {
    [header(name.as_bytes(), b'0', &octal(data.len())).to_vec(), padded(data)].concat()
}

fn ended(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), vec![0; 2 * BLOCK]].concat()
}

/// A path with the content of the file; `None`: a folder.
type Read = (String, Option<Vec<u8>>);

/// Every entry, or the refused one and why.
fn read(archive: &[u8]) -> Result<Vec<Read>, (String, String)> {
    let content = |kind: Kind| match kind {
        Kind::Folder => None,
        Kind::File { start, size } => Some(archive[start..start + size].to_vec()),
    };
    Entries::of(archive)
        .map(|entry| entry.map(|entry| (entry.path, content(entry.kind))))
        .collect::<Result<_, _>>()
        .map_err(|refused| (refused.entry, refused.reason))
}

fn reason(archive: &[u8]) -> String {
    let (entry, reason) = read(archive).unwrap_err();
    format!("`{entry}` {reason}")
}

#[test]
fn what_is_written_is_read_back() {
    let mut tar = TarWriter::new(Vec::new());
    let long = format!("{}/{}", "ä".repeat(60), "x".repeat(120));
    for path in ["a/b/c.txt", "a/b/d.txt", &long] {
        tar.file(path, path.len() as u64, &mut path.as_bytes()).unwrap();
    }
    let archive = tar.finish().unwrap();
    let entries = read(&archive).unwrap();
    let folders: Vec<&str> =
        entries.iter().filter(|entry| entry.1.is_none()).map(|entry| &*entry.0).collect();
    assert_eq!(folders, ["a", "a/b", &"ä".repeat(60)]);
    for (path, content) in entries.iter().filter_map(|(path, content)| Some((path, content.as_ref()?))) {
        assert_eq!(path.as_bytes(), content);
    }
    assert_eq!(archive.len() % BLOCK, 0);
}

#[test]
fn a_file_that_shrinks_is_told() {
    let mut tar = TarWriter::new(Vec::new());
    let error = tar.file("a", 10, &mut &b"short"[..]).unwrap_err();
    assert!(error.to_string().contains("shrank from 10 to 5 bytes"), "{error}");
}

#[test]
fn sizes_beyond_eight_gibibytes_are_written_as_pax_records() {
    let size = 9 << 30;
    let mut tar = TarWriter::new(Vec::new());
    tar.file("big", size, &mut std::io::empty()).unwrap_err(); // the headers are out already
    let mut headers = Vec::new();
    TarWriter::new(&mut headers).file("big", size, &mut std::io::empty()).unwrap_err();
    assert_eq!(reason(&headers), "`big` should have 9663676416 bytes, but the layer has only 0 more");
    assert!(headers.windows(16).any(|window| window == b" size=9663676416"));
}

#[test]
fn names_of_other_tools_are_understood() {
    let gnu = [extension(b'L', b"long/name\0"), file("short", b"1")].concat();
    let pax = [extension(b'x', b"20 path=pax/name.tx\n11 mtime=1\n"), file("short", b"2")].concat();
    let global = [extension(b'g', b"13 comment=x\n"), file("./g", b"3")].concat();
    let mut prefixed = header(b"name", b'0', &octal(0));
    prefixed[345..351].copy_from_slice(b"prefix");
    let mut base256 = [0; 12];
    base256[0] = 0x80;
    base256[11] = 1;
    let binary = [header(b"bin", 0, &base256).to_vec(), padded(b"4")].concat();
    let root = header(b"./", b'5', &octal(0)).to_vec();
    let archive = ended(&[root, gnu, pax, global, summed(prefixed).to_vec(), binary]);
    let text = |text: &str| Some(text.as_bytes().to_vec());
    let expected = [
        ("", None),
        ("long/name", text("1")),
        ("pax/name.tx", text("2")),
        ("g", text("3")),
        ("prefix/name", text("")),
        ("bin", text("4")),
    ];
    assert_eq!(read(&archive).unwrap(), expected.map(|(path, content)| (path.to_owned(), content)));
}

#[test]
fn everything_but_folders_and_files_is_refused_by_name() {
    let kinds = [
        (b'1', "a hard link"),
        (b'2', "a symbolic link"),
        (b'3', "a device"),
        (b'4', "a device"),
        (b'6', "a pipe"),
        (b'S', "a sparse file"),
        (b'7', "unknown kind 0x37"),
        (b'V', "unknown kind 0x56"),
    ];
    for (kind, what) in kinds {
        let message = reason(&ended(&[file("good", b""), header(b"evil", kind, &octal(0)).to_vec()]));
        assert!(message.starts_with("`evil` is ") && message.contains(what), "{message}");
    }
    let link = [extension(b'K', b"target\0"), header(b"link", b'2', &octal(0)).to_vec()];
    assert!(reason(&ended(&link)).starts_with("`link` is a symbolic link"));
    let sparse = extension(b'x', b"22 GNU.sparse.major=1\n");
    assert!(reason(&ended(&[sparse, file("f", b"")])).contains("sparse file"));
}

#[test]
fn paths_that_lie_elsewhere_are_refused() {
    let deep = "a/".repeat(65) + "f";
    let paths: [(&str, &str); 9] = [
        ("/etc/passwd", "absolute path"),
        ("../x", "`..`"),
        ("a/../../x", "`..`"),
        ("a\\b", "backslash"),
        ("a\nb", "control character"),
        (".wh.x", "removes a file"),
        ("a/.wh..wh..opq", "removes a file"),
        ("folder/", "name of a folder"),
        (".", "without a name"),
    ];
    for (path, why) in paths {
        let message = reason(&ended(&[file(path, b"")]));
        assert!(message.contains(why), "{path}: {message}");
    }
    let record = format!("path={deep}\n");
    let record = format!("{} {record}", record.len() + 4);
    let message = reason(&ended(&[extension(b'x', record.as_bytes()), file("short", b"")]));
    assert!(message.contains("64 folders deep"), "{message}");
    let long = format!("{}\0", "x".repeat(5000));
    let message = reason(&ended(&[extension(b'L', long.as_bytes()), file("short", b"")]));
    assert!(message.contains("longer than 4096") && message.len() < 400, "{message}");
    let mut name = header(b"x", b'0', &octal(0));
    name[0] = 0xff;
    assert!(reason(&summed(name)).contains("not UTF-8"));
    assert!(reason(&ended(&[extension(b'g', b"10 path=a\n"), file("f", b"")])).contains("one pax record"));
}

#[test]
fn archives_that_are_cut_off_or_altered_are_refused() {
    let whole = ended(&[file("a", b"data"), file("b", b"more")]);
    for length in (1..whole.len()).filter(|length| length % BLOCK != 0) {
        let cut = &whole[..length];
        let result = read(cut);
        assert!(result.is_err() || cut[length / BLOCK * BLOCK..].iter().all(|&byte| byte == 0), "{length}");
    }
    assert!(reason(&whole[..BLOCK]).starts_with("`a` should have 4 bytes, but the layer has only 0 more"));
    assert!(reason(&whole[..BLOCK + 100]).starts_with("`a` should have 4 bytes"));
    let mut altered = whole.clone();
    altered[0] = b'z';
    assert!(reason(&altered).contains("checksum"));
    let mut hidden = whole.clone();
    hidden.push(1);
    assert!(reason(&hidden).contains("data behind its end"));
    assert!(reason(&[b"PK\x03\x04".as_slice(), &[7; 600]].concat()).contains("no tar"));
    assert!(reason(&extension(b'x', b"12 mtime=100\n")[..2 * BLOCK]).contains("malformed"));
    assert!(reason(&extension(b'x', b"11 mtime=1\n")).contains("ends where a file should follow"));
    let huge = header(b"huge", b'0', b"77777777777\0");
    assert!(reason(&huge).contains("8589934591 bytes"));
    let huge = header(b"huge", b'0', &[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    assert!(reason(&huge).contains("18446744073709551615 bytes"));
    assert!(reason(&header(b"x", b'0', &[0xff; 12])).contains("without a size"));
    assert!(reason(&header(b"x", b'L', &octal(2 << 20))).contains("more than 1 MiB"));
    assert_eq!(read(&[]).unwrap(), []);
}
