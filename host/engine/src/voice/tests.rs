//! Voices: what is heard of them, and what is kept.

use super::*;

type Heard = Arc<Mutex<Vec<(String, String)>>>;

fn voice() -> (Voice, Heard) {
    let heard = Heard::default();
    let hearing = Arc::clone(&heard);
    let listener = move |line: &GuestLine<'_>| {
        let said = (format!("{:?}", line.source), line.text.to_owned());
        hearing.lock().unwrap().push(said);
    };
    (speaking(GuestOutput::Listener(Arc::new(listener))), heard)
}

fn speaking(output: GuestOutput) -> Voice {
    let speaker = Speaker { function: "f".into(), stage: "s".into(), output };
    Voice::new(Arc::new(speaker))
}

fn texts(heard: &Heard) -> Vec<String> {
    heard.lock().unwrap().iter().map(|(_, text)| text.clone()).collect()
}

#[test]
fn only_the_end_is_kept() {
    let voice = speaking(GuestOutput::Discard);
    voice.stdout().take(&[b'a'; 3 * TAIL]);
    voice.stderr().take(b"end");
    let tail = voice.last_words();
    assert_eq!(tail.len(), TAIL);
    assert!(tail.ends_with("aend"));
}

#[test]
fn a_record_keeps_the_streams_apart_while_others_listen() {
    let heard = Heard::default();
    let hearing = Arc::clone(&heard);
    let listener = move |line: &GuestLine<'_>| {
        hearing.lock().unwrap().push((String::new(), line.text.to_owned()));
    };
    let output = GuestOutput::Listener(Arc::new(listener));
    let voice = Voice::recorded(Arc::new(Speaker { function: "f".into(), stage: "s".into(), output }));
    voice.stdout().take(b"one\n");
    voice.stderr().take(b"err\n");
    voice.stdout().take(b"two");
    assert_eq!(voice.record(), ("one\ntwo".to_owned(), "err\n".to_owned()));
    assert_eq!(texts(&heard), ["one", "err"]);
    voice.stdout().take(&vec![b'x'; RECORDED]);
    assert_eq!(voice.record().0.len(), RECORDED);
}

#[test]
fn lines_arrive_whole_and_apart() {
    let (voice, heard) = voice();
    voice.stdout().take(b"one\r\ntw");
    voice.stderr().take(b"err");
    voice.stdout().take(b"o\n\nthree");
    assert_eq!(texts(&heard), ["one", "two", ""]);
    voice.end();
    assert_eq!(texts(&heard)[3..], ["three", "err"]);
    voice.end();
    assert_eq!(heard.lock().unwrap().len(), 5);
    assert_eq!(heard.lock().unwrap()[4].0, "Stderr");
}

#[test]
fn a_line_without_end_comes_in_pieces_and_a_flood_is_cut_off() {
    let (voice, heard) = voice();
    voice.stdout().take(&vec![b'x'; 2 * LONGEST_LINE + 1]);
    assert_eq!(texts(&heard).iter().map(String::len).collect::<Vec<_>>(), [LONGEST_LINE; 2]);
    for _ in 0..MOST_PER_CALL {
        voice.stdout().take(b"\n");
    }
    assert_eq!(texts(&heard).last().unwrap(), LEFT_OUT);
    assert!(heard.lock().unwrap().len() < MOST_PER_CALL / 32);
    voice.begin(None);
    voice.stdout().take(b"again\n");
    assert_eq!(texts(&heard).last().unwrap(), "again");
}

#[test]
fn a_voice_that_is_dropped_is_heard_to_the_end() {
    let (voice, heard) = voice();
    voice.stderr().take(b"last");
    drop(voice);
    assert_eq!(texts(&heard), ["last"]);
}

#[test]
fn messages_keep_their_level_and_are_cut() {
    let (voice, heard) = voice();
    voice.log(Level::Warn, "part", &"é".repeat(LONGEST_MESSAGE));
    let heard = heard.lock().unwrap();
    assert_eq!(heard[0].0, "Log { level: Warn, context: \"part\" }");
    assert_eq!(heard[0].1.len(), LONGEST_MESSAGE);
}
