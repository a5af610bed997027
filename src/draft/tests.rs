use super::text::{comment, key, quoted};
use super::*;

#[test]
fn names_are_quoted_where_they_must_be() {
    assert_eq!(key("flows"), "flows");
    assert_eq!(key("a.b"), "\"a.b\"");
    assert_eq!(key(""), "\"\"");
    assert_eq!(
        quoted("a\"\\\n\u{1b}é\u{202e}\u{e0041}"),
        "\"a\\\"\\\\\\u000A\\u001Bé\\u202E\\U000E0041\""
    );
    assert_eq!(comment("a\nversion = 2"), "a?version = 2");
}

#[test]
fn long_lists_are_wrapped() {
    let words: Vec<String> = (0..30).map(|n| format!("a_rather_long_name_{n}")).collect();
    let text = listed(&words);
    assert!(text.lines().all(|line| line.starts_with("# a_") && line.len() <= 100), "{text}");
    let back: Vec<&str> =
        text.split(|c: char| "#, \n".contains(c)).filter(|word| !word.is_empty()).collect();
    assert_eq!(back, words);
}
